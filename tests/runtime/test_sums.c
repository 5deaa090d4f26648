/* The sums: integers against exact ones, floats against compensated sums in long double, at every border of length,
 * size and sign. */
#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "check.h"
#include "kernels.h"
#include "rows.h"

__extension__ typedef __int128 int128;
__extension__ typedef unsigned __int128 uint128;

static const enum item_format types[] = {ITEM_UINT8, ITEM_INT32, ITEM_INT64, ITEM_UINT64, ITEM_FLOAT32, ITEM_FLOAT64};

static bool is_float(enum item_format type)
{
    return type == ITEM_FLOAT32 || type == ITEM_FLOAT64;
}

/* ---- the kernels ----------------------------------------------------------------------------------- */

static gilfree_number results[GILFREE_RESULTS_MAX];

/* With y, or with ddof, for the rows that have one. */
static gilfree_error run_with(const char *name, enum item_format type, const void *x, const void *y, int64_t ddof, int64_t n)
{
    struct items items[] = {dense_items(x, n, type), dense_items(y, n, type)};
    const gilfree_number numbers[] = {{0}, {.int64 = ddof}};
    memset(results, 0x77, sizeof results);
    return reduce_serially(find_variant(sums_rows, name, type), items, numbers, results);
}

static gilfree_error run(const char *name, enum item_format type, const void *x, int64_t n)
{
    return run_with(name, type, x, NULL, 0, n);
}

static double value_of(const char *name, enum item_format type, const void *x, int64_t n)
{
    CHECK_EQUAL(run(name, type, x, n), GILFREE_OK);
    return results[0].float64;
}

/* ---- references ------------------------------------------------------------------------------------ */

static int128 whole_of(enum item_format type, const void *x, int64_t i)
{
    return type == ITEM_UINT8   ? (int128)((const uint8_t *)x)[i]
           : type == ITEM_INT32 ? (int128)((const int32_t *)x)[i]
           : type == ITEM_INT64 ? (int128)((const int64_t *)x)[i]
                                : (int128)((const uint64_t *)x)[i];
}

static double real_of(enum item_format type, const void *x, int64_t i)
{
    return type == ITEM_FLOAT64   ? ((const double *)x)[i]
           : type == ITEM_FLOAT32 ? (double)((const float *)x)[i]
                                  : (double)whole_of(type, x, i);
}

/* A. Neumaier, Rundungsfehleranalyse einiger Verfahren zur Summation endlicher Summen, 1974. */
struct compensated {
    long double sum, lost;
};

static void add(struct compensated *total, long double value)
{
    long double sum = total->sum + value;
    total->lost += fabsl(total->sum) >= fabsl(value) ? (total->sum - sum) + value : (value - sum) + total->sum;
    total->sum = sum;
}

static long double total_of(struct compensated total)
{
    return total.sum + total.lost;
}

/* An integer of 192 bits. */
struct wide {
    uint64_t limbs[3];
};

static void add_wide(struct wide *total, int128 value)
{
    uint64_t limbs[] = {(uint64_t)value, (uint64_t)(value >> 64), value < 0 ? UINT64_MAX : 0};
    uint128 carry = 0;
    for (int l = 0; l < 3; l++) {
        carry += (uint128)total->limbs[l] + limbs[l];
        total->limbs[l] = (uint64_t)carry;
        carry >>= 64;
    }
}

/* A product of two uint64 may need all 128 bits. */
static void add_unsigned_wide(struct wide *total, uint128 value)
{
    add_wide(total, (int128)(value >> 2));
    add_wide(total, (int128)(value >> 2));
    add_wide(total, (int128)(value >> 2));
    add_wide(total, (int128)(value - 3 * (value >> 2)));
}

/* The result is that, in the type the row says; or it does not fit, and the kernel says so. */
static void check_exact(const char *name, enum item_format type, gilfree_error error, struct wide total)
{
    enum item_format result = read_signature(find_variant(sums_rows, name, type)->signature).result;
    uint64_t high = result == ITEM_INT64 && total.limbs[0] >> 63 ? UINT64_MAX : 0;
    bool fits = total.limbs[1] == high && total.limbs[2] == high;
    CHECK(result == ITEM_INT64 || result == ITEM_UINT64);
    CHECK_EQUAL(error, fits ? GILFREE_OK : GILFREE_OVERFLOW);
    if (fits)
        CHECK(results[0].uint64 == total.limbs[0]);
}

