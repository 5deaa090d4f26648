/* sums - sums over arrays, and what is made of sums: dot, norm, mean, var, std.
 *
 * Floats are added in float64, in LANES sums side by side over RUN items at a time, and all of these in a binary
 * tree: an item takes part in RUN / LANES additions and the logarithm of the rest. That is the length of NumPy's
 * pairwise summation, with the error bound of N. J. Higham, The accuracy of floating point summation, 1993. The
 * lanes stand in the source, and so the bits depend neither on the width of the machine's vectors nor on who
 * worked. Integers are added exactly. */
#include "kernels.h"
#include "lanes.h"
#include "numbers.h"
#include "targets.h"

#include <math.h>

#define RUN 512
#define RUNS (GILFREE_LEAF / RUN)

__extension__ typedef __int128 int128;
__extension__ typedef unsigned __int128 uint128;

/* ---- sums of floats ------------------------------------------------------------------------------ */

/* All runs into sums[0], in a binary tree. */
static inline void add_runs(double sums[RUNS][LANES], int64_t runs)
{
    for (int64_t apart = 1; apart < runs; apart *= 2)
        for (int64_t run = 0; run + apart < runs; run += 2 * apart)
            for (int l = 0; l < LANES; l++)
                sums[run][l] += sums[run + apart][l];
}

/* `lanes` into lanes[0], in a fixed order. */
static inline double add_lanes(double lanes[LANES])
{
    for (int half = LANES / 2; half > 0; half /= 2)
        for (int l = 0; l < half; l++)
            lanes[l] += lanes[l + half];
    return lanes[0];
}

/* static double NAME(x, y, c, n): the sum of TERM over i in [0, n), n <= GILFREE_LEAF. -0.0 adds nothing, not
 * even to -0.0. */
#define DEFINE_SUM(name, x_type, y_type, term)                                                          \
    FOR_EACH_VECTOR_WIDTH                                                                               \
    static double name(const x_type *x, const y_type *y, double c, int64_t n)                          \
    {                                                                                                   \
        double sums[RUNS][LANES];                                                                       \
        int64_t runs = n > RUN ? (n + RUN - 1) / RUN : 1;                                               \
        (void)y, (void)c;                                                                               \
        for (int64_t run = 0; run < runs; run++) {                                                      \
            double lanes[LANES];                                                                        \
            int64_t i = run * RUN, end = n - i > RUN ? i + RUN : n;                                     \
            for (int l = 0; l < LANES; l++)                                                             \
                lanes[l] = -0.0;                                                                        \
            for (; i + LANES <= end; i += LANES) {                                                      \
                FETCH_AHEAD(x + i);                                                                     \
                for (int l = 0; l < LANES; l++)                                                         \
                    lanes[l] += term(i + l);                                                            \
            }                                                                                           \
            for (int l = 0; i < end; i++, l++)                                                          \
                lanes[l] += term(i);                                                                    \
            for (int l = 0; l < LANES; l++)                                                             \
                sums[run][l] = lanes[l];                                                                \
        }                                                                                               \
        add_runs(sums, runs);                                                                           \
        return add_lanes(sums[0]);                                                                      \
    }

#define ITEM(i) ((double)x[i])
#define PRODUCT(i) ((double)x[i] * (double)y[i])
#define SCALED_SQUARE(i) (((double)x[i] * c) * ((double)x[i] * c))

