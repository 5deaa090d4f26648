#include "cpus.h"

#include <math.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PATH_SIZE 4096

static int affinity(int online)
{
#ifdef __linux__
    /* The kernel refuses a mask smaller than its own: grow until it fits. */
    for (int bits = 1024; bits <= 1 << 20; bits *= 4) {
        cpu_set_t *mask = CPU_ALLOC(bits);
        if (!mask)
            break;
        size_t size = CPU_ALLOC_SIZE(bits);
        int count = sched_getaffinity(0, size, mask) == 0 ? CPU_COUNT_S(size, mask) : 0;
        CPU_FREE(mask);
        if (count > 0)
            return count;
    }
#endif
    return online;
}

/* The limit of one group in CPUs, 0 for none. cpu.max holds "max 100000" or "150000 100000". */
static double group_quota(const char *folder)
{
    char path[PATH_SIZE + 16];
    double quota = 0, period = 0;
    snprintf(path, sizeof path, "%s/cpu.max", folder);
    FILE *file = fopen(path, "r");
    if (!file)
        return 0;
    int fields = fscanf(file, "%lf %lf", &quota, &period);
    fclose(file);
    return fields == 2 && quota > 0 && period > 0 ? quota / period : 0;
}

static double tightest_quota(const char *groups, const char *mount)
{
    char line[PATH_SIZE], folder[PATH_SIZE];
    double tightest = 0;
    FILE *file = fopen(groups, "r");
    if (!file)
        return 0;
    while (fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, "0::/", 4) != 0)
            continue;
        int length = snprintf(folder, sizeof folder, "%s%s", mount, line + 3);
        if (length < 0 || length >= (int)sizeof folder)
            continue;
        size_t root = strlen(mount);
        for (;;) {
            double quota = group_quota(folder);
            if (quota > 0 && (tightest == 0 || quota < tightest))
                tightest = quota;
            char *slash = strrchr(folder, '/');
            if (!slash || (size_t)(slash - folder) < root)
                break;
            *slash = '\0';
        }
    }
    fclose(file);
    return tightest;
}

struct cpus cpus_find(const char *groups, const char *mount)
{
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    struct cpus cpus = {.online = online > 0 ? (int)online : 1};
    cpus.affinity = affinity(cpus.online);
    cpus.quota = tightest_quota(groups, mount);
    cpus.count = cpus.affinity < cpus.online ? cpus.affinity : cpus.online;
    if (cpus.quota > 0 && ceil(cpus.quota) < cpus.count)
        cpus.count = (int)ceil(cpus.quota);
    return cpus;
}

struct cpus cpus_here(void)
{
    return cpus_find("/proc/self/cgroup", "/sys/fs/cgroup");
}