static void check_whole(enum item_format type, const void *x, const void *y, int64_t n)
{
    struct wide sum = {{0}}, products = {{0}};
    for (int64_t i = 0; i < n; i++) {
        add_wide(&sum, whole_of(type, x, i));
        if (type == ITEM_UINT64)
            add_unsigned_wide(&products, (uint128)whole_of(type, x, i) * (uint128)whole_of(type, y, i));
        else
            add_wide(&products, whole_of(type, x, i) * whole_of(type, y, i));
    }
    check_exact("sum", type, run("sum", type, x, n), sum);
    check_exact("dot", type, run_with("dot", type, x, y, 0, n), products);
}

/* An item is in 16 additions of its lane, and in the logarithm of the rest. */
static double error_bound(int64_t n)
{
    return (20 + log2((double)(n + 1))) * DBL_EPSILON;
}

static void check_close(double actual, long double expected, double error)
{
    if (!(fabsl(actual - expected) <= error)) {
        fprintf(stderr, "%.17g, not %.20Lg, within %g\n", actual, expected, error);
        CHECK(!"close");
    }
}

static void check_real(enum item_format type, const void *x, const void *y, int64_t n)
{
    struct compensated sum = {0, 0}, sizes = {0, 0}, products = {0, 0}, product_sizes = {0, 0}, squares = {0, 0};
    for (int64_t i = 0; i < n; i++) {
        long double a = real_of(type, x, i), b = real_of(type, y, i);
        add(&sum, a);
        add(&sizes, fabsl(a));
        add(&products, a * b);
        add(&product_sizes, fabsl(a * b));
        add(&squares, a * a);
    }
    double bound = error_bound(n), size = (double)total_of(sizes);
    if (is_float(type)) {
        check_close(value_of("sum", type, x, n), total_of(sum), bound * size);
        CHECK_EQUAL(run_with("dot", type, x, y, 0, n), GILFREE_OK);
        check_close(results[0].float64, total_of(products), bound * (double)total_of(product_sizes));
    }
    long double norm = sqrtl(total_of(squares));
    check_close(value_of("norm", type, x, n), norm, bound * (double)norm);
    if (n > 0)
        check_close(value_of("mean", type, x, n), total_of(sum) / n, (is_float(type) ? bound * size / n : 3 * DBL_EPSILON * size / n));
}

static void check_moments(enum item_format type, const void *x, int64_t n)
{
    const int64_t ddofs[] = {0, 1, 2, -3, n - 1, n, n + 5, INT64_MAX};
    struct compensated sum = {0, 0}, squares = {0, 0}, sizes = {0, 0};
    for (int64_t i = 0; i < n; i++)
        add(&sum, real_of(type, x, i));
    long double mean = n ? total_of(sum) / n : 0;
    for (int64_t i = 0; i < n; i++) {
        long double apart = real_of(type, x, i) - mean;
        add(&squares, apart * apart);
        add(&sizes, fabsl(real_of(type, x, i)));
    }
    long double deviations = total_of(squares);
    /* What rounding the mean adds to the squares, beside what rounding them does. */
    double bound = error_bound(n), off = n ? bound * (double)total_of(sizes) / (double)n : 0;
    double error = 2 * bound * (double)deviations + 4 * (double)n * off * off + 4 * off * sqrt((double)deviations * n) * bound;
    for (int d = 0; d < COUNT(ddofs); d++) {
        int64_t freedom = ddofs[d] < n ? n - ddofs[d] : 0;
        CHECK_EQUAL(run_with("var", type, x, NULL, ddofs[d], n), GILFREE_OK);
        double var = results[0].float64;
        if (n == 0 || (freedom == 0 && deviations == 0))
            CHECK(n == 0 ? isnan(var) : isnan(var) || isinf(var));
        else if (freedom == 0)
            CHECK(isinf(var));
        else
            check_close(var, deviations / freedom, error / (double)freedom);
        CHECK_EQUAL(run_with("std", type, x, NULL, ddofs[d], n), GILFREE_OK);
        CHECK(results[0].float64 == sqrt(var) || isnan(var));
        CHECK_EQUAL(isnan(results[0].float64), isnan(var));
        CHECK_EQUAL(run_with("mean_var", type, x, NULL, ddofs[d], n), GILFREE_OK);
        gilfree_number both[] = {results[0], results[1]};
        CHECK(both[1].float64 == var || (isnan(both[1].float64) && isnan(var)));
        double alone = value_of("mean", type, x, n);
        CHECK(both[0].float64 == alone || (isnan(both[0].float64) && isnan(alone)));
    }
}

