/* The elementwise kernels against their formulas, bit for bit, at every alignment, length and stride. */
#include <math.h>
#include <float.h>
#include <stdlib.h>

#include "check.h"
#include "kernels.h"

#define LENGTH_MAX 67
#define SHIFT_MAX 8 /* an alignment in items: 8 doubles are the widest vector */
#define SIZE (LENGTH_MAX + 2 * SHIFT_MAX)
#define ARGUMENTS 3

static double arguments[ARGUMENTS][3 * SIZE], results[3 * SIZE];
static const double untouched = 12345.678;

/* All sizes of numbers, the special ones, but no NaN (its bits are not the kernel's to choose). */
static double any_number(void)
{
    static const double special[] = {0.0,     -0.0,     1,         -1,       0.1,  DBL_MIN / 2,
                                     DBL_MAX, -DBL_MAX, INFINITY, DBL_MIN, 1e16, DBL_EPSILON};
    if (rand() % 4 == 0)
        return special[(size_t)rand() % (sizeof special / sizeof *special)];
    return ldexp((double)rand() / RAND_MAX - 0.5, rand() % 80 - 40);
}

static void fill(void)
{
    for (int a = 0; a < ARGUMENTS; a++)
        for (int i = 0; i < 3 * SIZE; i++)
            arguments[a][i] = any_number();
    for (int i = 0; i < 3 * SIZE; i++)
        results[i] = untouched;
}

static bool same_bits(double a, double b)
{
    return memcmp(&a, &b, sizeof a) == 0 || (isnan(a) && isnan(b));
}

typedef double formula(const double *x);

static double polynomial(const double *x)
{
    return ((x[0] * (1.0 / 6) + 0.5) * x[0] + 1) * x[0] + 1;
}

static double muladd(const double *x)
{
    return x[0] * x[1] + x[2];
}

static double item(gilfree_view view, int64_t i)
{
    return GILFREE_ITEM(const double, view, i);
}

/* Runs items [begin, begin + length), having noted what they must give; then nothing else may have changed. */
static void check_range(const char *name, formula *expected_of, int count, int64_t begin, int64_t length,
                        const gilfree_view *views)
{
    static double expected[LENGTH_MAX], before[3 * SIZE];
    memcpy(before, results, sizeof results);
    for (int64_t i = 0; i < length; i++) {
        double x[ARGUMENTS];
        for (int a = 0; a < count; a++)
            x[a] = item(views[1 + a], begin + i);
        expected[i] = expected_of(x);
    }
    find_row(elementwise_rows, name)->range(NULL, begin, begin + length, views);
    for (int64_t i = 0; i < length; i++) {
        double *result = (double *)(views[0].data + (begin + i) * views[0].stride);
        CHECK(same_bits(*result, expected[i]));
        if (result >= results && result < results + 3 * SIZE)
            *result = before[result - results];
    }
    CHECK(memcmp(before, results, sizeof results) == 0);
}

static gilfree_view view_of(double *items, ptrdiff_t stride)
{
    return (gilfree_view){(char *)items, stride * (ptrdiff_t)sizeof(double)};
}

static void polynomial_is_its_formula_at_every_alignment_and_length(void)
{
    srand(5);
    fill();
    for (int to = 0; to < SHIFT_MAX; to++)
        for (int from = 0; from < SHIFT_MAX; from++)
            for (int length = 0; length <= LENGTH_MAX; length++) {
                const gilfree_view views[] = {view_of(results + to, 1), view_of(arguments[0] + from, 1)};
                check_range("polynomial", polynomial, 1, 0, length, views);
                check_range("polynomial", polynomial, 1, length % SHIFT_MAX, length, views);
            }
}

static void polynomial_is_its_formula_at_every_stride(void)
{
    static const int strides[] = {-2, -1, 0, 1, 2, 3};
    fill();
    for (int to = 0; to < 6; to++)
        for (int from = 0; from < 6; from++)
            for (int length = 0; length <= LENGTH_MAX && strides[to] != 0; length++) {
                double *last = results + (strides[to] < 0 ? 3 * SIZE - 1 : 0);
                double *first = arguments[0] + (strides[from] < 0 ? 3 * SIZE - 1 : 0);
                const gilfree_view views[] = {view_of(last, strides[to]), view_of(first, strides[from])};
                check_range("polynomial", polynomial, 1, length % SHIFT_MAX, length, views);
            }
}

static void muladd_repeats_an_argument_of_stride_0(void)
{
    fill();
    for (int repeated = 0; repeated < 1 << ARGUMENTS; repeated++)
        for (int shift = 0; shift < SHIFT_MAX; shift++)
            for (int length = 0; length <= LENGTH_MAX; length++) {
                gilfree_view views[1 + ARGUMENTS] = {view_of(results + (shift + repeated) % SHIFT_MAX, 1)};
                for (int a = 0; a < ARGUMENTS; a++)
                    views[1 + a] = view_of(arguments[a] + (shift * (a + 1)) % SHIFT_MAX, repeated >> a & 1 ? 0 : 1);
                check_range("muladd", muladd, 3, length % 3, length, views);
            }
}

static void the_result_may_be_an_argument(void)
{
    for (int length = 0; length <= LENGTH_MAX; length++)
        for (int shift = 0; shift < SHIFT_MAX; shift++)
            for (int stride = 1; stride <= 2; stride++) {
                fill();
                const gilfree_view own = view_of(arguments[0] + shift, stride);
                check_range("polynomial", polynomial, 1, 0, length, (const gilfree_view[]){own, own});
                for (int a = 0; a < ARGUMENTS; a++) {
                    fill();
                    gilfree_view views[1 + ARGUMENTS] = {view_of(arguments[a] + shift, stride)};
                    for (int b = 0; b < ARGUMENTS; b++)
                        views[1 + b] = b == a ? views[0] : view_of(arguments[b], 1);
                    check_range("muladd", muladd, 3, 0, length, views);
                }
            }
}

/* One array in all three places. */
static void arguments_may_be_one(void)
{
    fill();
    const gilfree_view own = view_of(arguments[0], 1);
    check_range("muladd", muladd, 3, 0, LENGTH_MAX, (const gilfree_view[]){own, own, own, own});
}

/* x * y rounds to 1, so that a fused multiply-add would leave a rest. */
static void each_step_is_rounded(void)
{
    double x[9], y[9], z[9], result[9];
    for (int i = 0; i < 9; i++) {
        x[i] = 1 + 0x1p-30;
        y[i] = 1 - 0x1p-30;
        z[i] = -1;
    }
    const gilfree_view views[] = {view_of(result, 1), view_of(x, 1), view_of(y, 1), view_of(z, 1)};
    find_row(elementwise_rows, "muladd")->range(NULL, 0, 9, views);
    for (int i = 0; i < 9; i++)
        CHECK(result[i] == 0);
}

int main(void)
{
    RUN(polynomial_is_its_formula_at_every_alignment_and_length);
    RUN(polynomial_is_its_formula_at_every_stride);
    RUN(muladd_repeats_an_argument_of_stride_0);
    RUN(the_result_may_be_an_argument);
    RUN(arguments_may_be_one);
    RUN(each_step_is_rounded);
    return 0;
}
