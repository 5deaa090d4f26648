/* elementwise - cheap float64 functions, bound by memory: what a loop costs shows here. */
#include "kernels.h"
#include "targets.h"

/* The result may be the very same items as an argument, so that no pointer here is restrict: `ivdep` says
 * what the loop needs to be vectorised, that no item depends on another one's result. */
#if defined(__clang__)
#define ITEMS_ARE_INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#else
#define ITEMS_ARE_INDEPENDENT _Pragma("GCC ivdep") _Pragma("GCC unroll 4")
#endif

static inline int is_dense(gilfree_view view)
{
    return view.stride == sizeof(double);
}

/* ---- polynomial ---------------------------------------------------------------------------------- */

static inline double polynomial(double x)
{
    return ((x * (1.0 / 6) + 0.5) * x + 1) * x + 1;
}

FOR_EACH_VECTOR_WIDTH
static void polynomial_dense(double *result, const double *x, int64_t n)
{
    ITEMS_ARE_INDEPENDENT
    for (int64_t i = 0; i < n; i++)
        result[i] = polynomial(x[i]);
}

static void polynomial_range(gilfree_worker *worker, int64_t begin, int64_t end, const gilfree_view *views)
{
    (void)worker;
    if (is_dense(views[0]) && is_dense(views[1])) {
        polynomial_dense((double *)views[0].data + begin, (const double *)views[1].data + begin, end - begin);
        return;
    }
    for (int64_t i = begin; i < end; i++)
        GILFREE_ITEM(double, views[0], i) = polynomial(GILFREE_ITEM(const double, views[1], i));
}

/* ---- muladd -------------------------------------------------------------------------------------- */

FOR_EACH_VECTOR_WIDTH
static void muladd_dense(double *result, const double *x, const double *y, const double *z, int64_t n)
{
    ITEMS_ARE_INDEPENDENT
    for (int64_t i = 0; i < n; i++)
        result[i] = x[i] * y[i] + z[i];
}

static void muladd_range(gilfree_worker *worker, int64_t begin, int64_t end, const gilfree_view *views)
{
    (void)worker;
    if (is_dense(views[0]) && is_dense(views[1]) && is_dense(views[2]) && is_dense(views[3])) {
        muladd_dense((double *)views[0].data + begin, (const double *)views[1].data + begin,
                     (const double *)views[2].data + begin, (const double *)views[3].data + begin, end - begin);
        return;
    }
    for (int64_t i = begin; i < end; i++)
        GILFREE_ITEM(double, views[0], i) =
            GILFREE_ITEM(const double, views[1], i) * GILFREE_ITEM(const double, views[2], i) +
            GILFREE_ITEM(const double, views[3], i);
}

const gilfree_row elementwise_rows[] = {
    {"polynomial", "float64(float64 x)", polynomial_range, GILFREE_FLAT, 0, 0,
     "1 + x + x**2 / 2 + x**3 / 6 by Horner's rule, each step rounded: ((x * (1 / 6) + 0.5) * x + 1) * x + 1."},
    {"muladd", "float64(float64 x, float64 y, float64 z)", muladd_range, GILFREE_FLAT, 0, 0,
     "x * y + z, each step rounded."},
    {0},
};