/* ---- lengths --------------------------------------------------------------------------------------- */

static _Alignas(16) char x[LENGTH_MAX * 8], y[LENGTH_MAX * 8];

/* kind 0: small numbers of all signs there are; 1: any bits of integers, floats of many sizes; 2: the extremes. */
static void fill(enum item_format type, char *items, int64_t n, int kind)
{
    for (int64_t i = 0; i < n; i++) {
        uint64_t bits = random_bits();
        int64_t small = random_from(type == ITEM_UINT8 || type == ITEM_UINT64 ? 0 : -100, 100);
        double real = kind == 0 ? (double)small : ldexp((double)(int64_t)bits, (int)random_from(-80, -40));
        bool is_high = bits & 1;
        if (type == ITEM_UINT8)
            ((uint8_t *)items)[i] = (uint8_t)(kind == 0 ? small : kind == 1 ? (int64_t)(bits & 255) : is_high * 255);
        else if (type == ITEM_INT32)
            ((int32_t *)items)[i] = kind == 0 ? (int32_t)small : kind == 1 ? (int32_t)bits : is_high ? INT32_MAX : INT32_MIN;
        else if (type == ITEM_INT64)
            ((int64_t *)items)[i] = kind == 0 ? small : kind == 1 ? (int64_t)bits : is_high ? INT64_MAX : INT64_MIN;
        else if (type == ITEM_UINT64)
            ((uint64_t *)items)[i] = kind == 0 ? (uint64_t)small : kind == 1 ? bits : is_high * UINT64_MAX;
        else if (type == ITEM_FLOAT32)
            ((float *)items)[i] = (float)real;
        else
            ((double *)items)[i] = real;
    }
}

static void check_all(enum item_format type, int64_t n)
{
    if (!is_float(type))
        check_whole(type, x, y, n);
    check_real(type, x, y, n);
    check_moments(type, x, n);
}

static void sums_of_every_length_are_right(void)
{
    for (int t = 0; t < COUNT(types); t++)
        for (int l = 0; l < COUNT(border_lengths); l++)
            for (int kind = 0; kind < 3; kind++) {
                if (SLOW && (border_lengths[l] > 9000 || (l + kind) % 3))
                    continue;
                fill(types[t], x, border_lengths[l], kind);
                fill(types[t], y, border_lengths[l], kind);
                check_all(types[t], border_lengths[l]);
            }
}

static void sums_of_every_short_length_are_right(void)
{
    for (int t = 0; t < COUNT(types); t++)
        for (int64_t n = 0; n <= 100; n++)
            for (int kind = 0; kind < 3; kind++) {
                fill(types[t], x, n, kind);
                fill(types[t], y, n, kind);
                check_all(types[t], n);
            }
}

/* One item among zeros counts once, wherever it is. */
static void every_item_counts_once(void)
{
    static const int64_t lengths[] = {1, 33, 545, GILFREE_LEAF, 2 * GILFREE_LEAF + 77};
    for (int l = 0; l < COUNT(lengths); l++)
        for (int64_t i = 0; i < lengths[l]; i += l < 2 ? 1 : SLOW ? 301 : 37) {
            double *reals = (double *)x;
            memset(x, 0, (size_t)lengths[l] * 8);
            reals[i] = 3;
            CHECK(value_of("sum", ITEM_FLOAT64, x, lengths[l]) == 3);
            CHECK(value_of("norm", ITEM_FLOAT64, x, lengths[l]) == 3);
            CHECK_EQUAL(run_with("dot", ITEM_FLOAT64, x, x, 0, lengths[l]), GILFREE_OK);
            CHECK(results[0].float64 == 9);
            memset(x, 0, (size_t)lengths[l] * 8);
            ((int64_t *)x)[i] = -3;
            check_whole(ITEM_INT64, x, x, lengths[l]);
        }
}

/* ---- integers at their ends ------------------------------------------------------------------------ */

#define CHECK_SUM(type, c_type, error, expected, ...)                                      \
    do {                                                                                   \
        const c_type items_[] = {__VA_ARGS__};                                             \
        CHECK_EQUAL(run("sum", type, items_, COUNT(items_)), error);                       \
        CHECK(error || results[0].uint64 == (uint64_t)(expected));                         \
    } while (0)

