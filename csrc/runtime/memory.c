#include "memory.h"

#include <stdatomic.h>
#include <stdlib.h>

#ifdef GILFREE_STRESS
static atomic_long countdown = -1;

void memory_fail_after(long count)
{
    atomic_store(&countdown, count);
}

bool memory_fails_now(void)
{
    long left = atomic_load(&countdown);
    while (left >= 0 && !atomic_compare_exchange_weak(&countdown, &left, left - 1)) {
    }
    return left == 0;
}
#endif

void *memory_resize(void *old, size_t size)
{
    return memory_fails_now() ? NULL : realloc(old, size ? size : 1);
}

void *memory_array(void *old, int64_t count, size_t size)
{
    return count < 0 || (uint64_t)count > PTRDIFF_MAX / size ? NULL : memory_resize(old, (size_t)count * size);
}
