/* Items against naive references: an item at a time by its indices, a byte at a time in a map of memory. */
#include "items.h"

#include <math.h>
#include <stdlib.h>

#include "check.h"
#include "rows.h"

__extension__ typedef __int128 int128;

static const char *const format_names[] = {
#define FORMAT_NAME(name, type) #name,
    ITEM_FORMATS(FORMAT_NAME)
#undef FORMAT_NAME
};

static bool is_float(enum item_format format)
{
    return format == ITEM_FLOAT16 || format == ITEM_FLOAT32 || format == ITEM_FLOAT64;
}

static bool is_signed(enum item_format format)
{
    return format_names[format][0] == 'I';
}

/* ---- layouts --------------------------------------------------------------------------------------- */

#define ROOM 20000 /* bytes a layout may reach to either side of its middle */
#define NDIM_MAX 6

static char memory[2 * ROOM + 64];

static int64_t count_items(const struct dimension *dimensions, int ndim)
{
    int64_t n = 1;
    for (int d = 0; d < ndim; d++)
        n *= dimensions[d].length;
    return n;
}

/* Where item i lies, from item 0. */
static int64_t offset_of(const struct dimension *dimensions, int ndim, int64_t i)
{
    int64_t offset = 0;
    for (int d = ndim - 1; d >= 0; d--) {
        offset += i % dimensions[d].length * dimensions[d].stride;
        i /= dimensions[d].length;
    }
    return offset;
}

static int64_t item_offset(const struct items *items, int64_t i)
{
    return items->ndim > 1 ? offset_of(items->dimensions, items->ndim, i) : i * items->stride;
}

/* Any layout within ROOM of `middle`: strides of all signs, that of 0 too, any alignment. */
static struct items random_items(char *middle, enum item_format format, struct dimension *dimensions)
{
    struct items items = {.data = middle + random_from(0, 20), .format = format, .ndim = (int)random_from(0, NDIM_MAX)};
    items.swapped = random_from(0, 1);
    ptrdiff_t size = item_size(format);
    if (items.ndim <= 1) {
        items.n = random_from(0, 1200);
        items.stride = random_from(0, 3) ? random_from(-16, 16) : size;
        return items;
    }
    for (int d = 0; d < items.ndim; d++) {
        bool is_long = d == items.ndim - 1 && items.ndim <= 3 && random_from(0, 2) == 0;
        dimensions[d].length = is_long ? random_from(1, 1100) : random_from(1, 4);
        dimensions[d].stride = random_from(0, 3) == 0 ? size : random_from(-12, 12);
    }
    items.n = count_items(dimensions, items.ndim);
    items.dimensions = dimensions;
    return items;
}

/* ---- casts ----------------------------------------------------------------------------------------- */

/* As NumPy understands "safe". */
static bool holds_all(enum item_format from, enum item_format to)
{
    int64_t from_bits = 8 * item_size(from), to_bits = 8 * item_size(to);
    if (from == to || from == ITEM_BOOL)
        return true;
    if (to == ITEM_BOOL || (is_float(from) && !is_float(to)))
        return false;
    if (is_float(from))
        return from_bits <= to_bits;
    if (is_float(to)) /* so many bits have integers that it holds: 8, 16, and 64 by convention */
        return from_bits <= (to_bits == 16 ? 8 : to_bits == 32 ? 16 : 64);
    if (is_signed(from))
        return is_signed(to) && from_bits <= to_bits;
    return is_signed(to) ? from_bits < to_bits : from_bits <= to_bits;
}

static void what_casts_is_what_holds_all_values(void)
{
    for (int from = 0; from < ITEM_FORMAT_COUNT; from++) {
        for (int to = 0; to < ITEM_FORMAT_COUNT; to++)
            CHECK(!item_casts(from, to) || holds_all(from, to));
        /* And all that a kernel's arrays may be; truth values are held by nothing but themselves. */
        for (int t = 0; t < COUNT(row_types); t++)
            CHECK_EQUAL(item_casts(from, row_types[t].format), holds_all(from, row_types[t].format));
    }
}

