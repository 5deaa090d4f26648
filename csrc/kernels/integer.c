/* integer - number theory on 64-bit integers. Nothing wraps silently. */
#include "kernels.h"
#include "targets.h"

/* ---- fib ----------------------------------------------------------------------------------------- */

#define FIB_MAX 92 /* fib(93) > 2**63 - 1 */

/* From here on a call polls: often enough to be stopped, and to share the work, within microseconds;
 * rarely enough that the compiler can inline the recursion below it, where all the time goes. */
#define FIB_POLLS_FROM 22

static int64_t fib_unpolled(int64_t n)
{
    return n <= 2 ? 1 : fib_unpolled(n - 1) + fib_unpolled(n - 2);
}

/* -1 when item `index` is no longer wanted. */
static int64_t fib(gilfree_worker *worker, int64_t index, int64_t n)
{
    if (n < FIB_POLLS_FROM)
        return fib_unpolled(n);
    if (gilfree_poll(worker, index))
        return -1;
    int64_t a = fib(worker, index, n - 1);
    int64_t b = a < 0 ? -1 : fib(worker, index, n - 2);
    return b < 0 ? -1 : a + b;
}

static void fib_range(gilfree_worker *worker, int64_t begin, int64_t end, const gilfree_view *views)
{
    for (int64_t i = begin; i < end; i++) {
        int64_t n = GILFREE_ITEM(const int64_t, views[1], i);
        if (n < 1 || n > FIB_MAX) {
            gilfree_fail(worker, i, GILFREE_DOMAIN);
            return;
        }
        int64_t result = fib(worker, i, n);
        if (result < 0)
            return;
        GILFREE_ITEM(int64_t, views[0], i) = result;
    }
}

/* ---- collatz ------------------------------------------------------------------------------------- */

/* Steps from n to 1, a run of halvings at a time; -1 if a value does not fit in 64 bits (unsigned). */
static inline int64_t collatz(uint64_t n)
{
    int64_t steps = __builtin_ctzll(n);
    n >>= steps;
    while (n != 1) {
        if (n > (UINT64_MAX - 1) / 3)
            return -1;
        n = 3 * n + 1;
        int halvings = __builtin_ctzll(n);
        n >>= halvings;
        steps += 1 + halvings;
    }
    return steps;
}

WITH_AND_WITHOUT_BMI2
static void collatz_range(gilfree_worker *worker, int64_t begin, int64_t end, const gilfree_view *views)
{
    for (int64_t i = begin; i < end; i++) {
        int64_t n = GILFREE_ITEM(const int64_t, views[1], i);
        int64_t steps = n < 1 ? -1 : collatz((uint64_t)n);
        if (steps < 0) {
            gilfree_fail(worker, i, n < 1 ? GILFREE_DOMAIN : GILFREE_OVERFLOW);
            return;
        }
        GILFREE_ITEM(int64_t, views[0], i) = steps;
    }
}

/* ---- is_prime ------------------------------------------------------------------------------------ */

__extension__ typedef unsigned __int128 uint128;

/* a * b / 2**64 modulo n, for odd n and a * b < n * 2**64; negative_inverse * n = -1 modulo 2**64.
 * P. L. Montgomery, Modular multiplication without trial division, 1985. */
static inline uint64_t montgomery_product(uint64_t a, uint64_t b, uint64_t n, uint64_t negative_inverse)
{
    uint128 product = (uint128)a * b;
    uint64_t m = (uint64_t)product * negative_inverse;
    /* The low halves add up to 0 modulo 2**64: their carry is 1 unless both are 0. */
    uint128 high = (product >> 64) + (((uint128)m * n) >> 64) + ((uint64_t)product != 0);
    return high >= n ? (uint64_t)(high - n) : (uint64_t)high;
}

/* Miller-Rabin to the seven bases of J. Sinclair (2011), which leave no composite below 2**64. */
static int is_prime(uint64_t n)
{
    static const uint64_t small_primes[] = {2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37};
    static const uint64_t bases[] = {2, 325, 9375, 28178, 450775, 9780504, 1795265022};
    for (size_t i = 0; i < sizeof small_primes / sizeof *small_primes; i++)
        if (n % small_primes[i] == 0)
            return n == small_primes[i];
    if (n < 41 * 41)
        return n > 1;

    uint64_t inverse = n; /* correct to 3 bits, and Newton's step doubles the bits */
    for (int bits = 3; bits < 64; bits *= 2)
        inverse *= 2 - n * inverse;
    uint64_t negative_inverse = 0 - inverse;
    uint64_t one = (uint64_t)(((uint128)1 << 64) % n), minus_one = n - one;
    uint64_t square = (uint64_t)((uint128)one * one % n); /* 2**128 modulo n */

    int twos = __builtin_ctzll(n - 1);
    uint64_t odd = (n - 1) >> twos;
    for (size_t i = 0; i < sizeof bases / sizeof *bases; i++) {
        uint64_t base = montgomery_product(bases[i] % n, square, n, negative_inverse);
        if (base == 0)
            continue;
        uint64_t power = one;
        for (uint64_t exponent = odd; exponent; exponent >>= 1) {
            if (exponent & 1)
                power = montgomery_product(power, base, n, negative_inverse);
            base = montgomery_product(base, base, n, negative_inverse);
        }
        int left = twos;
        while (power != one && power != minus_one && --left > 0)
            power = montgomery_product(power, power, n, negative_inverse);
        if (power != minus_one && !(power == one && left == twos))
            return 0;
    }
    return 1;
}

static void is_prime_range(gilfree_worker *worker, int64_t begin, int64_t end, const gilfree_view *views)
{
    (void)worker;
    for (int64_t i = begin; i < end; i++) {
        int64_t n = GILFREE_ITEM(const int64_t, views[1], i);
        GILFREE_ITEM(uint8_t, views[0], i) = n > 1 && is_prime((uint64_t)n);
    }
}

const gilfree_row integer_rows[] = {
    {"fib", "int64(int64 n)", fib_range, GILFREE_POLLS, 1, FIB_MAX,
     "The n-th Fibonacci number by naive recursion, as slow on purpose as in Python; fib(1) = fib(2) = 1."},
    {"collatz", "int64(int64 n)", collatz_range, GILFREE_BRIEF, 1, INT64_MAX,
     "Steps of the Collatz sequence (n / 2 if n is even, else 3 n + 1) from n to 1."},
    {"is_prime", "bool(int64 n)", is_prime_range, GILFREE_BRIEF, 0, 0,
     "Is n a prime number? Exact for every n, by Miller-Rabin."},
    {0},
};
