/* extrema - the least and the greatest items of arrays, and where they are.
 *
 * NaN is both less and greater than everything, as in NumPy: an array that holds one has no other extremum. Of equal
 * items argmin and argmax give the first; which of 0.0 and -0.0, which are equal, min and max give, the array's length
 * and order decide. The lanes stand in the source: see sums.c. */
#include "kernels.h"
#include "numbers.h"
#include "targets.h"

#define LANES 32

/* Vectors want plain comparisons: `x OP least ? x : least` leaves NaN out, which is looked for apart. `x != x` is
 * never true of an integer, and then nothing is left of that search. */
#define LESS(a, b) ((a) < (b))
#define GREATER(a, b) ((a) > (b))

/* static void NAME(x, n, TYPE *result): the first of `before` order of n >= 1 items, or NaN. */
#define DEFINE_EXTREMUM(name, type, before)                                                             \
    FOR_EACH_VECTOR_WIDTH                                                                               \
    static type name(const type *x, int64_t n)                                                          \
    {                                                                                                   \
        type lanes[LANES], nans[LANES];                                                                 \
        int64_t i = 0;                                                                                  \
        for (int l = 0; l < LANES; l++) {                                                               \
            lanes[l] = x[0];                                                                            \
            nans[l] = 0;                                                                                \
        }                                                                                               \
        for (; i + LANES <= n; i += LANES)                                                              \
            for (int l = 0; l < LANES; l++) {                                                           \
                lanes[l] = before(x[i + l], lanes[l]) ? x[i + l] : lanes[l];                            \
                nans[l] = x[i + l] == x[i + l] ? nans[l] : x[i + l];                                    \
            }                                                                                           \
        for (int l = 0; i < n; i++, l++) {                                                              \
            lanes[l] = before(x[i], lanes[l]) ? x[i] : lanes[l];                                        \
            nans[l] = x[i] == x[i] ? nans[l] : x[i];                                                    \
        }                                                                                               \
        for (int l = 1; l < LANES; l++) {                                                               \
            lanes[0] = before(lanes[l], lanes[0]) ? lanes[l] : lanes[0];                                \
            nans[0] = nans[l] == nans[l] ? nans[0] : nans[l];                                           \
        }                                                                                               \
        return nans[0] == nans[0] ? lanes[0] : nans[0];                                                 \
    }