static double value_of_half(uint16_t half)
{
    int exponent = half >> 10 & 31, fraction = half & 1023;
    double size = exponent == 31  ? (fraction ? NAN : INFINITY)
                  : exponent == 0 ? ldexp(fraction, -24)
                                  : ldexp(1024 + fraction, exponent - 25);
    return half & 0x8000 ? -size : size;
}

/* An item by its bytes, as a whole number or a real one. */
struct value {
    int128 whole;
    double real;
};

static struct value read_value(enum item_format format, const unsigned char *bytes)
{
    uint64_t bits = 0;
    ptrdiff_t size = item_size(format);
    for (ptrdiff_t b = 0; b < size; b++)
        bits |= (uint64_t)bytes[__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? b : size - 1 - b] << 8 * b;
    struct value value = {.whole = bits};
    float real;
    if (format == ITEM_BOOL)
        value.whole = bits != 0;
    if (is_signed(format) && bits >> (8 * size - 1))
        value.whole -= (int128)1 << 8 * size;
    if (format == ITEM_FLOAT16)
        value.real = value_of_half((uint16_t)bits);
    if (format == ITEM_FLOAT32) {
        memcpy(&real, bytes, 4);
        value.real = (double)real;
    }
    if (format == ITEM_FLOAT64)
        memcpy(&value.real, bytes, 8);
    return value;
}

/* `loaded`, of type `to`, is the item whose bytes lie at `from`. */
static void check_item(const struct items *items, const char *from, enum item_format to, const char *loaded)
{
    unsigned char native[ITEM_SIZE_MAX];
    ptrdiff_t size = item_size(items->format);
    for (ptrdiff_t b = 0; b < size; b++)
        native[b] = (unsigned char)from[items->swapped ? size - 1 - b : b];
    if (items->format == to) {
        CHECK(memcmp(loaded, native, (size_t)size) == 0);
        return;
    }
    struct value value = read_value(items->format, native), got = read_value(to, (const unsigned char *)loaded);
    double real = is_float(items->format) ? value.real : (double)value.whole;
    if (!is_float(to))
        CHECK(got.whole == value.whole);
    else if (isnan(real))
        CHECK(isnan(got.real));
    else
        CHECK(got.real == real && !signbit(got.real) == !signbit(real));
}

static void fill_memory(void)
{
    for (size_t i = 0; i < sizeof memory; i++)
        memory[i] = (char)random_bits();
}

static void check_load(const struct items *items, int64_t begin, int64_t count, enum item_format to)
{
    ptrdiff_t size = item_size(to);
    char *block = malloc((size_t)(count * size)); /* as long as it must be: AddressSanitizer sees what is beyond */
    items_load(items, begin, count, to, block);
    for (int64_t i = 0; i < count; i++)
        check_item(items, items->data + item_offset(items, begin + i), to, block + i * size);
    free(block);
}

static void every_format_is_loaded_from_every_layout(void)
{
    struct dimension dimensions[NDIM_MAX];
    fill_memory();
    for (int from = 0; from < ITEM_FORMAT_COUNT; from++)
        for (int to = 0; to < ITEM_FORMAT_COUNT; to++)
            for (int round = 0; item_casts(from, to) && round < (SLOW ? 60 : 200); round++) {
                struct items items = random_items(memory + ROOM, from, dimensions);
                int64_t begin = random_from(0, items.n), count = random_from(0, items.n - begin);
                if (round % 4 == 0)
                    begin = 0, count = items.n;
                check_load(&items, begin, count, to);
            }
}

/* Runs about the length of the pieces in which they are converted. */
static void long_runs_are_loaded(void)
{
    fill_memory();
    for (int from = 0; from < ITEM_FORMAT_COUNT; from++)
        for (int to = 0; to < ITEM_FORMAT_COUNT; to++)
            for (int64_t n = 510; item_casts(from, to) && n <= 1026; n += n == 514 ? 508 : 1)
                for (int layout = 0; layout < 4; layout++) {
                    struct items items = {.data = memory + ROOM / 8 * 8 + layout % 2, .n = n, .format = from, .ndim = 1,
                                          .swapped = layout / 2, .stride = item_size(from)};
                    check_load(&items, 0, n, to);
                }
}

