/* memory - the one place that asks the system for memory.
 *
 * In the stress build allocations fail on demand, so that every path for lack of memory can be walked. */
#ifndef GILFREE_MEMORY_H
#define GILFREE_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef GILFREE_STRESS
/* Lets `count` allocations succeed and fails the one after; a negative count fails none. */
void memory_fail_after(long count);
bool memory_fails_now(void);
#else
static inline bool memory_fails_now(void)
{
    return false;
}
#endif

/* Room for `count` things of `size` bytes, as memory_resize; NULL too if that is more than memory has addresses. */
void *memory_array(void *old, int64_t count, size_t size);

/* As realloc: NULL when there is no memory, and `old` stays valid then. Free with free(). */
void *memory_resize(void *old, size_t size);

#endif