/* static struct pair_NAME extremes_NAME(x, n): both at once, as DEFINE_EXTREMUM says. */
#define DEFINE_EXTREMES(name, type)                                                                     \
    struct pair_##name {                                                                                \
        type least, greatest;                                                                           \
    };                                                                                                  \
    FOR_EACH_VECTOR_WIDTH                                                                               \
    static struct pair_##name extremes_##name(const type *x, int64_t n)                                \
    {                                                                                                   \
        type least[LANES], greatest[LANES], nans[LANES];                                                \
        int64_t i = 0;                                                                                  \
        for (int l = 0; l < LANES; l++) {                                                               \
            least[l] = greatest[l] = x[0];                                                              \
            nans[l] = 0;                                                                                \
        }                                                                                               \
        for (; i + LANES <= n; i += LANES)                                                              \
            for (int l = 0; l < LANES; l++) {                                                           \
                least[l] = x[i + l] < least[l] ? x[i + l] : least[l];                                   \
                greatest[l] = x[i + l] > greatest[l] ? x[i + l] : greatest[l];                          \
                nans[l] = x[i + l] == x[i + l] ? nans[l] : x[i + l];                                    \
            }                                                                                           \
        for (int l = 0; i < n; i++, l++) {                                                              \
            least[l] = x[i] < least[l] ? x[i] : least[l];                                               \
            greatest[l] = x[i] > greatest[l] ? x[i] : greatest[l];                                      \
            nans[l] = x[i] == x[i] ? nans[l] : x[i];                                                    \
        }                                                                                               \
        for (int l = 1; l < LANES; l++) {                                                               \
            least[0] = least[l] < least[0] ? least[l] : least[0];                                       \
            greatest[0] = greatest[l] > greatest[0] ? greatest[l] : greatest[0];                        \
            nans[0] = nans[l] == nans[l] ? nans[0] : nans[l];                                           \
        }                                                                                               \
        return nans[0] == nans[0] ? (struct pair_##name){least[0], greatest[0]}                         \
                                  : (struct pair_##name){nans[0], nans[0]};                             \
    }

/* Of the first item that equals `value`, or of the first NaN if it is one. */
#define DEFINE_FIND(name, type)                                                                         \
    FOR_EACH_VECTOR_WIDTH                                                                               \
    static int64_t find_##name(const type *x, int64_t n, type value)                                    \
    {                                                                                                   \
        int64_t i = 0;                                                                                  \
        for (int found = 0; i + LANES <= n; i += LANES) {                                               \
            for (int l = 0; l < LANES; l++)                                                             \
                found |= (x[i + l] == value) | (x[i + l] != x[i + l]);                                  \
            if (found)                                                                                  \
                break;                                                                                  \
        }                                                                                               \
        while (i < n && x[i] != value && x[i] == x[i])                                                  \
            i++;                                                                                        \
        return i;                                                                                       \
    }

/* A partial that is `before` another one, or NaN, replaces it. */
#define COMES_FIRST(before, a, b) ((b) == (b) && (before(a, b) || (a) != (a)))

#define DEFINE_PARTIALS(which, name, type, before)                                                               \
    DEFINE_EXTREMUM(which##_of_##name, type, before)                                                             \
    static void which##_##name(int64_t begin, int64_t n, const void *const *arrays, void *partial)              \
    {                                                                                                            \
        (void)begin;                                                                                             \
        if (n > 0)                                                                                               \
            *(type *)partial = which##_of_##name(arrays[0], n);                                                  \
    }                                                                                                            \
    static void combine_##which##_##name(void *left, const void *right)                                         \
    {                                                                                                            \
        if (COMES_FIRST(before, *(const type *)right, *(type *)left))                                            \
            *(type *)left = *(const type *)right;                                                                \
    }                                                                                                            \
    static void arg##which##_##name(int64_t begin, int64_t n, const void *const *arrays, void *partial)         \
    {                                                                                                            \
        struct place_##name *place = partial;                                                                    \
        if (n == 0)                                                                                              \
            return;                                                                                              \
        place->value = which##_of_##name(arrays[0], n);                                                          \
        place->index = begin + find_##name(arrays[0], n, place->value);                                          \
    }                                                                                                            \
    static void combine_arg##which##_##name(void *left, const void *right)                                      \
    {                                                                                                            \
        struct place_##name *a = left;                                                                           \
        const struct place_##name *b = right;                                                                    \
        if (COMES_FIRST(before, b->value, a->value))                                                             \
            *a = *b;                                                                                             \
    }

#define DEFINE_FAMILY(name, type, of_sum)                                                                        \
    struct place_##name {                                                                                        \
        int64_t index;                                                                                           \
        type value;                                                                                              \
    };                                                                                                           \
    DEFINE_EXTREMES(name, type)                                                                                  \
    DEFINE_FIND(name, type)                                                                                      \
    DEFINE_PARTIALS(min, name, type, LESS)                                                                       \
    DEFINE_PARTIALS(max, name, type, GREATER)                                                                    \
    static void minmax_##name(int64_t begin, int64_t n, const void *const *arrays, void *partial)               \
    {                                                                                                            \
        (void)begin;                                                                                             \
        if (n > 0)                                                                                               \
            *(struct pair_##name *)partial = extremes_##name(arrays[0], n);                                      \
    }                                                                                                            \
    static void combine_minmax_##name(void *left, const void *right)                                            \
    {                                                                                                            \
        struct pair_##name *a = left;                                                                            \
        const struct pair_##name *b = right;                                                                     \
        combine_min_##name(&a->least, &b->least);                                                                \
        combine_max_##name(&a->greatest, &b->greatest);                                                          \
    }                                                                                                            \
    static gilfree_error finish_value_##name(const void *partial, int64_t n, const gilfree_number *arguments,   \
                                             gilfree_number *results)                                            \
    {                                                                                                            \
        (void)arguments;                                                                                         \
        if (n > 0)                                                                                               \
            results[0].name = *(const type *)partial;                                                            \
        return n > 0 ? GILFREE_OK : GILFREE_EMPTY;                                                               \
    }                                                                                                            \
    static gilfree_error finish_pair_##name(const void *partial, int64_t n, const gilfree_number *arguments,    \
                                            gilfree_number *results)                                             \
    {                                                                                                            \
        const struct pair_##name *pair = partial;                                                                \
        (void)arguments;                                                                                         \
        if (n > 0) {                                                                                             \
            results[0].name = pair->least;                                                                       \
            results[1].name = pair->greatest;                                                                    \
        }                                                                                                        \
        return n > 0 ? GILFREE_OK : GILFREE_EMPTY;                                                               \
    }
NUMBER_TYPES(DEFINE_FAMILY)

/* The index is the first member of every place. */
static gilfree_error finish_index(const void *partial, int64_t n, const gilfree_number *arguments,
                                  gilfree_number *results)
{
    (void)arguments;
    if (n > 0)
        results[0].int64 = *(const int64_t *)partial;
    return n > 0 ? GILFREE_OK : GILFREE_EMPTY;
}

#define ROW(name, signature, doc, ...) {name, signature, NULL, GILFREE_UNKNOWN, 0, 0, doc, {__VA_ARGS__}},

#define MIN(name, type, of_sum)                                                                                   \
    ROW("min", #name "(" #name "[] x)", "The least item; NaN if there is one.", sizeof(type), min_##name,         \
        combine_min_##name, finish_value_##name, 1)
#define MAX(name, type, of_sum)                                                                                   \
    ROW("max", #name "(" #name "[] x)", "The greatest item; NaN if there is one.", sizeof(type), max_##name,      \
        combine_max_##name, finish_value_##name, 1)
#define MINMAX(name, type, of_sum)                                                                                \
    ROW("minmax", "(" #name ", " #name ")(" #name "[] x)",                                                        \
        "The least and the greatest item, as a pair, the array being read once.", sizeof(struct pair_##name),     \
        minmax_##name, combine_minmax_##name, finish_pair_##name, 1)
#define ARGMIN(name, type, of_sum)                                                                                \
    ROW("argmin", "int64(" #name "[] x)", "The index of the first least item, or of the first NaN.",              \
        sizeof(struct place_##name), argmin_##name, combine_argmin_##name, finish_index, 0)
#define ARGMAX(name, type, of_sum)                                                                                \
    ROW("argmax", "int64(" #name "[] x)", "The index of the first greatest item, or of the first NaN.",           \
        sizeof(struct place_##name), argmax_##name, combine_argmax_##name, finish_index, 0)

const gilfree_row extrema_rows[] = {
    NUMBER_TYPES(MIN) NUMBER_TYPES(MAX) NUMBER_TYPES(MINMAX) NUMBER_TYPES(ARGMIN) NUMBER_TYPES(ARGMAX)
    {0},
};