/* In native order and the other, dense and not. */
static void every_half_is_loaded(void)
{
    static uint16_t halves[2 * 65536];
    static float singles[65536];
    static double doubles[65536];
    for (int layout = 0; layout < 4; layout++) {
        bool is_swapped = layout & 1;
        int stride = 1 + layout / 2;
        for (int i = 0; i < 65536; i++)
            halves[i * stride] = is_swapped ? (uint16_t)(i << 8 | i >> 8) : (uint16_t)i;
        struct items items = {.data = (char *)halves, .n = 65536, .format = ITEM_FLOAT16, .ndim = 1,
                              .swapped = is_swapped, .stride = 2 * stride};
        items_load(&items, 0, items.n, ITEM_FLOAT32, singles);
        items_load(&items, 0, items.n, ITEM_FLOAT64, doubles);
        for (int i = 0; i < 65536; i++) {
            double expected = value_of_half((uint16_t)i);
            CHECK(isnan(expected) ? isnan(singles[i]) && isnan(doubles[i])
                                  : (double)singles[i] == expected && doubles[i] == expected);
            CHECK(isnan(expected) || (!signbit(singles[i]) == !signbit(expected) && !signbit(doubles[i]) == !signbit(expected)));
        }
    }
}

/* ---- storing --------------------------------------------------------------------------------------- */

/* Dimensions in any order, each clear of all that lie inside it: no two items share a byte. */
static struct items random_nested_items(char *middle, enum item_format format, struct dimension *dimensions)
{
    struct items items = {.data = middle, .format = format, .ndim = (int)random_from(0, 4), .dimensions = dimensions};
    int64_t extent = item_size(format);
    if (items.ndim <= 1) {
        items.n = random_from(0, 600);
        items.stride = random_from(extent, 20) * (random_from(0, 1) ? 1 : -1);
        items.dimensions = NULL;
        return items;
    }
    for (int d = 0; d < items.ndim; d++) {
        dimensions[d] = (struct dimension){random_from(2, 5), extent + (random_from(0, 1) ? 0 : random_from(0, 9))};
        extent += (dimensions[d].length - 1) * dimensions[d].stride;
        dimensions[d].stride *= random_from(0, 1) ? 1 : -1;
    }
    for (int d = items.ndim - 1; d > 0; d--) {
        int other = (int)random_from(0, d);
        struct dimension swap = dimensions[d];
        dimensions[d] = dimensions[other];
        dimensions[other] = swap;
    }
    items.n = count_items(dimensions, items.ndim);
    return items;
}

static void what_is_stored_is_in_its_places_and_nothing_else_is_touched(void)
{
    static char expected[sizeof memory], block[ITEM_SIZE_MAX * 700];
    struct dimension dimensions[NDIM_MAX];
    fill_memory();
    for (int format = 0; format < ITEM_FORMAT_COUNT; format++)
        for (int round = 0; round < (SLOW ? 50 : 200); round++) {
            struct items items = random_nested_items(memory + ROOM, format, dimensions);
            int64_t begin = random_from(0, items.n), count = random_from(0, items.n - begin);
            size_t size = (size_t)item_size(format);
            for (size_t b = 0; b < sizeof block; b++)
                block[b] = (char)random_bits();
            memcpy(expected, memory, sizeof memory);
            for (int64_t i = 0; i < count; i++)
                memcpy(expected + ROOM + item_offset(&items, begin + i), block + (size_t)i * size, size);
            items_store(&items, begin, count, block);
            CHECK(memcmp(expected, memory, sizeof memory) == 0);
        }
}

/* ---- dimensions ------------------------------------------------------------------------------------ */

