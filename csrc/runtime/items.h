/* items - where the items of an array lie, and how a run of them is brought into a block.
 *
 * A kernel wants its items aligned, in its own type and in the machine's byte order. Whatever else there is
 * (a column of a matrix, a file of another machine's numbers, bytes where floats are wanted) is brought into
 * such a block a few thousand items at a time, so that nobody needs memory for a copy of the whole. */
#ifndef GILFREE_ITEMS_H
#define GILFREE_ITEMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How one item lies in memory: name, C type. */
#define ITEM_FORMATS(X)                                                                                       \
    X(BOOL, uint8_t) X(INT8, int8_t) X(UINT8, uint8_t) X(INT16, int16_t) X(UINT16, uint16_t) X(INT32, int32_t) \
    X(UINT32, uint32_t) X(INT64, int64_t) X(UINT64, uint64_t) X(FLOAT16, uint16_t) X(FLOAT32, float)          \
    X(FLOAT64, double)

enum item_format {
#define ITEM_FORMAT_NAME(name, type) ITEM_##name,
    ITEM_FORMATS(ITEM_FORMAT_NAME)
#undef ITEM_FORMAT_NAME
    ITEM_FORMAT_COUNT
};

#define ITEM_SIZE_MAX 8

struct dimension {
    int64_t length;
    ptrdiff_t stride; /* in bytes */
};

/* n items in the order of their indices, the last index running fastest. Either they lie in one dimension,
 * `stride` apart, or `ndim` > 1 and `dimensions` says how, the outermost first. */
struct items {
    char *data; /* item 0 */
    int64_t n;
    enum item_format format;
    bool swapped; /* bytes in the other order than the machine's */
    int ndim;     /* 0 or 1: one dimension */
    ptrdiff_t stride;
    struct dimension *dimensions; /* none of length 0; owned by whoever made the items; NULL if ndim <= 1 */
};

ptrdiff_t item_size(enum item_format format);

/* Can every value of one format be had in the other, as NumPy's "safe" casting understands it? Integers of 64
 * bits are rounded to float64. */
bool item_casts(enum item_format from, enum item_format to);

/* Merges what lies evenly into one dimension. `dimensions` has room for ndim; returns how many are left (0: a
 * single item). */
int dimensions_merge(struct dimension *dimensions, int ndim);

/* Puts the dimensions into the order of memory, and `data` at its lowest item: the same items, in the order
 * that is fastest to read. To be merged afterwards. */
void dimensions_sort(struct dimension *dimensions, int ndim, char **data);

/* Are they, as they lie, what a kernel wants of this type: aligned, native, `stride` apart? */
bool items_are_direct(const struct items *items, enum item_format type);

/* And next to one another? */
bool items_are_dense(const struct items *items, enum item_format type);

/* Brings items [begin, begin + count) into `block`, as `type`, to which their format casts. */
void items_load(const struct items *items, int64_t begin, int64_t count, enum item_format type, void *block);

/* The way back, for items of the block's own type and native byte order. */
void items_store(const struct items *items, int64_t begin, int64_t count, const void *block);

/* Do two sets of items share a byte? Exact, except that it says yes where finding out would take too long. */
bool items_overlap(const struct items *a, const struct items *b);

/* Does no item share a byte with another one? Says no of layouts that are not nested evenly. */
bool items_are_distinct(const struct items *items);

/* The very same items in the same order. */
bool items_are_same(const struct items *a, const struct items *b);

#endif