#define DEFINE_FLOAT_SUMS(name, type, of_sum)           \
    DEFINE_SUM(items_##name, type, type, ITEM)          \
    DEFINE_SUM(products_##name, type, type, PRODUCT)
FLOAT_TYPES(DEFINE_FLOAT_SUMS)

#define DEFINE_SQUARE_SUMS(name, type, of_sum) DEFINE_SUM(squares_##name, type, type, SCALED_SQUARE)
NUMBER_TYPES(DEFINE_SQUARE_SUMS)

/* ---- sums of integers ---------------------------------------------------------------------------- */

/* high * 2**64 + low: room for 2**62 products of two 64-bit numbers. */
struct exact {
    int128 high;
    uint64_t low;
};

static inline struct exact exact_of(int128 number)
{
    return (struct exact){number >> 64, (uint64_t)number};
}

static inline struct exact exact_sum(struct exact a, struct exact b)
{
    uint128 low = (uint128)a.low + b.low;
    return (struct exact){a.high + b.high + (int128)(low >> 64), (uint64_t)low};
}

/* For sums of items: they fit in 128 bits. */
static inline double exact_as_double(struct exact number)
{
    return (double)((int128)((uint128)number.high << 64) | (int128)(uint128)number.low);
}

static gilfree_error exact_as_int64(struct exact number, gilfree_number *result)
{
    result->int64 = (int64_t)number.low;
    return number.high == (result->int64 < 0 ? -1 : 0) ? GILFREE_OK : GILFREE_OVERFLOW;
}

static gilfree_error exact_as_uint64(struct exact number, gilfree_number *result)
{
    result->uint64 = number.low;
    return number.high == 0 ? GILFREE_OK : GILFREE_OVERFLOW;
}

FOR_EACH_VECTOR_WIDTH
static struct exact exact_items_uint8(const uint8_t *x, int64_t n)
{
    uint32_t sum = 0; /* up to GILFREE_LEAF * 255 */
    for (int64_t i = 0; i < n; i++)
        sum += x[i];
    return exact_of(sum);
}

FOR_EACH_VECTOR_WIDTH
static struct exact exact_items_int32(const int32_t *x, int64_t n)
{
    int64_t sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += x[i];
    return exact_of(sum);
}

/* The halves of 64-bit numbers are added each by itself: that leaves room for all carries. */
FOR_EACH_VECTOR_WIDTH
static struct exact exact_items_uint64(const uint64_t *x, int64_t n)
{
    uint64_t low = 0, high = 0;
    for (int64_t i = 0; i < n; i++) {
        low += (uint32_t)x[i];
        high += x[i] >> 32;
    }
    return exact_of(((int128)high << 32) + low);
}

/* As unsigned numbers, 2**63 above. */
FOR_EACH_VECTOR_WIDTH
static struct exact exact_items_int64(const int64_t *x, int64_t n)
{
    uint64_t low = 0, high = 0;
    for (int64_t i = 0; i < n; i++) {
        uint64_t above = (uint64_t)x[i] ^ UINT64_C(1) << 63;
        low += (uint32_t)above;
        high += above >> 32;
    }
    return exact_of(((int128)high << 32) + low - ((int128)n << 63));
}

FOR_EACH_VECTOR_WIDTH
static struct exact exact_products_uint8(const uint8_t *x, const uint8_t *y, int64_t n)
{
    uint32_t sum = 0; /* up to GILFREE_LEAF * 255**2 */
    for (int64_t i = 0; i < n; i++)
        sum += (uint32_t)x[i] * y[i];
    return exact_of(sum);
}

FOR_EACH_VECTOR_WIDTH
static struct exact exact_products_int32(const int32_t *x, const int32_t *y, int64_t n)
{
    int64_t low = 0, high = 0;
    for (int64_t i = 0; i < n; i++) {
        int64_t product = (int64_t)x[i] * y[i];
        low += (uint32_t)product;
        high += product >> 32;
    }
    return exact_of((int128)high * ((int128)1 << 32) + low);
}

#define DEFINE_EXACT_PRODUCTS(name, type, wide)                                                     \
    static struct exact exact_products_##name(const type *x, const type *y, int64_t n)              \
    {                                                                                               \
        uint128 low = 0;                                                                            \
        int128 high = 0;                                                                            \
        for (int64_t i = 0; i < n; i++) {                                                           \
            wide product = (wide)x[i] * y[i];                                                       \
            low += (uint64_t)product;                                                               \
            high += (int128)(product >> 64);                                                        \
        }                                                                                           \
        return (struct exact){high + (int128)(low >> 64), (uint64_t)low};                           \
    }
DEFINE_EXACT_PRODUCTS(int64, int64_t, int128)
DEFINE_EXACT_PRODUCTS(uint64, uint64_t, uint128)

/* ---- sum, dot, mean ------------------------------------------------------------------------------ */

static void add_floats(void *left, const void *right)
{
    *(double *)left += *(const double *)right;
}

static void add_exact(void *left, const void *right)
{
    *(struct exact *)left = exact_sum(*(struct exact *)left, *(const struct exact *)right);
}

#define DEFINE_FLOAT_PARTIALS(name, type, of_sum)                                                        \
    static void sum_##name(int64_t begin, int64_t n, const void *const *arrays, void *partial)          \
    {                                                                                                    \
        (void)begin;                                                                                     \
        *(double *)partial = items_##name(arrays[0], NULL, 0, n);                                        \
    }                                                                                                    \
    static void dot_##name(int64_t begin, int64_t n, const void *const *arrays, void *partial)          \
    {                                                                                                    \
        (void)begin;                                                                                     \
        *(double *)partial = products_##name(arrays[0], arrays[1], 0, n);                                \
    }
FLOAT_TYPES(DEFINE_FLOAT_PARTIALS)

#define DEFINE_EXACT_PARTIALS(name, type, of_sum)                                                        \
    static void sum_##name(int64_t begin, int64_t n, const void *const *arrays, void *partial)          \
    {                                                                                                    \
        (void)begin;                                                                                     \
        *(struct exact *)partial = exact_items_##name(arrays[0], n);                                     \
    }                                                                                                    \
    static void dot_##name(int64_t begin, int64_t n, const void *const *arrays, void *partial)          \
    {                                                                                                    \
        (void)begin;                                                                                     \
        *(struct exact *)partial = exact_products_##name(arrays[0], arrays[1], n);                       \
    }
INTEGER_TYPES(DEFINE_EXACT_PARTIALS)

static gilfree_error finish_sum_float64(const void *partial, int64_t n, const gilfree_number *arguments,
                                        gilfree_number *results)
{
    (void)arguments;
    results[0].float64 = n ? *(const double *)partial : 0;
    return GILFREE_OK;
}

static gilfree_error finish_sum_int64(const void *partial, int64_t n, const gilfree_number *arguments,
                                      gilfree_number *results)
{
    (void)n, (void)arguments;
    return exact_as_int64(*(const struct exact *)partial, results);
}

static gilfree_error finish_sum_uint64(const void *partial, int64_t n, const gilfree_number *arguments,
                                       gilfree_number *results)
{
    (void)n, (void)arguments;
    return exact_as_uint64(*(const struct exact *)partial, results);
}

static gilfree_error finish_mean_floats(const void *partial, int64_t n, const gilfree_number *arguments,
                                        gilfree_number *results)
{
    (void)arguments;
    results[0].float64 = n ? *(const double *)partial / (double)n : NAN;
    return GILFREE_OK;
}

static gilfree_error finish_mean_exact(const void *partial, int64_t n, const gilfree_number *arguments,
                                       gilfree_number *results)
{
    (void)arguments;
    results[0].float64 = n ? exact_as_double(*(const struct exact *)partial) / (double)n : NAN;
    return GILFREE_OK;
}

/* ---- norm ---------------------------------------------------------------------------------------- */

/* The sum of the squares, times 4**exponent. */
struct squares {
    double sum;
    int exponent;
};

/* Within these bounds sums of up to 2**54 squares neither overflow nor lose what they should not. */
#define SQUARES_LEAST 0x1p-900
#define SQUARES_MOST 0x1p+960

static void norm_float64(int64_t begin, int64_t n, const void *const *arrays, void *partial)
{
    const double *x = arrays[0];
    struct squares *squares = partial;
    (void)begin;
    *squares = (struct squares){squares_float64(x, NULL, 1, n), 0};
    if ((squares->sum >= SQUARES_LEAST && squares->sum <= SQUARES_MOST) || isnan(squares->sum))
        return;
    double greatest = 0;
    for (int64_t i = 0; i < n; i++)
        greatest = fabs(x[i]) > greatest ? fabs(x[i]) : greatest;
    if (greatest == 0 || isinf(greatest))
        return;
    int exponent = ilogb(greatest) < -1000 ? -1000 : ilogb(greatest);
    *squares = (struct squares){squares_float64(x, NULL, ldexp(1, -exponent), n), exponent};
}

#define DEFINE_NORM(name)                                                                                 \
    static void norm_##name(int64_t begin, int64_t n, const void *const *arrays, void *partial)          \
    {                                                                                                     \
        (void)begin;                                                                                      \
        *(struct squares *)partial = (struct squares){squares_##name(arrays[0], NULL, 1, n), 0};          \
    }
/* Their squares are far from all bounds. */
DEFINE_NORM(uint8)
DEFINE_NORM(int32)
DEFINE_NORM(int64)
DEFINE_NORM(uint64)
DEFINE_NORM(float32)

static void add_squares(void *left, const void *right)
{
    struct squares a = *(struct squares *)left, b = *(const struct squares *)right;
    if (a.sum == 0 || (b.sum != 0 && b.exponent > a.exponent)) {
        struct squares swap = a;
        a = b;
        b = swap;
    }
    if (b.sum != 0)
        a.sum += ldexp(b.sum, 2 * (b.exponent - a.exponent));
    *(struct squares *)left = a;
}

static gilfree_error finish_norm(const void *partial, int64_t n, const gilfree_number *arguments,
                                 gilfree_number *results)
{
    const struct squares *squares = partial;
    (void)arguments;
    results[0].float64 = n ? ldexp(sqrt(squares->sum), squares->exponent) : 0;
    return GILFREE_OK;
}

/* ---- var, std, mean_var -------------------------------------------------------------------------- */

/* T. F. Chan, G. H. Golub, R. J. LeVeque, Updating formulae and a pairwise algorithm for computing sample variances,
 * 1982, with a mean of two parts: far from 0, what rounding it leaves out is as large as a small deviation. */
struct moments {
    int64_t n;
    double mean;       /* rounded, or some number near the mean */
    double rest;       /* the sum of the deviations from it: 0, were it exact */
    double deviations; /* the sum of the squared deviations from the exact mean; NaN if that is not finite */
};

/* Of x - c and of (x - c)**2. */
struct shifted_sums {
    double rests, squares;
};

#define DEFINE_SHIFTED_SUMS(name, type, of_sum)                                                         \
    FOR_EACH_VECTOR_WIDTH                                                                               \
    static struct shifted_sums shifted_##name(const type *x, double c, int64_t n)                      \
    {                                                                                                   \
        double sums[2][RUNS][LANES];                                                                    \
        int64_t runs = n > RUN ? (n + RUN - 1) / RUN : 1;                                               \
        for (int64_t run = 0; run < runs; run++) {                                                      \
            double rests[LANES], squares[LANES];                                                        \
            int64_t i = run * RUN, end = n - i > RUN ? i + RUN : n;                                     \
            for (int l = 0; l < LANES; l++)                                                             \
                rests[l] = squares[l] = 0;                                                              \
            for (; i + LANES <= end; i += LANES) {                                                      \
                FETCH_AHEAD(x + i);                                                                     \
                for (int l = 0; l < LANES; l++) {                                                       \
                    double apart = (double)x[i + l] - c;                                                \
                    rests[l] += apart;                                                                  \
                    squares[l] += apart * apart;                                                        \
                }                                                                                       \
            }                                                                                           \
            for (int l = 0; i < end; i++, l++) {                                                        \
                double apart = (double)x[i] - c;                                                        \
                rests[l] += apart;                                                                      \
                squares[l] += apart * apart;                                                            \
            }                                                                                           \
            for (int l = 0; l < LANES; l++) {                                                           \
                sums[0][run][l] = rests[l];                                                             \
                sums[1][run][l] = squares[l];                                                           \
            }                                                                                           \
        }                                                                                               \
        for (int s = 0; s < 2; s++)                                                                     \
            add_runs(sums[s], runs);                                                                    \
        return (struct shifted_sums){add_lanes(sums[0][0]), add_lanes(sums[1][0])};                     \
    }
NUMBER_TYPES(DEFINE_SHIFTED_SUMS)

/* A leaf is read once, and shifted by the mean of its first items; once more if that turns out so far from the mean
 * that a good part of the squares would have to be taken off again. */
#define DEFINE_MOMENTS(name, type, of_sum)                                                                    \
    static void moments_##name(int64_t begin, int64_t n, const void *const *arrays, void *partial)           \
    {                                                                                                         \
        const type *x = arrays[0];                                                                            \
        struct moments *moments = partial;                                                                    \
        int64_t first = n < LANES ? n : LANES;                                                                \
        double c = 0;                                                                                         \
        (void)begin;                                                                                          \
        for (int64_t i = 0; i < first; i++)                                                                   \
            c += (double)x[i] / (double)first;                                                                \
        struct shifted_sums sums = shifted_##name(x, c, n);                                                   \
        double off = n ? sums.rests * (sums.rests / (double)n) : 0;                                           \
        if (off > sums.squares / 2 || isinf(sums.squares)) {                                                  \
            c += sums.rests / (double)n;                                                                      \
            sums = shifted_##name(x, c, n);                                                                   \
            off = sums.rests * (sums.rests / (double)n);                                                      \
        }                                                                                                     \
        double deviations = isinf(sums.squares) ? sums.squares : sums.squares - off;                          \
        *moments = (struct moments){n, c, sums.rests, deviations < 0 ? 0 : deviations};                       \
        if (isfinite(sums.rests))                                                                             \
            return;                                                                                           \
        *moments = (struct moments){n, 0, 0, NAN};                                                            \
        for (int64_t i = 0; i < n; i++)                                                                       \
            moments->mean += (double)x[i] / (double)n;                                                        \
    }
NUMBER_TYPES(DEFINE_MOMENTS)

static void combine_moments(void *left, const void *right)
{
    struct moments *a = left;
    const struct moments *b = right;
    double na = (double)a->n, nb = (double)b->n, n = na + nb, apart = b->mean - a->mean;
    double mean = a->mean + (a->rest + b->rest + nb * apart) / n;
    if (!isfinite(mean)) {
        *a = (struct moments){a->n + b->n, a->mean * (na / n) + b->mean * (nb / n), 0, NAN};
        return;
    }
    double between = apart + (b->rest / nb - a->rest / na);
    a->deviations = (a->deviations + b->deviations) + between * between * (na * (nb / n));
    a->rest = (a->rest + na * (a->mean - mean)) + (b->rest + nb * (b->mean - mean));
    a->n += b->n;
    a->mean = mean;
}

/* As in NumPy, more degrees of freedom than there are count as none. */
static double variance(const struct moments *moments, int64_t ddof)
{
    double freedom = ddof < moments->n ? (double)moments->n - (double)ddof : 0;
    return moments->n ? moments->deviations / freedom : NAN;
}

static gilfree_error finish_var(const void *partial, int64_t n, const gilfree_number *arguments,
                                gilfree_number *results)
{
    (void)n;
    results[0].float64 = variance(partial, arguments[1].int64);
    return GILFREE_OK;
}

static gilfree_error finish_std(const void *partial, int64_t n, const gilfree_number *arguments,
                                gilfree_number *results)
{
    (void)n;
    results[0].float64 = sqrt(variance(partial, arguments[1].int64));
    return GILFREE_OK;
}

static gilfree_error finish_mean_var(const void *partial, int64_t n, const gilfree_number *arguments,
                                     gilfree_number *results)
{
    const struct moments *moments = partial;
    results[0].float64 = n ? moments->mean + moments->rest / (double)n : NAN;
    results[1].float64 = variance(moments, arguments[1].int64);
    return GILFREE_OK;
}

/* ---- rows ---------------------------------------------------------------------------------------- */

#define ROW(name, signature, doc, ...) {name, signature, NULL, GILFREE_UNKNOWN, 0, 0, doc, {__VA_ARGS__}},

#define SUM_FLOAT(name, type, of_sum)                                                                            \
    ROW("sum", #of_sum "(" #name "[] x)", SUM_DOC, sizeof(double), sum_##name, add_floats, finish_sum_float64, 1)
#define SUM_EXACT(name, type, of_sum)                                                                            \
    ROW("sum", #of_sum "(" #name "[] x)", SUM_DOC, sizeof(struct exact), sum_##name, add_exact,                  \
        finish_sum_##of_sum, 1)
#define SUM_DOC "The sum of the items: integers exactly, floats in float64, at least as accurate as pairwise summation."

#define DOT_FLOAT(name, type, of_sum)                                                                            \
    ROW("dot", #of_sum "(" #name "[] x, " #name "[] y)", DOT_DOC, sizeof(double), dot_##name, add_floats,        \
        finish_sum_float64, 0)
#define DOT_EXACT(name, type, of_sum)                                                                            \
    ROW("dot", #of_sum "(" #name "[] x, " #name "[] y)", DOT_DOC, sizeof(struct exact), dot_##name, add_exact,   \
        finish_sum_##of_sum, 0)
#define DOT_DOC "The sum of the products of the items of x and y: of integers exactly, of floats in float64."

#define MEAN_FLOAT(name, type, of_sum)                                                                           \
    ROW("mean", "float64(" #name "[] x)", MEAN_DOC, sizeof(double), sum_##name, add_floats, finish_mean_floats, 1)
#define MEAN_EXACT(name, type, of_sum)                                                                           \
    ROW("mean", "float64(" #name "[] x)", MEAN_DOC, sizeof(struct exact), sum_##name, add_exact,                 \
        finish_mean_exact, 1)
#define MEAN_DOC "The sum of the items over their number; NaN if there are none."

#define NORM(name, type, of_sum)                                                                                 \
    ROW("norm", "float64(" #name "[] x)",                                                                        \
        "The Euclidean norm, the square root of the sum of the squares; no square overflows or vanishes.",       \
        sizeof(struct squares), norm_##name, add_squares, finish_norm, 1)

#define MOMENTS(row, results, finish, doc, name)                                                                 \
    ROW(row, results "(" #name "[] x, int64 ddof=0)", doc, sizeof(struct moments), moments_##name,               \
        combine_moments, finish, 1)
#define VAR_DOC \
    "The variance: the mean squared deviation from the mean, over the number of items less ddof; NaN if there are none."
#define VAR(name, type, of_sum) MOMENTS("var", "float64", finish_var, VAR_DOC, name)
#define STD_DOC "The standard deviation, the square root of the variance."
#define STD(name, type, of_sum) MOMENTS("std", "float64", finish_std, STD_DOC, name)
#define MEAN_VAR_DOC "The mean and the variance, as a pair, the array being read once."
#define MEAN_VAR(name, type, of_sum) MOMENTS("mean_var", "(float64, float64)", finish_mean_var, MEAN_VAR_DOC, name)

const gilfree_row sums_rows[] = {
    INTEGER_TYPES(SUM_EXACT) FLOAT_TYPES(SUM_FLOAT)
    INTEGER_TYPES(DOT_EXACT) FLOAT_TYPES(DOT_FLOAT)
    NUMBER_TYPES(NORM)
    INTEGER_TYPES(MEAN_EXACT) FLOAT_TYPES(MEAN_FLOAT)
    NUMBER_TYPES(VAR) NUMBER_TYPES(STD) NUMBER_TYPES(MEAN_VAR)
    {0},
};