static void merging_keeps_the_items_and_their_order(void)
{
    for (int round = 0; round < 20000; round++) {
        struct dimension dimensions[NDIM_MAX] = {{0}}, merged[NDIM_MAX];
        int ndim = (int)random_from(0, NDIM_MAX);
        for (int d = ndim - 1; d >= 0; d--) {
            dimensions[d] = (struct dimension){random_from(1, 4), random_from(-8, 8)};
            if (d < ndim - 1 && random_from(0, 1)) /* it goes on where the inner one ends */
                dimensions[d].stride = dimensions[d + 1].length * dimensions[d + 1].stride;
        }
        memcpy(merged, dimensions, sizeof merged);
        int left = dimensions_merge(merged, ndim);
        int64_t n = count_items(dimensions, ndim);
        CHECK(0 <= left && left <= ndim && (left == 0) == (n == 1));
        CHECK_EQUAL(count_items(merged, left), n);
        for (int64_t i = 0; i < n; i++)
            CHECK_EQUAL(offset_of(merged, left, i), offset_of(dimensions, ndim, i));
        for (int d = 0; d < left; d++) {
            CHECK(merged[d].length > 1);
            CHECK(d == 0 || merged[d - 1].stride != merged[d].length * merged[d].stride);
        }
    }
}

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void sorting_keeps_the_items_and_begins_with_the_lowest(void)
{
    static int64_t before[4096], after[4096];
    for (int round = 0; round < 5000; round++) {
        struct dimension dimensions[NDIM_MAX] = {{0}}, sorted[NDIM_MAX];
        int ndim = (int)random_from(0, NDIM_MAX);
        for (int d = 0; d < ndim; d++)
            dimensions[d] = (struct dimension){random_from(1, 4), random_from(-50, 50)};
        memcpy(sorted, dimensions, sizeof sorted);
        char *data = memory + ROOM;
        dimensions_sort(sorted, ndim, &data);
        int64_t n = count_items(dimensions, ndim);
        CHECK_EQUAL(count_items(sorted, ndim), n);
        for (int d = 0; d < ndim; d++)
            CHECK(sorted[d].stride >= 0 && (d == 0 || sorted[d - 1].stride >= sorted[d].stride));
        for (int64_t i = 0; i < n; i++) {
            before[i] = offset_of(dimensions, ndim, i);
            after[i] = data - (memory + ROOM) + offset_of(sorted, ndim, i);
        }
        CHECK_EQUAL(after[0], data - (memory + ROOM));
        qsort(before, (size_t)n, sizeof *before, by_value);
        qsort(after, (size_t)n, sizeof *after, by_value);
        CHECK(memcmp(before, after, (size_t)n * sizeof *before) == 0);
        CHECK_EQUAL(data - (memory + ROOM), before[0]);
    }
}

/* Any view of all items of a dense array, transposed and turned round, is one run of memory. */
static void a_view_of_everything_becomes_one_dimension(void)
{
    for (int round = 0; round < 2000; round++) {
        struct dimension dimensions[NDIM_MAX];
        int ndim = (int)random_from(1, NDIM_MAX);
        int64_t extent = 8;
        char *data = memory;
        for (int d = 0; d < ndim; d++) {
            dimensions[d] = (struct dimension){random_from(2, 4), extent};
            extent *= dimensions[d].length;
            if (random_from(0, 1)) {
                data += (dimensions[d].length - 1) * dimensions[d].stride;
                dimensions[d].stride = -dimensions[d].stride;
            }
        }
        for (int d = ndim - 1; d > 0; d--) {
            int other = (int)random_from(0, d);
            struct dimension swap = dimensions[d];
            dimensions[d] = dimensions[other];
            dimensions[other] = swap;
        }
        dimensions_sort(dimensions, ndim, &data);
        CHECK(data == memory);
        CHECK_EQUAL(dimensions_merge(dimensions, ndim), 1);
        CHECK_EQUAL(dimensions[0].stride, 8);
        CHECK_EQUAL(dimensions[0].length, extent / 8);
    }
}

/* ---- direct and dense ------------------------------------------------------------------------------ */

