/* reductions - the reductions in C: what one writes by hand, serial and with one line of OpenMP. Built with
 * -ffast-math, without which no compiler adds or compares doubles in vectors. */
#include <stdint.h>

#include "native.h"

#define SERIAL
#define PARALLEL(reduction) _Pragma(#reduction)

#define SUM(name, schedule)                                                        \
    double name(const double *x, int64_t n)                                        \
    {                                                                              \
        double sum = 0;                                                            \
        schedule                                                                   \
        for (int64_t i = 0; i < n; i++)                                            \
            sum += x[i];                                                           \
        return sum;                                                                \
    }

SUM(sum_serial, SERIAL)
SUM(sum_openmp, PARALLEL(omp parallel for simd reduction(+ : sum)))

#define DOT(name, schedule)                                                        \
    double name(const double *x, const double *y, int64_t n)                       \
    {                                                                              \
        double sum = 0;                                                            \
        schedule                                                                   \
        for (int64_t i = 0; i < n; i++)                                            \
            sum += x[i] * y[i];                                                    \
        return sum;                                                                \
    }

DOT(dot_serial, SERIAL)
DOT(dot_openmp, PARALLEL(omp parallel for simd reduction(+ : sum)))

/* The fastest way, not the most accurate: in one pass, without a shift. */
#define MEAN_VAR(name, schedule)                                                   \
    pair name(const double *x, int64_t n)                                          \
    {                                                                              \
        double sum = 0, squares = 0;                                               \
        schedule                                                                   \
        for (int64_t i = 0; i < n; i++) {                                          \
            sum += x[i];                                                           \
            squares += x[i] * x[i];                                                \
        }                                                                          \
        double mean = sum / (double)n;                                             \
        return (pair){mean, squares / (double)n - mean * mean};                    \
    }

MEAN_VAR(mean_var_serial, SERIAL)
MEAN_VAR(mean_var_openmp, PARALLEL(omp parallel for simd reduction(+ : sum, squares)))

#define MINMAX(name, schedule)                                                     \
    pair name(const double *x, int64_t n)                                          \
    {                                                                              \
        double least = x[0], greatest = x[0];                                      \
        schedule                                                                   \
        for (int64_t i = 0; i < n; i++) {                                          \
            least = x[i] < least ? x[i] : least;                                   \
            greatest = x[i] > greatest ? x[i] : greatest;                          \
        }                                                                          \
        return (pair){least, greatest};                                            \
    }

MINMAX(minmax_serial, SERIAL)
MINMAX(minmax_openmp, PARALLEL(omp parallel for simd reduction(min : least) reduction(max : greatest)))
