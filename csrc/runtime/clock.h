/* clock - the time, in nanoseconds, from a clock that never goes back. */
#ifndef GILFREE_CLOCK_H
#define GILFREE_CLOCK_H

#include <stdint.h>
#include <time.h>

#define MICROSECOND INT64_C(1000)
#define MILLISECOND INT64_C(1000000)
#define SECOND INT64_C(1000000000)
#define NEVER INT64_MAX

static inline int64_t clock_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * SECOND + now.tv_nsec;
}

/* A moment `delay` from `now`, or NEVER where that lies beyond what the clock can say. */
static inline int64_t clock_after(int64_t now, int64_t delay)
{
    return delay < NEVER - now ? now + delay : NEVER;
}

/* Tells the CPU that this thread waits for a word in memory to change. */
static inline void cpu_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__) || defined(__arm__)
    __asm__ __volatile__("yield" ::: "memory");
#endif
}

#endif
