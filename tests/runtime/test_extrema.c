/* The extrema against the plain loop: every type, every length about the borders, every place, NaN and zeros. */
#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "check.h"
#include "kernels.h"
#include "numbers.h"
#include "rows.h"

/* ---- the plain loop -------------------------------------------------------------------------------- */

/* static int64_t first_NAME(x, n, greatest): the index of the first extremum, or of the first NaN; n > 0. */
#define DEFINE_FIRST(name, type, of_sum)                                              \
    static int64_t first_##name(const void *data, int64_t n, bool greatest)           \
    {                                                                                 \
        const type *x = data;                                                         \
        int64_t best = 0;                                                             \
        for (int64_t i = 0; i < n; i++) {                                             \
            if (x[i] != x[i])                                                         \
                return i;                                                             \
            if (greatest ? x[i] > x[best] : x[i] < x[best])                           \
                best = i;                                                             \
        }                                                                             \
        return best;                                                                  \
    }                                                                                 \
    static bool same_##name(const void *a, const void *b)                             \
    {                                                                                 \
        type x = *(const type *)a, y = *(const type *)b;                              \
        return x == y || (x != x && y != y);                                          \
    }
NUMBER_TYPES(DEFINE_FIRST)

/* Few values, so that many are equal; with the extremes of the type, and all bits that are a number. */
#define DEFINE_INTEGER_FILL(name, type, least, greatest)                              \
    static void fill_##name(void *data, int64_t n, int kind)                          \
    {                                                                                 \
        static const type extremes[] = {least, least + 1, greatest, greatest - 1, 0}; \
        type *x = data;                                                               \
        for (int64_t i = 0; i < n; i++)                                               \
            x[i] = kind == 0   ? (type)(random_bits() % 5)                            \
                   : kind == 1 ? extremes[random_bits() % 5]                          \
                   : kind == 2 ? (type)(greatest - (type)(random_bits() % 3))         \
                               : (type)random_bits();                                 \
    }
DEFINE_INTEGER_FILL(uint8, uint8_t, 0, UINT8_MAX)
DEFINE_INTEGER_FILL(int32, int32_t, INT32_MIN, INT32_MAX)
DEFINE_INTEGER_FILL(int64, int64_t, INT64_MIN, INT64_MAX)
DEFINE_INTEGER_FILL(uint64, uint64_t, 0, UINT64_MAX)

#define DEFINE_FLOAT_FILL(name, type, most, least, bits_type)                         \
    static void fill_##name(void *data, int64_t n, int kind)                          \
    {                                                                                 \
        static const type special[] = {INFINITY, -INFINITY, most, -most, least, -least, 0, (type)-0.0}; \
        type *x = data;                                                               \
        for (int64_t i = 0; i < n; i++) {                                             \
            bits_type bits = (bits_type)random_bits();                                \
            if (kind == 0)                                                            \
                x[i] = (type)random_from(-2, 2);                                      \
            else if (kind == 1)                                                       \
                x[i] = special[random_bits() % 8];                                    \
            else if (kind == 2)                                                       \
                x[i] = -special[random_bits() % 7 / 3 * 2];                           \
            else /* NaN among them, but rarely */                                     \
                memcpy(&x[i], &bits, sizeof bits);                                    \
        }                                                                             \
    }
DEFINE_FLOAT_FILL(float32, float, FLT_MAX, FLT_TRUE_MIN, uint32_t)
DEFINE_FLOAT_FILL(float64, double, DBL_MAX, DBL_TRUE_MIN, uint64_t)
#define KINDS 4

static const struct type {
    enum item_format format;
    int64_t (*first)(const void *data, int64_t n, bool greatest);
    bool (*same)(const void *a, const void *b);
    void (*fill)(void *data, int64_t n, int kind);
} types[] = {
    {ITEM_UINT8, first_uint8, same_uint8, fill_uint8},   {ITEM_INT32, first_int32, same_int32, fill_int32},
    {ITEM_INT64, first_int64, same_int64, fill_int64},   {ITEM_UINT64, first_uint64, same_uint64, fill_uint64},
    {ITEM_FLOAT32, first_float32, same_float32, fill_float32},
    {ITEM_FLOAT64, first_float64, same_float64, fill_float64},
};

/* ---- the kernels ----------------------------------------------------------------------------------- */

static gilfree_error run(const char *name, const struct type *type, const void *x, int64_t n, gilfree_number *results)
{
    struct items items = dense_items(x, n, type->format);
    memset(results, 0x77, GILFREE_RESULTS_MAX * sizeof *results);
    return reduce_serially(find_variant(extrema_rows, name, type->format), &items, NULL, results);
}

static void check_extrema(const struct type *type, const char *x, int64_t n)
{
    gilfree_number results[GILFREE_RESULTS_MAX];
    int64_t least = type->first(x, n, false), greatest = type->first(x, n, true);
    ptrdiff_t size = item_size(type->format);
    CHECK_EQUAL(run("argmin", type, x, n, results), GILFREE_OK);
    CHECK_EQUAL(results[0].int64, least);
    CHECK_EQUAL(run("argmax", type, x, n, results), GILFREE_OK);
    CHECK_EQUAL(results[0].int64, greatest);
    CHECK_EQUAL(run("min", type, x, n, results), GILFREE_OK);
    CHECK(type->same(results, x + least * size));
    CHECK_EQUAL(run("max", type, x, n, results), GILFREE_OK);
    CHECK(type->same(results, x + greatest * size));
    CHECK_EQUAL(run("minmax", type, x, n, results), GILFREE_OK);
    CHECK(type->same(&results[0], x + least * size));
    CHECK(type->same(&results[1], x + greatest * size));
}

static _Alignas(16) char data[LENGTH_MAX * 8];