static void a_sum_that_does_not_fit_is_an_error(void)
{
    CHECK_SUM(ITEM_INT64, int64_t, GILFREE_OK, INT64_MAX, INT64_MAX, 0);
    CHECK_SUM(ITEM_INT64, int64_t, GILFREE_OVERFLOW, 0, INT64_MAX, 1);
    CHECK_SUM(ITEM_INT64, int64_t, GILFREE_OK, INT64_MAX, INT64_MAX, 1, -1);
    CHECK_SUM(ITEM_INT64, int64_t, GILFREE_OK, INT64_MIN, INT64_MIN, 0);
    CHECK_SUM(ITEM_INT64, int64_t, GILFREE_OVERFLOW, 0, INT64_MIN, -1);
    CHECK_SUM(ITEM_INT64, int64_t, GILFREE_OVERFLOW, 0, INT64_MIN, INT64_MIN);
    CHECK_SUM(ITEM_INT64, int64_t, GILFREE_OK, -2, INT64_MIN, INT64_MIN, INT64_MAX, INT64_MAX);
    CHECK_SUM(ITEM_UINT64, uint64_t, GILFREE_OK, UINT64_MAX, UINT64_MAX, 0);
    CHECK_SUM(ITEM_UINT64, uint64_t, GILFREE_OVERFLOW, 0, UINT64_MAX, 1);
    CHECK_SUM(ITEM_UINT64, uint64_t, GILFREE_OVERFLOW, 0, UINT64_MAX, UINT64_MAX);
    CHECK_SUM(ITEM_INT32, int32_t, GILFREE_OK, (int64_t)INT32_MIN * 3, INT32_MIN, INT32_MIN, INT32_MIN);
    CHECK_SUM(ITEM_UINT8, uint8_t, GILFREE_OK, 765, 255, 255, 255);
}

/* 64 bits overflow in every leaf, 128 bits hold it, and at the end it fits. */
static void a_sum_may_overflow_on_its_way(void)
{
    int64_t *wholes = (int64_t *)x, n = 6 * GILFREE_LEAF;
    for (int64_t i = 0; i < n; i++)
        wholes[i] = i < n / 2 ? INT64_MAX : -INT64_MAX;
    wholes[n - 1] = -INT64_MAX + 5;
    CHECK_EQUAL(run("sum", ITEM_INT64, x, n), GILFREE_OK);
    CHECK_EQUAL(results[0].int64, 5);
    CHECK_EQUAL(run("sum", ITEM_INT64, x, n - 1), GILFREE_OK);
    CHECK_EQUAL(results[0].int64, INT64_MAX);
    CHECK_EQUAL(run("sum", ITEM_INT64, x, n - 2), GILFREE_OVERFLOW);
}

static void check_dot(gilfree_error error, int64_t expected, const int64_t *a, const int64_t *b, int64_t n)
{
    CHECK_EQUAL(run_with("dot", ITEM_INT64, a, b, 0, n), error);
    CHECK(error || results[0].int64 == expected);
    check_whole(ITEM_INT64, a, b, n);
}

static void a_dot_that_does_not_fit_is_an_error(void)
{
    const int64_t low = INT64_MIN, high = INT64_MAX;
    /* 4 * 2**126 is 2**128, which is 0 in 128 bits; then less 2**128, and then less one. */
    const int64_t a[] = {low, low, low, low, low, low, low, low, low, 1};
    const int64_t b[] = {low, low, low, low, high, high, high, high, 4, -1};
    check_dot(GILFREE_OVERFLOW, 0, a, b, 4);
    check_dot(GILFREE_OVERFLOW, 0, a, b, 8);
    check_dot(GILFREE_OK, 0, a, b, 9);
    check_dot(GILFREE_OK, -1, a, b, 10);
    check_dot(GILFREE_OK, INT64_MIN, (const int64_t[]){low, 0}, (const int64_t[]){1, low}, 2);
    check_dot(GILFREE_OVERFLOW, 0, (const int64_t[]){low}, (const int64_t[]){-1}, 1);
    check_dot(GILFREE_OK, INT64_MAX, (const int64_t[]){low, 1}, (const int64_t[]){-1, -1}, 2);

    const uint64_t unsigned_low[] = {UINT64_C(1) << 63, UINT64_C(1) << 63, UINT64_C(1) << 63, UINT64_C(1) << 63};
    for (int64_t n = 0; n <= 4; n++) {
        CHECK_EQUAL(run_with("dot", ITEM_UINT64, unsigned_low, unsigned_low, 0, n), n ? GILFREE_OVERFLOW : GILFREE_OK);
        check_whole(ITEM_UINT64, unsigned_low, unsigned_low, n);
    }
    const uint64_t halves[] = {UINT32_MAX, UINT32_MAX, UINT32_MAX};
    check_whole(ITEM_UINT64, halves, halves, 1);
    check_whole(ITEM_UINT64, halves, halves, 2);
    const int32_t least[] = {INT32_MIN, INT32_MIN, INT32_MIN};
    check_whole(ITEM_INT32, least, least, 1);
    CHECK_EQUAL(run_with("dot", ITEM_INT32, least, least, 0, 2), GILFREE_OVERFLOW);
}

