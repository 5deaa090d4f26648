/* CPUs: what the affinity and the quotas of the own group and its ancestors leave. */
#include <math.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "check.h"
#include "cpus.h"

#define PATH_SIZE 512

/* root/groups is what /proc/self/cgroup is otherwise, and root/mount is /sys/fs/cgroup. */
static char root[] = "/tmp/gilfree-test-cpus-XXXXXX";

static void path_of(char *path, const char *name)
{
    CHECK(snprintf(path, PATH_SIZE, "%s/%s", root, name) < PATH_SIZE);
}

static void write_file(const char *name, const char *text)
{
    char path[PATH_SIZE];
    path_of(path, name);
    FILE *file = fopen(path, "w");
    CHECK(file && fputs(text, file) >= 0 && fclose(file) == 0);
}

static const char *const folders[] = {"mount", "mount/a", "mount/a/b", "mount/a b"};
static const char *const limits[] = {"cpu.max", "mount/cpu.max", "mount/a/cpu.max", "mount/a/b/cpu.max",
                                     "mount/a b/cpu.max"};

static void make_tree(void)
{
    CHECK(mkdtemp(root));
    for (int i = 0; i < COUNT(folders); i++) {
        char path[PATH_SIZE];
        path_of(path, folders[i]);
        CHECK(mkdir(path, 0700) == 0);
    }
}

static void clear_tree(void)
{
    char path[PATH_SIZE];
    for (int i = 0; i < COUNT(limits); i++) {
        path_of(path, limits[i]);
        unlink(path);
    }
    path_of(path, "groups");
    unlink(path);
}

static void remove_tree(void)
{
    clear_tree();
    for (int i = COUNT(folders); i-- > 0;) {
        char path[PATH_SIZE];
        path_of(path, folders[i]);
        CHECK(rmdir(path) == 0);
    }
    CHECK(rmdir(root) == 0);
}

static struct cpus find(void)
{
    char groups[PATH_SIZE], mount[PATH_SIZE];
    path_of(groups, "groups");
    path_of(mount, "mount");
    struct cpus cpus = cpus_find(groups, mount);
    CHECK(cpus.online >= 1 && cpus.affinity >= 1 && cpus.count >= 1);
    CHECK(cpus.count <= cpus.online && cpus.count <= cpus.affinity);
    int least = cpus.online < cpus.affinity ? cpus.online : cpus.affinity;
    CHECK_EQUAL(cpus.count, cpus.quota > 0 && ceil(cpus.quota) < least ? (int)ceil(cpus.quota) : least);
    return cpus;
}

/* The quota of group /a/b when its own file holds `text`, and nothing else says anything. */
static double quota_of(const char *text)
{
    clear_tree();
    write_file("groups", "0::/a/b\n");
    write_file("mount/a/b/cpu.max", text);
    return find().quota;
}

static void a_quota_is_time_by_period(void)
{
    CHECK(quota_of("150000 100000\n") == 1.5);
    CHECK(quota_of("100000 100000\n") == 1);
    CHECK(quota_of("1000 100000") == 0.01);
    CHECK(quota_of("51200000 100000\n") == 512);
}

static void max_is_no_quota(void)
{
    CHECK(quota_of("max 100000\n") == 0);
    CHECK(quota_of("max\n") == 0);
}

static void garbage_is_no_quota(void)
{
    static const char *const garbage[] = {
        "",         "\n",          "100000\n", "a b\n",        "100000 b\n", "0 100000\n",
        "1000 0\n", "-5 100000\n", "5 -100\n", "nan 100000\n", "1000 nan\n", "\xff\xfe\x80 \x01"};
    for (int i = 0; i < COUNT(garbage); i++)
        CHECK(quota_of(garbage[i]) == 0);
}

static void a_quota_is_rounded_up(void)
{
    quota_of("1 100000\n");
    CHECK_EQUAL(find().count, 1);
    quota_of("100000 100000\n");
    CHECK_EQUAL(find().count, 1);
    quota_of("100001 100000\n");
    int least = find().affinity;
    CHECK_EQUAL(find().count, least < 2 ? least : 2);
    quota_of("100000000000 100000\n");
    CHECK_EQUAL(find().count, least);
}