static void extrema_of_every_length_are_right(void)
{
    for (int t = 0; t < COUNT(types); t++)
        for (int l = 0; l < COUNT(border_lengths); l++)
            for (int kind = 0; kind < KINDS; kind++) {
                int64_t n = border_lengths[l];
                if (n == 0 || (SLOW && n > 9000))
                    continue;
                types[t].fill(data, n, kind);
                check_extrema(&types[t], data, n);
            }
}

static void extrema_of_every_short_length_are_right(void)
{
    for (int t = 0; t < COUNT(types); t++)
        for (int64_t n = 1; n <= 130; n++)
            for (int kind = 0; kind < KINDS; kind++) {
                types[t].fill(data, n, kind);
                check_extrema(&types[t], data, n);
            }
}

/* Copies of one item, but for one or two others: they are found in every lane, in the rest, in every leaf. */
static void the_extremum_is_found_wherever_it_is(void)
{
    static const int64_t lengths[] = {1, 2, 5, 31, 32, 33, 64, 70, 545, GILFREE_LEAF + 40, 3 * GILFREE_LEAF + 7};
    for (int t = 0; t < COUNT(types); t++)
        for (int l = 0; l < COUNT(lengths); l++) {
            ptrdiff_t size = item_size(types[t].format);
            int64_t n = lengths[l], step = n <= 100 ? 1 : n <= 1000 ? 7 : SLOW ? 1501 : 211;
            char items[3 * 8]; /* a small one, a middling one, a large one */
            do
                types[t].fill(items, 3, 3);
            while (types[t].first(items, 3, false) != 0 || types[t].first(items, 3, true) != 2);
            for (int64_t place = 0; place < n; place += step)
                for (int which = 0; which <= 2; which += 2) {
                    for (int64_t i = 0; i < n; i++)
                        memcpy(data + i * size, items + size, (size_t)size);
                    memcpy(data + place * size, items + which * size, (size_t)size);
                    check_extrema(&types[t], data, n);
                    /* And an equal one after it. */
                    memcpy(data + random_from(place, n - 1) * size, items + which * size, (size_t)size);
                    check_extrema(&types[t], data, n);
                }
        }
}

/* ---- NaN and zeros --------------------------------------------------------------------------------- */

static void nan_is_found_wherever_it_is(void)
{
    static const int64_t lengths[] = {1, 2, 31, 32, 33, 65, 545, GILFREE_LEAF + 40, 3 * GILFREE_LEAF + 7};
    for (int t = 0; t < COUNT(types); t++) {
        bool is_double = types[t].format == ITEM_FLOAT64;
        for (int l = 0; l < COUNT(lengths) && (is_double || types[t].format == ITEM_FLOAT32); l++) {
            int64_t n = lengths[l], step = n <= 100 ? 1 : n <= 1000 ? 7 : SLOW ? 1501 : 211;
            for (int64_t place = 0; place < n; place += step)
                for (int count = 1; count <= 2; count++) {
                    types[t].fill(data, n, 1);
                    for (int nan = 0; nan < count; nan++) {
                        int64_t at = nan ? random_from(place, n - 1) : place;
                        if (is_double)
                            ((double *)data)[at] = nan ? -NAN : NAN;
                        else
                            ((float *)data)[at] = nan ? -(float)NAN : (float)NAN;
                    }
                    gilfree_number results[GILFREE_RESULTS_MAX];
                    check_extrema(&types[t], data, n);
                    CHECK_EQUAL(run("argmax", &types[t], data, n, results), GILFREE_OK);
                    CHECK_EQUAL(results[0].int64, place);
                    CHECK_EQUAL(run("min", &types[t], data, n, results), GILFREE_OK);
                    CHECK(is_double ? isnan(results[0].float64) : isnan(results[0].float32));
                }
        }
    }
}

static void zeros_of_both_signs_are_equal(void)
{
    static const double zeros[] = {0.0, -0.0, 0.0, -0.0};
    static const float float_zeros[] = {-0.0f, 0.0f, -0.0f};
    gilfree_number results[GILFREE_RESULTS_MAX];
    for (int begin = 0; begin <= 1; begin++)
        for (int64_t n = 1; n <= 3; n++) {
            check_extrema(&types[5], (const char *)(zeros + begin), n);
            CHECK_EQUAL(run("argmin", &types[5], zeros + begin, n, results), GILFREE_OK);
            CHECK_EQUAL(results[0].int64, 0);
            CHECK_EQUAL(run("argmax", &types[5], zeros + begin, n, results), GILFREE_OK);
            CHECK_EQUAL(results[0].int64, 0);
        }
    check_extrema(&types[4], (const char *)float_zeros, 3);
}

static void nothing_has_no_extremum(void)
{
    gilfree_number results[GILFREE_RESULTS_MAX], before[GILFREE_RESULTS_MAX];
    memset(before, 0x77, sizeof before);
    int rows = 0;
    for (const gilfree_row *row = extrema_rows; row->name; row++, rows++)
        for (int t = 0; t < COUNT(types); t++)
            if (read_signature(row->signature).each[0].type == types[t].format) {
                CHECK_EQUAL(run(row->name, &types[t], data, 0, results), GILFREE_EMPTY);
                CHECK(memcmp(results, before, sizeof results) == 0);
            }
    CHECK_EQUAL(rows, 5 * COUNT(types));
}

int main(void)
{
    RUN(extrema_of_every_length_are_right);
    RUN(extrema_of_every_short_length_are_right);
    RUN(the_extremum_is_found_wherever_it_is);
    RUN(nan_is_found_wherever_it_is);
    RUN(zeros_of_both_signs_are_equal);
    RUN(nothing_has_no_extremum);
    return 0;
}