/* Whole leaves of the extremes: no sum inside a leaf overflows unseen. */
static void leaves_of_extremes_are_summed_exactly(void)
{
    const int64_t n = 2 * GILFREE_LEAF + 3;
    for (int t = 0; t < 4; t++)
        for (int signs = 0; signs < 4; signs++) {
            ptrdiff_t size = item_size(types[t]);
            const int64_t ends[2][4] = {{0, INT32_MIN, INT64_MIN, 0}, {255, INT32_MAX, INT64_MAX, -1}};
            for (int64_t i = 0; i < n; i++) {
                memcpy(x + i * size, &ends[signs & 1][t], (size_t)size);
                memcpy(y + i * size, &ends[signs >> 1][t], (size_t)size);
            }
            check_whole(types[t], x, y, n);
            check_real(types[t], x, y, n);
        }
}

/* ---- special floats -------------------------------------------------------------------------------- */

static void nothing_sums_up_to_zero_and_has_no_mean(void)
{
    for (int t = 0; t < COUNT(types); t++) {
        CHECK_EQUAL(run("sum", types[t], x, 0), GILFREE_OK);
        CHECK_EQUAL(results[0].uint64, 0);
        CHECK_EQUAL(run_with("dot", types[t], x, y, 0, 0), GILFREE_OK);
        CHECK_EQUAL(results[0].uint64, 0);
        CHECK_EQUAL(run("norm", types[t], x, 0), GILFREE_OK);
        CHECK_EQUAL(results[0].uint64, 0); /* 0.0, and not -0.0 */
        CHECK(isnan(value_of("mean", types[t], x, 0)));
        CHECK(isnan(value_of("var", types[t], x, 0)) && isnan(value_of("std", types[t], x, 0)));
        CHECK(isnan(value_of("mean_var", types[t], x, 0)) && isnan(results[1].float64));
    }
}

static void a_sum_of_negative_zeros_is_one(void)
{
    double *reals = (double *)x;
    for (int l = 1; l < COUNT(border_lengths); l++) {
        int64_t n = border_lengths[l];
        for (int64_t i = 0; i < n; i++)
            reals[i] = -0.0;
        CHECK(value_of("sum", ITEM_FLOAT64, x, n) == 0 && signbit(results[0].float64));
        CHECK(value_of("norm", ITEM_FLOAT64, x, n) == 0 && !signbit(results[0].float64));
        reals[random_from(0, n - 1)] = 0;
        CHECK(value_of("sum", ITEM_FLOAT64, x, n) == 0 && !signbit(results[0].float64));
    }
}

static void check_special(double sum, double norm, int64_t n)
{
    double *reals = (double *)x, got = value_of("sum", ITEM_FLOAT64, x, n);
    float *singles = (float *)y;
    CHECK(isnan(sum) ? isnan(got) : got == sum);
    got = value_of("mean", ITEM_FLOAT64, x, n);
    CHECK(isnan(sum) ? isnan(got) : got == sum);
    got = value_of("norm", ITEM_FLOAT64, x, n);
    CHECK(isnan(norm) ? isnan(got) : got == norm);
    CHECK(isnan(value_of("var", ITEM_FLOAT64, x, n)));
    CHECK(isnan(value_of("std", ITEM_FLOAT64, x, n)));
    for (int64_t i = 0; i < n; i++)
        singles[i] = (float)reals[i];
    got = value_of("sum", ITEM_FLOAT32, y, n);
    CHECK(isnan(sum) ? isnan(got) : got == sum);
    got = value_of("norm", ITEM_FLOAT32, y, n);
    CHECK(isnan(norm) ? isnan(got) : got == norm);
}

