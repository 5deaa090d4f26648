/* lanes - loops over arrays that are written for vectors of any width: LANES results side by side, which the source
 * names and no machine changes. */
#ifndef GILFREE_LANES_H
#define GILFREE_LANES_H

#include <stddef.h>
#include <stdint.h>

#define LANES 32

/* Asks for the LANES items that will be wanted some 2 kB later. The machine's own prefetching stops at the end of each
 * page, and falls behind where a leaf ends and its lanes are combined. Memory that is not there is not missed. */
#define FETCH_AHEAD_BYTES 2048
#define FETCH_AHEAD_LINE 64
#define FETCH_AHEAD(items)                                                                       \
    do {                                                                                         \
        for (size_t at = 0; at < LANES * sizeof *(items); at += FETCH_AHEAD_LINE)                \
            __builtin_prefetch((const void *)((uintptr_t)(items) + FETCH_AHEAD_BYTES + at));     \
    } while (0)

#endif
