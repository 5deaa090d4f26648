/* cpus - how many CPUs this process may use, and why. */
#ifndef GILFREE_CPUS_H
#define GILFREE_CPUS_H

struct cpus {
    int online;   /* in the machine */
    int affinity; /* that the calling thread may run on */
    double quota; /* CPUs' worth of time by cgroup v2, the tightest of own group and ancestors; 0: none */
    int count;    /* the least of the three, the quota rounded up; at least 1 */
};

/* Reads the groups from `groups` ("/proc/self/cgroup") and the limits below `mount`
 * ("/sys/fs/cgroup"). A file that is missing or unreadable sets no limit. */
struct cpus cpus_find(const char *groups, const char *mount);

struct cpus cpus_here(void);

#endif