static void nan_and_infinity_go_through(void)
{
    static const int64_t lengths[] = {2, 33, 70, 545, GILFREE_LEAF + 3, 2 * GILFREE_LEAF + 77};
    double *reals = (double *)x;
    for (int l = 0; l < COUNT(lengths); l++)
        for (int64_t round = 0; round < 40; round++) {
            int64_t n = lengths[l], place = random_from(0, n - 1), other = (place + random_from(1, n - 1)) % n;
            for (int64_t i = 0; i < n; i++)
                reals[i] = (double)random_from(-9, 9);
            reals[place] = INFINITY;
            check_special(INFINITY, INFINITY, n);
            reals[other] = -INFINITY;
            check_special(NAN, INFINITY, n);
            reals[place] = -3;
            check_special(-INFINITY, INFINITY, n);
            reals[place] = NAN;
            check_special(NAN, NAN, n);
            reals[other] = 3;
            check_special(NAN, NAN, n);
        }
}

/* ---- norm ------------------------------------------------------------------------------------------ */

/* Scaled by the greatest item, as a textbook has it. */
static long double norm_of(const double *reals, int64_t n)
{
    double greatest = 0;
    struct compensated squares = {0, 0};
    for (int64_t i = 0; i < n; i++)
        greatest = fmax(greatest, fabs(reals[i]));
    for (int64_t i = 0; i < n && greatest > 0; i++)
        add(&squares, ((long double)reals[i] / greatest) * ((long double)reals[i] / greatest));
    return greatest * sqrtl(total_of(squares));
}

static void check_norm(int64_t n)
{
    long double expected = norm_of((const double *)x, n);
    double got = value_of("norm", ITEM_FLOAT64, x, n);
    if (expected > DBL_MAX)
        CHECK(isinf(got));
    else /* among subnormal numbers half of their distance is all there is */
        check_close(got, expected, error_bound(n) * (double)expected + DBL_TRUE_MIN);
}

static const double sizes[] = {1e200,   1e-200,          1,     DBL_TRUE_MIN, 3 * DBL_TRUE_MIN, DBL_MIN, 1e300, 1e-300,
                               1e-154,  1e154,           1e145, 1e-140,       1e-145,           0,       1e-320};

static void norm_neither_overflows_nor_vanishes(void)
{
    static const int64_t lengths[] = {1, 2, 31, 545, GILFREE_LEAF};
    double *reals = (double *)x;
    for (int s = 0; s < COUNT(sizes); s++)
        for (int l = 0; l < COUNT(lengths); l++) {
            for (int64_t i = 0; i < lengths[l]; i++)
                reals[i] = i % 2 ? -sizes[s] : sizes[s];
            check_norm(lengths[l]);
            if (lengths[l] == 1) /* with nothing to round */
                CHECK(value_of("norm", ITEM_FLOAT64, x, 1) == sizes[s]);
        }
    reals[0] = -DBL_MAX;
    CHECK(value_of("norm", ITEM_FLOAT64, x, 1) == DBL_MAX);
    reals[1] = DBL_MAX;
    CHECK(isinf(value_of("norm", ITEM_FLOAT64, x, 2)));
}

/* In one leaf, and in leaves of one size each, in every order. */
static void norm_takes_all_sizes_together(void)
{
    double *reals = (double *)x;
    for (int round = 0; round < (SLOW ? 100 : 500); round++) {
        int64_t n = random_from(1, 300);
        for (int64_t i = 0; i < n; i++)
            reals[i] = sizes[random_bits() % COUNT(sizes)] * (double)random_from(-3, 3);
        check_norm(n);
        int leaves = (int)random_from(2, 6);
        for (int leaf = 0; leaf < leaves; leaf++) {
            double size = sizes[random_bits() % COUNT(sizes)];
            for (int64_t i = leaf * GILFREE_LEAF; i < (leaf + 1) * GILFREE_LEAF; i++)
                reals[i] = i % 64 ? 0 : size;
        }
        check_norm(leaves * GILFREE_LEAF - random_from(0, 100));
    }
}

/* ---- variance -------------------------------------------------------------------------------------- */