static void direct_items_are_aligned_native_and_of_the_type(void)
{
    _Alignas(16) static char aligned[64];
    for (int format = 0; format < ITEM_FORMAT_COUNT; format++)
        for (int type = 0; type < ITEM_FORMAT_COUNT; type++)
            for (int shift = 0; shift < 8; shift++)
                for (ptrdiff_t stride = -17; stride <= 17; stride++)
                    for (int64_t n = 0; n <= 3; n++)
                        for (int swapped = 0; swapped <= 1; swapped++) {
                            struct items items = {.data = aligned + shift, .n = n, .format = format,
                                                  .swapped = swapped, .ndim = 1, .stride = stride};
                            ptrdiff_t size = item_size(format);
                            bool lie_well = n == 0 || (shift % size == 0 && (n == 1 || stride % size == 0));
                            bool is_direct = format == type && !swapped && lie_well;
                            CHECK_EQUAL(items_are_direct(&items, type), is_direct);
                            CHECK_EQUAL(items_are_dense(&items, type), is_direct && (n <= 1 || stride == size));
                        }
    struct dimension dimensions[] = {{2, 32}, {2, 8}};
    struct items items = {.data = aligned, .n = 4, .format = ITEM_INT64, .ndim = 2, .dimensions = dimensions};
    CHECK(!items_are_direct(&items, ITEM_INT64) && !items_are_dense(&items, ITEM_INT64));
}

/* ---- overlap --------------------------------------------------------------------------------------- */

/* How many items hold each byte of memory. */
static bool mark(const struct items *items, unsigned char *marks, const char *origin)
{
    bool are_distinct = true;
    for (int64_t i = 0; i < items->n; i++) {
        int64_t at = items->data - origin + item_offset(items, i);
        for (ptrdiff_t b = 0; b < item_size(items->format); b++) {
            are_distinct = are_distinct && !marks[at + b];
            marks[at + b] = 1;
        }
    }
    return are_distinct;
}

#define FIELD 4000
static unsigned char marks_a[FIELD], marks_b[FIELD];

static bool share_a_byte(const struct items *a, const struct items *b, const char *origin)
{
    memset(marks_a, 0, sizeof marks_a);
    memset(marks_b, 0, sizeof marks_b);
    mark(a, marks_a, origin);
    mark(b, marks_b, origin);
    for (int i = 0; i < FIELD; i++)
        if (marks_a[i] && marks_b[i])
            return true;
    return false;
}

static struct items random_small_items(char *middle, int ndim_max, int64_t length_max, int64_t stride_max,
                                       struct dimension *dimensions)
{
    struct items items = {.data = middle + random_from(-30, 30), .format = (enum item_format)random_from(0, 11),
                          .ndim = (int)random_from(0, ndim_max), .dimensions = dimensions};
    if (items.ndim <= 1) {
        items.n = random_from(0, 8);
        items.stride = random_from(-stride_max, stride_max);
        return items;
    }
    for (int d = 0; d < items.ndim; d++)
        dimensions[d] = (struct dimension){random_from(1, length_max), random_from(-stride_max, stride_max)};
    items.n = count_items(dimensions, items.ndim);
    return items;
}

/* So small that the search always comes to its end. */
static void overlap_is_exact_for_small_layouts(void)
{
    struct dimension of_a[3], of_b[3];
    int64_t answers[2] = {0, 0};
    for (int round = 0; round < (SLOW ? 20000 : 100000); round++) {
        int64_t stride_max = round % 2 ? 12 : 40;
        struct items a = random_small_items(memory + ROOM, 3, 3, stride_max, of_a);
        struct items b = random_small_items(memory + ROOM, 3, 3, stride_max, of_b);
        bool expected = share_a_byte(&a, &b, memory + ROOM - FIELD / 2);
        CHECK_EQUAL(items_overlap(&a, &b), expected);
        CHECK_EQUAL(items_overlap(&b, &a), expected);
        answers[expected]++;
    }
    CHECK(answers[0] > 1000 && answers[1] > 1000);
}

/* Even when it gives up, it never says no of what shares a byte. */
static void overlap_is_never_missed(void)
{
    struct dimension of_a[NDIM_MAX], of_b[NDIM_MAX];
    int64_t answers[2] = {0, 0};
    for (int round = 0; round < (SLOW ? 3000 : 20000); round++) {
        struct items a = random_small_items(memory + ROOM, NDIM_MAX, 5, 60, of_a);
        struct items b = random_small_items(memory + ROOM, NDIM_MAX, 5, 60, of_b);
        bool answer = items_overlap(&a, &b);
        answers[answer]++;
        CHECK(answer || !share_a_byte(&a, &b, memory + ROOM - FIELD / 2));
    }
    CHECK(answers[0] > 100 && answers[1] > 100);
}