static void the_tightest_of_group_and_ancestors_counts(void)
{
    clear_tree();
    write_file("groups", "0::/a/b\n");
    write_file("mount/a/b/cpu.max", "300000 100000\n");
    write_file("mount/a/cpu.max", "250000 100000\n");
    write_file("mount/cpu.max", "900000 100000\n");
    CHECK(find().quota == 2.5);
    write_file("mount/cpu.max", "50000 100000\n");
    CHECK(find().quota == 0.5);
    write_file("mount/a/b/cpu.max", "20000 100000\n");
    CHECK(find().quota == 0.2);
    write_file("mount/a/b/cpu.max", "max 100000\n");
    write_file("mount/cpu.max", "max 100000\n");
    CHECK(find().quota == 2.5);
}

static void a_missing_file_sets_no_limit(void)
{
    clear_tree();
    CHECK(find().quota == 0);
    write_file("groups", "0::/a/b\n");
    CHECK(find().quota == 0);
    write_file("mount/cpu.max", "70000 100000\n");
    CHECK(find().quota == 0.7);
    write_file("groups", "0::/no/such/group\n");
    CHECK(find().quota == 0.7);
}

static void only_the_unified_group_counts(void)
{
    clear_tree();
    write_file("mount/a/cpu.max", "40000 100000\n");
    write_file("mount/a b/cpu.max", "30000 100000\n");
    write_file("groups", "12:cpu,cpuacct:/a\n1:name=systemd:/a\n1::/a\n");
    CHECK(find().quota == 0);
    write_file("groups", "12:cpu,cpuacct:/\n0::/a\n");
    CHECK(find().quota == 0.4);
    write_file("groups", "0::/a b");
    CHECK(find().quota == 0.3);
    write_file("groups", "0::/\n");
    CHECK(find().quota == 0);
    write_file("groups", "garbage\n\n0:\n0::\n0::a\n");
    CHECK(find().quota == 0);
}

static void nothing_above_the_mount_counts(void)
{
    clear_tree();
    write_file("cpu.max", "10000 100000\n");
    write_file("groups", "0::/a/b\n");
    CHECK(find().quota == 0);
    write_file("groups", "0::/\n");
    CHECK(find().quota == 0);
}

static void a_line_may_be_too_long(void)
{
    static char line[20000] = "0::/";
    memset(line + 4, 'x', sizeof line - 5);
    clear_tree();
    write_file("groups", line);
    CHECK(find().quota == 0);
}

static void the_affinity_limits(void)
{
#ifdef __linux__
    cpu_set_t before, one;
    CHECK(sched_getaffinity(0, sizeof before, &before) == 0);
    clear_tree();
    CHECK_EQUAL(find().affinity, CPU_COUNT(&before));
    CPU_ZERO(&one);
    for (int cpu = 0; CPU_COUNT(&one) == 0; cpu++)
        if (CPU_ISSET(cpu, &before))
            CPU_SET(cpu, &one);
    CHECK(sched_setaffinity(0, sizeof one, &one) == 0);
    CHECK_EQUAL(find().affinity, 1);
    CHECK_EQUAL(find().count, 1);
    CHECK_EQUAL(cpus_here().count, 1);
    CHECK(sched_setaffinity(0, sizeof before, &before) == 0);
#endif
}

static void here_is_what_this_process_may_use(void)
{
    struct cpus here = cpus_here(), found = cpus_find("/proc/self/cgroup", "/sys/fs/cgroup");
    CHECK_EQUAL(here.online, sysconf(_SC_NPROCESSORS_ONLN));
    CHECK_EQUAL(here.affinity, found.affinity);
    CHECK(here.quota == found.quota);
    CHECK_EQUAL(here.count, found.count);
}

int main(void)
{
    make_tree();
    RUN(a_quota_is_time_by_period);
    RUN(max_is_no_quota);
    RUN(garbage_is_no_quota);
    RUN(a_quota_is_rounded_up);
    RUN(the_tightest_of_group_and_ancestors_counts);
    RUN(a_missing_file_sets_no_limit);
    RUN(only_the_unified_group_counts);
    RUN(nothing_above_the_mount_counts);
    RUN(a_line_may_be_too_long);
    RUN(the_affinity_limits);
    RUN(here_is_what_this_process_may_use);
    remove_tree();
    return 0;
}
