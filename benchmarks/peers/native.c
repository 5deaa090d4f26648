/* native - the peers in C: what one writes by hand, serial and with one line of OpenMP. */
#include <omp.h>
#include <stdint.h>

#include "native.h"

void use_threads(int threads)
{
    omp_set_num_threads(threads);
}

#define SERIAL
#define STATIC _Pragma("omp parallel for schedule(static)")
#define DYNAMIC _Pragma("omp parallel for schedule(dynamic)")
#define DYNAMIC_CHUNKED _Pragma("omp parallel for schedule(dynamic, 256)")

#define MAP(name, type, function, schedule)                                        \
    void name(type *restrict results, const type *restrict items, int64_t n)       \
    {                                                                              \
        schedule                                                                   \
        for (int64_t i = 0; i < n; i++)                                            \
            results[i] = function(items[i]);                                       \
    }

static int64_t fib(int64_t n)
{
    return n <= 2 ? 1 : fib(n - 1) + fib(n - 2);
}

MAP(fib_serial, int64_t, fib, SERIAL)
MAP(fib_dynamic, int64_t, fib, DYNAMIC)

static inline double polynomial(double x)
{
    return ((x * (1.0 / 6) + 0.5) * x + 1) * x + 1;
}

MAP(polynomial_serial, double, polynomial, SERIAL)
MAP(polynomial_static, double, polynomial, STATIC)

/* The loop as everybody writes it. */
static inline int64_t collatz(int64_t item)
{
    int64_t steps = 0;
    for (uint64_t n = (uint64_t)item; n != 1; steps++)
        n = n % 2 ? 3 * n + 1 : n / 2;
    return steps;
}

MAP(collatz_serial, int64_t, collatz, SERIAL)
MAP(collatz_static, int64_t, collatz, STATIC)
MAP(collatz_dynamic, int64_t, collatz, DYNAMIC_CHUNKED)

/* A run of halvings at a time: the algorithm gilfree uses. */
static inline int64_t collatz_ctz(int64_t item)
{
    int64_t steps = __builtin_ctzll((uint64_t)item);
    for (uint64_t n = (uint64_t)item >> steps; n != 1;) {
        n = 3 * n + 1;
        int halvings = __builtin_ctzll(n);
        n >>= halvings;
        steps += 1 + halvings;
    }
    return steps;
}

MAP(collatz_ctz_serial, int64_t, collatz_ctz, SERIAL)
MAP(collatz_ctz_static, int64_t, collatz_ctz, STATIC)
MAP(collatz_ctz_dynamic, int64_t, collatz_ctz, DYNAMIC_CHUNKED)