/* Which of 24 large numbers add up to another one: a search that must give up. The item lies where some do. */
static void overlap_that_is_hard_to_find_is_not_missed(void)
{
    enum { NUMBERS = 24 };
    for (int round = 0; round < 20; round++) {
        struct dimension dimensions[NUMBERS];
        char *base = (char *)((uintptr_t)1 << 40); /* never touched */
        struct items sums = {base, INT64_C(1) << NUMBERS, ITEM_UINT8, false, NUMBERS, 0, dimensions};
        struct items item = {base, 1, ITEM_UINT8, false, 1, 1, NULL};
        for (int d = 0; d < NUMBERS; d++) {
            dimensions[d] = (struct dimension){2, random_from(INT64_C(1) << 39, INT64_C(1) << 40)};
            item.data += random_from(0, 1) * dimensions[d].stride;
        }
        CHECK(items_overlap(&sums, &item) && items_overlap(&item, &sums));
    }
}

/* Columns, halves, channels, every other row: what there is of disjoint views in real code is found to be disjoint, of
 * whatever size. */
static void disjoint_views_of_large_arrays_are_told_apart(void)
{
    enum { ROWS = 1 << 20, COLUMNS = 3000 };
    char *base = (char *)((uintptr_t)1 << 40); /* never touched */
    for (int64_t column = 1; column < COLUMNS; column += 97) {
        struct items first = {base, ROWS, ITEM_FLOAT64, false, 1, 8 * COLUMNS, NULL};
        struct items other = first;
        other.data += 8 * column;
        CHECK(!items_overlap(&first, &other) && !items_overlap(&other, &first));
        other.data -= 4;
        CHECK_EQUAL(items_overlap(&first, &other), column == 1);
    }
    /* Every other and every third pair of int32, of which one takes the first and one the second. */
    struct items other_pair = {base, ROWS, ITEM_INT32, false, 1, 16, NULL};
    struct items third_pair = {base + 4, ROWS, ITEM_INT32, false, 1, 24, NULL};
    CHECK(!items_overlap(&other_pair, &third_pair) && !items_overlap(&third_pair, &other_pair));
    third_pair.data += 4;
    CHECK(items_overlap(&other_pair, &third_pair) && items_overlap(&third_pair, &other_pair));
    struct dimension even[] = {{ROWS / 2, 16 * COLUMNS}, {COLUMNS, 8}}, left[] = {{ROWS, 8 * COLUMNS}, {COLUMNS / 2, 8}};
    struct items a = {base, (int64_t)ROWS / 2 * COLUMNS, ITEM_FLOAT64, false, 2, 0, even}, b = a;
    b.data += 8 * COLUMNS;
    CHECK(!items_overlap(&a, &b) && items_overlap(&a, &a));
    a = b = (struct items){base, (int64_t)ROWS * (COLUMNS / 2), ITEM_FLOAT64, false, 2, 0, left};
    b.data += 8 * (COLUMNS / 2);
    CHECK(!items_overlap(&a, &b) && !items_overlap(&b, &a));
    b.data -= 8;
    CHECK(items_overlap(&a, &b) && items_overlap(&b, &a));
    /* One of three channels of an image turned upside down, beside another one of the image as it is. */
    struct dimension flipped[] = {{2000, -3 * 4000}, {4000, 3}}, upright[] = {{2000, 3 * 4000}, {4000, 3}};
    struct items red = {base + INT64_C(1999) * 12000, 8000000, ITEM_UINT8, false, 2, 0, flipped};
    struct items blue = {base + 2, 8000000, ITEM_UINT8, false, 2, 0, upright};
    CHECK(!items_overlap(&red, &blue));
    blue.data -= 2;
    CHECK(items_overlap(&red, &blue));
}

