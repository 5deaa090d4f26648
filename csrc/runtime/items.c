#include "items.h"

#include <stdlib.h>
#include <string.h>

static const ptrdiff_t sizes[] = {
#define ITEM_SIZE(name, type) [ITEM_##name] = sizeof(type),
    ITEM_FORMATS(ITEM_SIZE)
#undef ITEM_SIZE
};

ptrdiff_t item_size(enum item_format format)
{
    return sizes[format];
}

/* ---- converting ---------------------------------------------------------------------------------- */

/* IEEE 754 binary16: 1 bit of sign, 5 of exponent, 10 of fraction. */
static inline float from_half(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000) << 16, exponent = half >> 10 & 0x1f, fraction = half & 0x3ff, bits;
    float value;
    if (exponent == 0) { /* zero, or subnormal: a multiple of 2**-24 */
        value = (float)fraction * 0x1p-24f;
        memcpy(&bits, &value, sizeof bits);
        bits |= sign;
    } else {
        bits = sign | (exponent == 0x1f ? 0xffu : exponent + 112) << 23 | fraction << 13;
    }
    memcpy(&value, &bits, sizeof value);
    return value;
}

#define AS_IS(value) (value)
#define AS_TRUTH(value) ((value) != 0)

/* From, its C type, to, its C type, how. The only list of what casts to what; a format casts to itself. */
#define CASTS(X)                                                                                    \
    X(BOOL, uint8_t, UINT8, uint8_t, AS_TRUTH)                                                      \
    X(BOOL, uint8_t, INT32, int32_t, AS_TRUTH)                                                      \
    X(INT8, int8_t, INT32, int32_t, AS_IS)                                                          \
    X(UINT8, uint8_t, INT32, int32_t, AS_IS)                                                        \
    X(INT16, int16_t, INT32, int32_t, AS_IS)                                                        \
    X(UINT16, uint16_t, INT32, int32_t, AS_IS)                                                      \
    X(BOOL, uint8_t, INT64, int64_t, AS_TRUTH)                                                      \
    X(INT8, int8_t, INT64, int64_t, AS_IS)                                                          \
    X(UINT8, uint8_t, INT64, int64_t, AS_IS)                                                        \
    X(INT16, int16_t, INT64, int64_t, AS_IS)                                                        \
    X(UINT16, uint16_t, INT64, int64_t, AS_IS)                                                      \
    X(INT32, int32_t, INT64, int64_t, AS_IS)                                                        \
    X(UINT32, uint32_t, INT64, int64_t, AS_IS)                                                      \
    X(BOOL, uint8_t, UINT64, uint64_t, AS_TRUTH)                                                    \
    X(UINT8, uint8_t, UINT64, uint64_t, AS_IS)                                                      \
    X(UINT16, uint16_t, UINT64, uint64_t, AS_IS)                                                    \
    X(UINT32, uint32_t, UINT64, uint64_t, AS_IS)                                                    \
    X(BOOL, uint8_t, FLOAT32, float, AS_TRUTH)                                                      \
    X(INT8, int8_t, FLOAT32, float, AS_IS)                                                          \
    X(UINT8, uint8_t, FLOAT32, float, AS_IS)                                                        \
    X(INT16, int16_t, FLOAT32, float, AS_IS)                                                        \
    X(UINT16, uint16_t, FLOAT32, float, AS_IS)                                                      \
    X(FLOAT16, uint16_t, FLOAT32, float, from_half)                                                 \
    X(BOOL, uint8_t, FLOAT64, double, AS_TRUTH)                                                     \
    X(INT8, int8_t, FLOAT64, double, AS_IS)                                                         \
    X(UINT8, uint8_t, FLOAT64, double, AS_IS)                                                       \
    X(INT16, int16_t, FLOAT64, double, AS_IS)                                                       \
    X(UINT16, uint16_t, FLOAT64, double, AS_IS)                                                     \
    X(INT32, int32_t, FLOAT64, double, AS_IS)                                                       \
    X(UINT32, uint32_t, FLOAT64, double, AS_IS)                                                     \
    X(INT64, int64_t, FLOAT64, double, AS_IS)                                                       \
    X(UINT64, uint64_t, FLOAT64, double, AS_IS)                                                     \
    X(FLOAT16, uint16_t, FLOAT64, double, from_half)                                                \
    X(FLOAT32, float, FLOAT64, double, AS_IS)

typedef void convert(const void *from, int64_t count, void *to);