/* A sum of squares less a squared sum would leave nothing of these. */
static void a_large_offset_leaves_the_variance_alone(void)
{
    const int64_t n = LENGTH_MAX;
    for (int t = 1; t < COUNT(types); t++) {
        struct compensated sum = {0, 0}, squares = {0, 0};
        for (int64_t i = 0; i < n; i++) {
            int64_t whole = 1000000000 + i * 7919 % 1001;
            double real = 1e9 + (double)(i * 7919 % 1001) / 1024;
            if (types[t] == ITEM_INT32)
                ((int32_t *)x)[i] = (int32_t)whole;
            else if (types[t] == ITEM_INT64)
                ((int64_t *)x)[i] = -whole;
            else if (types[t] == ITEM_UINT64)
                ((uint64_t *)x)[i] = (uint64_t)whole;
            else if (types[t] == ITEM_FLOAT32)
                ((float *)x)[i] = 1e6f + (float)(i * 7919 % 1001) / 16;
            else
                ((double *)x)[i] = real;
            add(&sum, real_of(types[t], x, i));
        }
        for (int64_t i = 0; i < n; i++) {
            long double apart = real_of(types[t], x, i) - total_of(sum) / n;
            add(&squares, apart * apart);
        }
        long double var = total_of(squares) / n;
        check_close(value_of("var", types[t], x, n), var, 1e-13 * (double)var);
        check_close(value_of("std", types[t], x, n), sqrtl(var), 1e-13 * sqrt((double)var));
        CHECK_EQUAL(run_with("mean_var", types[t], x, NULL, 1, n), GILFREE_OK);
        check_close(results[0].float64, total_of(sum) / n, DBL_EPSILON * 2e9);
        check_close(results[1].float64, total_of(squares) / (n - 1), 1e-13 * (double)var);
    }
}

/* ---- accuracy -------------------------------------------------------------------------------------- */

/* As NumPy sums: eight sums side by side over up to 128 items, halves above. */
static double pairwise(const double *reals, int64_t n)
{
    if (n <= 128) {
        double sums[8] = {0};
        for (int64_t i = 0; i < n; i++)
            sums[i % 8] += reals[i];
        return ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
    }
    int64_t half = n / 2 / 8 * 8;
    return pairwise(reals, half) + pairwise(reals + half, n - half);
}

/* Numbers of one size that nearly cancel, so that all that is left is error; the mean square of many such sums. */
static void sums_are_as_accurate_as_pairwise_ones(void)
{
    double *reals = (double *)x, ours = 0, theirs = 0, plain = 0;
    const int64_t n = 20000;
    for (int round = 0; round < (SLOW ? 30 : 100); round++) {
        struct compensated exact = {0, 0};
        for (int64_t i = 0; i < n; i++)
            reals[i] = ldexp((double)(random_bits() >> 11), -53);
        for (int64_t i = 0; i < n / 2; i++) { /* each with its negative, far apart */
            int64_t to = n / 2 + random_from(0, n / 2 - 1);
            reals[to] = -reals[i];
        }
        double serial = 0;
        for (int64_t i = 0; i < n; i++) {
            add(&exact, reals[i]);
            serial += reals[i];
        }
        double sum = (double)total_of(exact);
        ours += pow(value_of("sum", ITEM_FLOAT64, x, n) - sum, 2);
        theirs += pow(pairwise(reals, n) - sum, 2);
        plain += pow(serial - sum, 2);
    }
    CHECK(ours <= theirs * 1.2);
    CHECK(plain > 20 * ours);
}

int main(void)
{
    RUN(sums_of_every_length_are_right);
    RUN(sums_of_every_short_length_are_right);
    RUN(every_item_counts_once);
    RUN(a_sum_that_does_not_fit_is_an_error);
    RUN(a_sum_may_overflow_on_its_way);
    RUN(a_dot_that_does_not_fit_is_an_error);
    RUN(leaves_of_extremes_are_summed_exactly);
    RUN(nothing_sums_up_to_zero_and_has_no_mean);
    RUN(a_sum_of_negative_zeros_is_one);
    RUN(nan_and_infinity_go_through);
    RUN(norm_neither_overflows_nor_vanishes);
    RUN(norm_takes_all_sizes_together);
    RUN(a_large_offset_leaves_the_variance_alone);
    RUN(sums_are_as_accurate_as_pairwise_ones);
    return 0;
}