static void nothing_overlaps_nothing(void)
{
    struct items some = {memory, 10, ITEM_INT64, false, 1, 8, NULL}, none = {memory, 0, ITEM_INT64, false, 0, 0, NULL};
    CHECK(!items_overlap(&some, &none) && !items_overlap(&none, &some) && !items_overlap(&none, &none));
}

static void items_said_to_be_distinct_are(void)
{
    struct dimension dimensions[4];
    int64_t answers[2] = {0, 0};
    for (int round = 0; round < (SLOW ? 20000 : 100000); round++) {
        struct items items = random_small_items(memory + ROOM, 4, 4, 60, dimensions);
        memset(marks_a, 0, sizeof marks_a);
        bool are = mark(&items, marks_a, memory + ROOM - FIELD / 2), answer = items_are_distinct(&items);
        CHECK(are || !answer);
        if (items.ndim <= 1)
            CHECK_EQUAL(answer, are);
        answers[answer]++;
    }
    CHECK(answers[0] > 1000 && answers[1] > 1000);
}

/* What slicing, transposing and turning round make of an array. */
static void nested_items_are_distinct(void)
{
    struct dimension dimensions[NDIM_MAX];
    for (int round = 0; round < 20000; round++) {
        struct items items = random_nested_items(memory + ROOM, (enum item_format)random_from(0, 11), dimensions);
        CHECK(items_are_distinct(&items));
        if (items.n > 1 && items.ndim > 1) {
            dimensions[random_from(0, items.ndim - 1)].stride = 0;
            CHECK(!items_are_distinct(&items));
        }
    }
}

static void same_items_are_in_the_same_places_in_the_same_order(void)
{
    struct dimension of_a[3] = {{0}}, of_b[3];
    for (int round = 0; round < 50000; round++) {
        struct items a = random_small_items(memory + ROOM, 3, 3, 4, of_a), b = a;
        memcpy(of_b, of_a, sizeof of_b);
        b.dimensions = of_b;
        CHECK(items_are_same(&a, &b));
        if (round % 2) /* often the same */
            b = random_small_items(a.data + 30 - random_from(29, 31), 3, 3, 4, of_b);
        else if (a.ndim > 1)
            of_b[random_from(0, a.ndim - 1)].stride += random_from(0, 1);
        else
            b.stride += random_from(-1, 1);
        bool are = a.n == b.n && item_size(a.format) == item_size(b.format);
        for (int64_t i = 0; are && i < a.n; i++)
            are = a.data + item_offset(&a, i) == b.data + item_offset(&b, i);
        CHECK(are || a.n == 0 || !items_are_same(&a, &b));
        if (a.ndim <= 1 && b.ndim <= 1 && a.n > 0)
            CHECK_EQUAL(items_are_same(&a, &b), are);
    }
    /* The same place, but other items. */
    struct items eight = {memory, 4, ITEM_INT64, false, 1, 8, NULL}, four = eight;
    four.format = ITEM_INT32;
    CHECK(!items_are_same(&eight, &four));
}

int main(void)
{
    RUN(what_casts_is_what_holds_all_values);
    RUN(every_format_is_loaded_from_every_layout);
    RUN(long_runs_are_loaded);
    RUN(every_half_is_loaded);
    RUN(what_is_stored_is_in_its_places_and_nothing_else_is_touched);
    RUN(merging_keeps_the_items_and_their_order);
    RUN(sorting_keeps_the_items_and_begins_with_the_lowest);
    RUN(a_view_of_everything_becomes_one_dimension);
    RUN(direct_items_are_aligned_native_and_of_the_type);
    RUN(overlap_is_exact_for_small_layouts);
    RUN(overlap_is_never_missed);
    RUN(overlap_that_is_hard_to_find_is_not_missed);
    RUN(disjoint_views_of_large_arrays_are_told_apart);
    RUN(nothing_overlaps_nothing);
    RUN(items_said_to_be_distinct_are);
    RUN(nested_items_are_distinct);
    RUN(same_items_are_in_the_same_places_in_the_same_order);
    return 0;
}