#define CONVERT(from_name, from_type, to_name, to_type, how)                                          \
    static void from_name##_to_##to_name(const void *from, int64_t count, void *to)                   \
    {                                                                                                 \
        const from_type *values = from;                                                               \
        to_type *results = to;                                                                        \
        for (int64_t i = 0; i < count; i++)                                                           \
            results[i] = (to_type)how(values[i]);                                                     \
    }
CASTS(CONVERT)
#undef CONVERT

static convert *const converters[ITEM_FORMAT_COUNT][ITEM_FORMAT_COUNT] = {
#define CONVERTER(from_name, from_type, to_name, to_type, how) \
    [ITEM_##from_name][ITEM_##to_name] = from_name##_to_##to_name,
    CASTS(CONVERTER)
#undef CONVERTER
};

bool item_casts(enum item_format from, enum item_format to)
{
    return from == to || converters[from][to];
}

/* ---- collecting ---------------------------------------------------------------------------------- */

static inline uint8_t swap_8(uint8_t bits)
{
    return bits;
}

static inline uint16_t swap_16(uint16_t bits)
{
    return __builtin_bswap16(bits);
}

static inline uint32_t swap_32(uint32_t bits)
{
    return __builtin_bswap32(bits);
}

static inline uint64_t swap_64(uint64_t bits)
{
    return __builtin_bswap64(bits);
}

/* Items of any alignment, `stride` apart, next to one another: their bits, in the machine's order. */
#define COLLECT(width)                                                                                            \
    static void collect_##width(const char *from, ptrdiff_t stride, int64_t count, bool swapped, void *to)       \
    {                                                                                                             \
        uint##width##_t *results = to;                                                                            \
        for (int64_t i = 0; i < count; i++) {                                                                     \
            uint##width##_t bits;                                                                                 \
            memcpy(&bits, from + i * stride, sizeof bits);                                                        \
            results[i] = swapped ? swap_##width(bits) : bits;                                                     \
        }                                                                                                         \
    }
COLLECT(8)
COLLECT(16)
COLLECT(32)
COLLECT(64)
#undef COLLECT

static void collect(const char *from, ptrdiff_t stride, int64_t count, ptrdiff_t size, bool swapped, void *to)
{
    if (stride == size && !swapped)
        memcpy(to, from, (size_t)(count * size));
    else if (size == 1)
        collect_8(from, stride, count, swapped, to);
    else if (size == 2)
        collect_16(from, stride, count, swapped, to);
    else if (size == 4)
        collect_32(from, stride, count, swapped, to);
    else
        collect_64(from, stride, count, swapped, to);
}

static bool is_aligned(const char *data, ptrdiff_t size)
{
    return (uintptr_t)data % (size_t)size == 0;
}

#define PIECE 512 /* items between collecting and converting: they stay in the first cache */

/* Items in one dimension. */
static void load_run(const struct items *items, const char *from, ptrdiff_t stride, int64_t count,
                     enum item_format type, char *to)
{
    ptrdiff_t size = sizes[items->format];
    convert *converter = items->format == type ? NULL : converters[items->format][type];
    if (!converter) {
        collect(from, stride, count, size, items->swapped, to);
        return;
    }
    if (stride == size && !items->swapped && is_aligned(from, size)) {
        converter(from, count, to);
        return;
    }
    uint64_t piece[PIECE];
    for (int64_t done = 0; done < count; done += PIECE) {
        int64_t part = count - done < PIECE ? count - done : PIECE;
        collect(from + done * stride, stride, part, size, items->swapped, piece);
        converter(piece, part, to + done * sizes[type]);
    }
}

/* ---- dimensions ---------------------------------------------------------------------------------- */

int dimensions_merge(struct dimension *dimensions, int ndim)
{
    int kept = 0;
    for (int d = 0; d < ndim; d++) {
        if (dimensions[d].length == 1)
            continue;
        struct dimension *outer = kept ? &dimensions[kept - 1] : NULL;
        if (outer && outer->stride == dimensions[d].length * dimensions[d].stride) {
            outer->length *= dimensions[d].length;
            outer->stride = dimensions[d].stride;
        } else {
            dimensions[kept++] = dimensions[d];
        }
    }
    return kept;
}

void dimensions_sort(struct dimension *dimensions, int ndim, char **data)
{
    for (int d = 0; d < ndim; d++) {
        struct dimension dimension = dimensions[d];
        if (dimension.stride < 0) {
            *data += (dimension.length - 1) * dimension.stride;
            dimension.stride = -dimension.stride;
        }
        int place = d;
        for (; place > 0 && dimensions[place - 1].stride < dimension.stride; place--)
            dimensions[place] = dimensions[place - 1];
        dimensions[place] = dimension;
    }
}

/* A walk over items in several dimensions, a run of the innermost at a time. */
struct walk {
    const struct items *items;
    int64_t index[64]; /* of the item to come, in each dimension */
    char *at;
};

static void walk_from(struct walk *walk, const struct items *items, int64_t begin)
{
    walk->items = items;
    walk->at = items->data;
    for (int d = items->ndim - 1; d >= 0; d--) {
        const struct dimension *dimension = &items->dimensions[d];
        walk->index[d] = begin % dimension->length;
        begin /= dimension->length;
        walk->at += walk->index[d] * dimension->stride;
    }
}

/* Goes on by the rest of the innermost dimension, or by `most` items: returns how many, and where they begin. */
static int64_t walk_run(struct walk *walk, int64_t most, char **begin)
{
    const struct dimension *dimensions = walk->items->dimensions;
    int d = walk->items->ndim - 1;
    int64_t rest = dimensions[d].length - walk->index[d], run = rest < most ? rest : most;
    *begin = walk->at;
    walk->index[d] += run;
    walk->at += run * dimensions[d].stride;
    for (; d > 0 && walk->index[d] == dimensions[d].length; d--) {
        walk->at += dimensions[d - 1].stride - dimensions[d].length * dimensions[d].stride;
        walk->index[d] = 0;
        walk->index[d - 1]++;
    }
    return run;
}

/* ---- loading and storing ------------------------------------------------------------------------- */

bool items_are_direct(const struct items *items, enum item_format type)
{
    ptrdiff_t size = sizes[type];
    return items->format == type && !items->swapped && items->ndim <= 1 &&
           (items->n == 0 || (is_aligned(items->data, size) && (items->n == 1 || items->stride % size == 0)));
}

bool items_are_dense(const struct items *items, enum item_format type)
{
    return items_are_direct(items, type) && (items->n <= 1 || items->stride == sizes[type]);
}

void items_load(const struct items *items, int64_t begin, int64_t count, enum item_format type, void *block)
{
    if (items->ndim <= 1) {
        load_run(items, items->data + begin * items->stride, items->stride, count, type, block);
        return;
    }
    ptrdiff_t stride = items->dimensions[items->ndim - 1].stride;
    char *to = block, *from;
    struct walk walk;
    walk_from(&walk, items, begin);
    while (count > 0) {
        int64_t run = walk_run(&walk, count, &from);
        load_run(items, from, stride, run, type, to);
        to += run * sizes[type];
        count -= run;
    }
}

static void store_run(const char *from, int64_t count, ptrdiff_t size, ptrdiff_t stride, char *to)
{
    if (stride == size) {
        memcpy(to, from, (size_t)(count * size));
        return;
    }
    for (int64_t i = 0; i < count; i++) {
        if (size == 8)
            memcpy(to + i * stride, from + i * 8, 8);
        else
            memcpy(to + i * stride, from + i * size, (size_t)size);
    }
}

void items_store(const struct items *items, int64_t begin, int64_t count, const void *block)
{
    ptrdiff_t size = sizes[items->format];
    if (items->ndim <= 1) {
        store_run(block, count, size, items->stride, items->data + begin * items->stride);
        return;
    }
    ptrdiff_t stride = items->dimensions[items->ndim - 1].stride;
    const char *from = block;
    char *to;
    struct walk walk;
    walk_from(&walk, items, begin);
    while (count > 0) {
        int64_t run = walk_run(&walk, count, &to);
        store_run(from, run, size, stride, to);
        from += run * size;
        count -= run;
    }
}

/* ---- overlap ------------------------------------------------------------------------------------- */

#define DIMENSIONS_MAX 64
#define STEPS_MAX 2000 /* of the search for a shared byte */

static int64_t common_divisor(int64_t a, int64_t b)
{
    while (b) {
        int64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/* Is there a sum of multiples, k[d] of strides[d] with 0 <= k[d] < lengths[d], that lies between low and high,
 * both excluded? The strides are positive and descend. `steps` counts down; at 0 the answer is yes.
 * (A bounded linear Diophantine problem, as in NumPy's solve_diophantine: hard in general, and short for all
 * layouts that come up.) */
static bool reaches(const struct dimension *dimensions, int ndim, int64_t low, int64_t high, int *steps)
{
    if (--*steps <= 0)
        return true;
    if (ndim == 0)
        return low < 0 && 0 < high;
    int64_t stride = dimensions[0].stride, last = dimensions[0].length - 1, rest = 0, divisor = stride;
    for (int d = 1; d < ndim; d++) {
        rest += (dimensions[d].length - 1) * dimensions[d].stride;
        divisor = common_divisor(divisor, dimensions[d].stride);
    }
    /* No sum is negative, and all are multiples of the divisor: the greatest one below high must lie above low. */
    if (high <= 0 || (high - 1) / divisor * divisor <= low)
        return false;
    /* k * stride + rest > low, and k * stride < high */
    int64_t first = low - rest < 0 ? 0 : (low - rest) / stride + 1;
    int64_t end = (high - 1) / stride;
    for (int64_t k = first; k <= end && k <= last; k++)
        if (reaches(dimensions + 1, ndim - 1, low - k * stride, high - k * stride, steps))
            return true;
    return false;
}

/* The items' dimensions with strides that are positive: returns the place of the lowest item. */
static int add_dimensions(const struct items *items, struct dimension *dimensions, int count, char **lowest)
{
    *lowest = items->data;
    if (items->ndim > 1)
        memcpy(dimensions + count, items->dimensions, (size_t)items->ndim * sizeof *dimensions);
    else
        dimensions[count] = (struct dimension){items->n, items->stride};
    int ndim = items->ndim > 1 ? items->ndim : 1, kept = count;
    for (int d = count; d < count + ndim; d++) {
        struct dimension dimension = dimensions[d];
        if (dimension.stride < 0) {
            *lowest += (dimension.length - 1) * dimension.stride;
            dimension.stride = -dimension.stride;
        }
        if (dimension.length > 1 && dimension.stride != 0)
            dimensions[kept++] = dimension;
    }
    return kept;
}

static int by_descending_stride(const void *a, const void *b)
{
    ptrdiff_t x = ((const struct dimension *)a)->stride, y = ((const struct dimension *)b)->stride;
    return (x < y) - (x > y);
}

bool items_overlap(const struct items *a, const struct items *b)
{
    struct dimension dimensions[2 * DIMENSIONS_MAX];
    char *a_begin, *b_begin;
    if (a->n == 0 || b->n == 0)
        return false;
    /* Item i of a begins at a_begin + s, item j of b at b_begin + t, for sums s and t of the strides. With the
     * strides of b counted down from its highest item, both sums are one. */
    int count = add_dimensions(a, dimensions, 0, &a_begin), of_a = count;
    count = add_dimensions(b, dimensions, count, &b_begin);
    intptr_t apart = (intptr_t)((uintptr_t)a_begin - (uintptr_t)b_begin);
    for (int d = of_a; d < count; d++)
        apart -= (dimensions[d].length - 1) * dimensions[d].stride;
    qsort(dimensions, (size_t)count, sizeof *dimensions, by_descending_stride);
    int kept = 0;
    for (int d = 0; d < count; d++) /* multiples of one stride in both are multiples of it together */
        if (kept && dimensions[kept - 1].stride == dimensions[d].stride)
            dimensions[kept - 1].length += dimensions[d].length - 1;
        else
            dimensions[kept++] = dimensions[d];
    /* They share a byte if -size of a < begin of a - begin of b < size of b. */
    int steps = STEPS_MAX;
    return reaches(dimensions, kept, -sizes[a->format] - apart, sizes[b->format] - apart, &steps);
}

bool items_are_distinct(const struct items *items)
{
    struct dimension dimensions[DIMENSIONS_MAX];
    if (items->n <= 1)
        return true;
    if (items->ndim <= 1)
        return items->stride >= sizes[items->format] || -items->stride >= sizes[items->format];
    char *lowest;
    int count = add_dimensions(items, dimensions, 0, &lowest);
    if (count < items->ndim)
        return false; /* a stride of 0 */
    qsort(dimensions, (size_t)count, sizeof *dimensions, by_descending_stride);
    int64_t extent = sizes[items->format];
    for (int d = count - 1; d >= 0; d--) {
        if (dimensions[d].stride < extent)
            return false;
        extent += (dimensions[d].length - 1) * dimensions[d].stride;
    }
    return true;
}

bool items_are_same(const struct items *a, const struct items *b)
{
    if (a->data != b->data || a->n != b->n || sizes[a->format] != sizes[b->format])
        return false;
    int a_ndim = a->ndim > 1 ? a->ndim : 1, b_ndim = b->ndim > 1 ? b->ndim : 1;
    if (a_ndim != b_ndim)
        return false;
    if (a_ndim == 1)
        return a->n <= 1 || a->stride == b->stride;
    for (int d = 0; d < a_ndim; d++)
        if (a->dimensions[d].length != b->dimensions[d].length || a->dimensions[d].stride != b->dimensions[d].stride)
            return false;
    return true;
}
