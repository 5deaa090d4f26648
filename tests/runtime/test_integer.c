/* The integer kernels against slow references. */
#include <stdlib.h>

#include "check.h"
#include "kernels.h"

__extension__ typedef unsigned __int128 uint128;

#define UNTOUCHED INT64_C(-77)

/* A worker without a loop: notes failures, and stops when told. */
struct observer {
    gilfree_worker face;
    int64_t begin, end;
    int64_t failed; /* -1 if no item did */
    gilfree_error error;
    int64_t polls, stop_at_poll;
};

static int observer_poll(gilfree_worker *face, int64_t index)
{
    struct observer *observer = (struct observer *)face;
    CHECK(observer->begin <= index && index < observer->end);
    return ++observer->polls >= observer->stop_at_poll;
}

static void observer_fail(gilfree_worker *face, int64_t index, gilfree_error error)
{
    struct observer *observer = (struct observer *)face;
    CHECK(observer->begin <= index && index < observer->end);
    CHECK_EQUAL(observer->failed, -1);
    observer->failed = index;
    observer->error = error;
}

static struct observer run(const char *name, int64_t begin, int64_t end, const gilfree_view *views)
{
    struct observer observer = {{observer_poll, observer_fail}, begin, end, -1, GILFREE_OK, 0, INT64_MAX};
    find_row(integer_rows, name)->range(&observer.face, begin, end, views);
    return observer;
}

/* The result for one argument, or minus the error. */
static int64_t int64_of(const char *name, int64_t n)
{
    int64_t result = UNTOUCHED;
    const gilfree_view views[] = {{(char *)&result, sizeof result}, {(char *)&n, sizeof n}};
    struct observer observer = run(name, 0, 1, views);
    CHECK((observer.failed == 0) == (result == UNTOUCHED));
    return observer.failed == 0 ? -(int64_t)observer.error : result;
}

/* ---- fib ------------------------------------------------------------------------------------------ */

static int64_t fib_reference(int64_t n)
{
    int64_t last = 0, next = 1;
    for (int64_t i = 1; i < n; i++) {
        int64_t sum = last + next;
        last = next;
        next = sum;
    }
    return next;
}

static void fib_is_right(void)
{
    for (int64_t n = 1; n <= 30; n++)
        CHECK_EQUAL(int64_of("fib", n), fib_reference(n));
}

static void fib_is_defined_from_1_to_92(void)
{
    const gilfree_row *row = find_row(integer_rows, "fib");
    CHECK_EQUAL(row->low, 1);
    CHECK_EQUAL(row->high, 92);
    const int64_t outside[] = {0, 93, -1, INT64_MIN, INT64_MAX};
    for (int i = 0; i < COUNT(outside); i++)
        CHECK_EQUAL(int64_of("fib", outside[i]), -GILFREE_DOMAIN);
}

static void a_long_fib_stops_when_polled_out(void)
{
    int64_t result = UNTOUCHED, n = 92;
    const gilfree_view views[] = {{(char *)&result, 8}, {(char *)&n, 8}};
    for (int64_t stop_at_poll = 1; stop_at_poll < 2000; stop_at_poll = 1 + stop_at_poll * 3) {
        struct observer observer = {{observer_poll, observer_fail}, 0, 1, -1, GILFREE_OK, 0, stop_at_poll};
        find_row(integer_rows, "fib")->range(&observer.face, 0, 1, views);
        CHECK_EQUAL(observer.polls, stop_at_poll);
        CHECK_EQUAL(observer.failed, -1);
        CHECK_EQUAL(result, UNTOUCHED);
    }
}

struct call {
    const gilfree_row *row;
    const gilfree_view *views;
    atomic_int started;
};

static void call_body(gilfree_worker *worker, int64_t begin, int64_t end, const void *context)
{
    struct call *call = (struct call *)context;
    atomic_fetch_add(&call->started, 1);
    call->row->range(worker, begin, end, call->views);
}

struct cancelling {
    struct cancel *cancel;
    struct call *call;
};

static void *cancel_when_started(void *argument)
{
    struct cancelling *cancelling = argument;
    WAIT_FOR(atomic_load(&cancelling->call->started));
    cancel_set(cancelling->cancel);
    return NULL;
}

/* Each of these items alone would take a minute. */
static void a_long_fib_is_cut_short_by_a_cancel(void)
{
    for (int workers = 1; workers <= 3; workers++) {
        int64_t results[3] = {UNTOUCHED, UNTOUCHED, UNTOUCHED}, n = 92;
        const gilfree_view views[] = {{(char *)results, 8}, {(char *)&n, 0}};
        struct call call = {.row = find_row(integer_rows, "fib"), .views = views};
        struct cancelling cancelling = {cancel_new(), &call};
        pthread_t thread = start_thread(cancel_when_started, &cancelling);
        struct loop_result result =
            loop_run(call_body, 3, &call,
                     OPTIONS(.workers = workers, .item_cost = call.row->item_cost, .cancel = cancelling.cancel));
        join_thread(thread);
        CHECK_EQUAL(result.error, GILFREE_CANCELLED);
        CHECK_EQUAL(result.finished, 0);
        for (int i = 0; i < 3; i++)
            CHECK_EQUAL(results[i], UNTOUCHED);
        cancel_release(cancelling.cancel);
    }
}

/* The items above it would take minutes. */
static void a_long_fib_is_cut_short_by_a_lower_error(void)
{
    for (int workers = 1; workers <= 3; workers++) {
        int64_t results[4] = {0}, n[] = {25, 0, 92, 92};
        const gilfree_view views[] = {{(char *)results, 8}, {(char *)n, 8}};
        struct call call = {.row = find_row(integer_rows, "fib"), .views = views};
        struct loop_result result = loop_run(
            call_body, 4, &call, OPTIONS(.workers = workers, .chunksize = 1, .item_cost = GILFREE_UNKNOWN));
        CHECK_EQUAL(result.error, GILFREE_DOMAIN);
        CHECK_EQUAL(result.index, 1);
        CHECK_EQUAL(result.finished, 1);
        CHECK_EQUAL(results[0], 75025);
    }
}

/* ---- collatz -------------------------------------------------------------------------------------- */

/* By definition, one step at a time; -GILFREE_OVERFLOW once a value does not fit in 64 bits. */
static int64_t collatz_reference(int64_t n)
{
    int64_t steps = 0;
    for (uint128 value = (uint128)n; value != 1; steps++) {
        value = value % 2 == 0 ? value / 2 : 3 * value + 1;
        if (value > UINT64_MAX)
            return -GILFREE_OVERFLOW;
    }
    return steps;
}

static void collatz_is_right(void)
{
    for (int64_t n = 1; n <= 100000; n++)
        CHECK_EQUAL(int64_of("collatz", n), collatz_reference(n));
    CHECK_EQUAL(int64_of("collatz", 27), 111);
    CHECK_EQUAL(int64_of("collatz", INT64_C(1) << 62), 62);
    CHECK_EQUAL(int64_of("collatz", 8528817511), 726); /* climbs to 18144594937356598024, just below 2**64 */
    const int64_t high[] = {6148914691236517201, 6148914691236517203, 3074457345618258602, INT64_MAX - 1};
    for (int i = 0; i < COUNT(high); i++)
        CHECK_EQUAL(int64_of("collatz", high[i]), collatz_reference(high[i]));
    srand(3);
    for (int i = 0; i < 10000; i++) {
        int64_t n = 1 + (((int64_t)rand() << 32 | (int64_t)rand() << 1) & INT64_MAX) / (INT64_C(1) << i % 62);
        CHECK_EQUAL(int64_of("collatz", n), collatz_reference(n));
    }
}

static void collatz_does_not_wrap(void)
{
    CHECK_EQUAL(int64_of("collatz", INT64_MAX), -GILFREE_OVERFLOW);
    CHECK_EQUAL(int64_of("collatz", 12327829503), -GILFREE_OVERFLOW);         /* climbs to 20722398914405051728 */
    CHECK_EQUAL(int64_of("collatz", 6148914691236517205), -GILFREE_OVERFLOW); /* to 2**64 in one step */
}

static void collatz_is_defined_from_1(void)
{
    CHECK_EQUAL(find_row(integer_rows, "collatz")->low, 1);
    CHECK_EQUAL(int64_of("collatz", 0), -GILFREE_DOMAIN);
    CHECK_EQUAL(int64_of("collatz", -1), -GILFREE_DOMAIN);
    CHECK_EQUAL(int64_of("collatz", INT64_MIN), -GILFREE_DOMAIN);
}

/* ---- is_prime ------------------------------------------------------------------------------------- */

static bool is_prime(int64_t n)
{
    uint8_t guarded[3] = {7, 7, 7};
    const gilfree_view views[] = {{(char *)guarded + 1, 1}, {(char *)&n, sizeof n}};
    struct observer observer = run("is_prime", 0, 1, views);
    CHECK_EQUAL(observer.failed, -1);
    CHECK(guarded[0] == 7 && guarded[1] <= 1 && guarded[2] == 7);
    return guarded[1];
}

static void is_prime_agrees_with_the_sieve(void)
{
    enum { END = 100001 };
    static bool composite[END];
    composite[0] = composite[1] = true;
    for (int64_t i = 2; i * i < END; i++)
        for (int64_t j = i * i; !composite[i] && j < END; j += i)
            composite[j] = true;
    for (int64_t n = 0; n < END; n++)
        CHECK_EQUAL(is_prime(n), !composite[n]);
    CHECK(!is_prime(-1) && !is_prime(-2) && !is_prime(-7) && !is_prime(INT64_MIN));
}

static void large_primes_are_prime(void)
{
    const int64_t below[] = {25, 165, 259, 301, 375, 387, 391, 409, 457, 471}; /* all the primes 2**63 - k to 499 */
    for (int64_t k = 1, i = 0; k < 500; k++) {
        bool prime = i < COUNT(below) && k == below[i];
        CHECK_EQUAL(is_prime(INT64_MAX - k + 1), prime);
        i += prime;
    }
    const int64_t primes[] = {(INT64_C(1) << 61) - 1, (INT64_C(1) << 31) - 1, (INT64_C(1) << 32) - 5,
                              (INT64_C(1) << 32) + 15, (INT64_C(1) << 62) - 57, (INT64_C(1) << 62) + 135,
                              3037000493, 1000000007, 998244353};
    for (int i = 0; i < COUNT(primes); i++)
        CHECK(is_prime(primes[i]));
}

static void what_passes_for_prime_is_none(void)
{
    static const int64_t composites[] = {
        /* strong pseudoprimes to base 2 */
        2047, 3277, 4033, 4681, 8321, 15841, 29341, 42799, 49141, 52633, 65281, 74665, 80581, 85489, 88357, 90751,
        /* the least strong pseudoprimes to the first 2, 3, ... prime bases */
        1373653, 25326001, 3215031751, 2152302898747, 3474749660383, 341550071728321, 3825123056546413051,
        /* Carmichael numbers */
        561, 1105, 1729, 2465, 2821, 6601, 8911, 10585, 41041, 825265, 321197185, 9746347772161, 1436697831295441,
        60977817398996785, 7156857700403137441,
        /* squares of primes; of the Wieferich primes 1093 and 3511, strong pseudoprimes to base 2, too */
        1681, 1849, 1194649, 12327121, 9223371994482243049,
        /* products of two large primes, and of a small and a large one */
        9223371873002223329, INT64_C(2147483647) * 2147483629, INT64_C(3) * 2305843009213693951, INT64_MAX,
        /* divisors of the bases of the test */
        325, 9375, 28178, 450775, 9780504, 1795265022};
    for (int i = 0; i < COUNT(composites); i++)
        CHECK(!is_prime(composites[i]));
    for (int64_t p = 2; p < 50000; p++)
        CHECK(!is_prime(p * p));
}

static uint64_t power_modulo(uint64_t base, uint64_t exponent, uint64_t n)
{
    uint64_t power = 1;
    for (base %= n; exponent; exponent >>= 1) {
        if (exponent & 1)
            power = (uint64_t)((uint128)power * base % n);
        base = (uint64_t)((uint128)base * base % n);
    }
    return power;
}

/* Miller-Rabin as in the books, to the first twelve primes: no composite below 3 * 10**24 passes. */
static bool is_prime_reference(uint64_t n)
{
    static const uint64_t primes[] = {2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37};
    for (int i = 0; i < COUNT(primes); i++)
        if (n % primes[i] == 0)
            return n == primes[i];
    int twos = __builtin_ctzll(n - 1);
    for (int i = 0; i < COUNT(primes); i++) {
        uint64_t power = power_modulo(primes[i], (n - 1) >> twos, n);
        bool passes = power == 1 || power == n - 1;
        for (int turn = 1; turn < twos && !passes; turn++) {
            power = (uint64_t)((uint128)power * power % n);
            passes = power == n - 1;
        }
        if (!passes)
            return false;
    }
    return true;
}

static void is_prime_agrees_with_the_books(void)
{
    srand(4);
    for (int i = 0; i < 20000; i++) {
        int64_t n = (((int64_t)rand() << 32 | (int64_t)rand() << 1) & INT64_MAX) | 1;
        n >>= i % 40;
        n = n > 40 ? n : 41;
        CHECK_EQUAL(is_prime(n), is_prime_reference((uint64_t)n));
    }
}

/* ---- ranges and views ----------------------------------------------------------------------------- */

/* Items are found by their stride, only the range is written, and a failing item ends it. */
static void only_the_range_is_touched(void)
{
    int64_t results[40], arguments[20];
    for (int i = 0; i < 20; i++)
        arguments[i] = 20 - i;
    arguments[13] = 0;
    for (int64_t stride = -16; stride <= 16; stride += 8) {
        if (stride == 0)
            continue;
        for (int i = 0; i < 40; i++)
            results[i] = UNTOUCHED;
        char *data = (char *)(stride < 0 ? &results[39] : results);
        const gilfree_view views[] = {{data, stride}, {(char *)arguments, 8}};
        struct observer observer = run("collatz", 4, 18, views);
        CHECK_EQUAL(observer.failed, 13);
        CHECK_EQUAL(observer.error, GILFREE_DOMAIN);
        for (int64_t i = 4; i < 13; i++) {
            int64_t *result = (int64_t *)(data + i * stride);
            CHECK_EQUAL(*result, collatz_reference(arguments[i]));
            *result = UNTOUCHED;
        }
        for (int i = 0; i < 40; i++)
            CHECK_EQUAL(results[i], UNTOUCHED);
    }
}

static void the_result_may_be_the_argument(void)
{
    int64_t items[30];
    for (int i = 0; i < 30; i++)
        items[i] = i + 1;
    const gilfree_view views[] = {{(char *)items, 8}, {(char *)items, 8}};
    CHECK_EQUAL(run("fib", 0, 25, views).failed, -1);
    CHECK_EQUAL(run("collatz", 25, 30, views).failed, -1);
    for (int i = 0; i < 30; i++)
        CHECK_EQUAL(items[i], i < 25 ? fib_reference(i + 1) : collatz_reference(i + 1));
}

int main(void)
{
    pool_resize(3);
    RUN(fib_is_right);
    RUN(fib_is_defined_from_1_to_92);
    RUN(a_long_fib_stops_when_polled_out);
    RUN(a_long_fib_is_cut_short_by_a_cancel);
    RUN(a_long_fib_is_cut_short_by_a_lower_error);
    RUN(collatz_is_right);
    RUN(collatz_does_not_wrap);
    RUN(collatz_is_defined_from_1);
    RUN(is_prime_agrees_with_the_sieve);
    RUN(large_primes_are_prime);
    RUN(what_passes_for_prime_is_none);
    RUN(is_prime_agrees_with_the_books);
    RUN(only_the_range_is_touched);
    RUN(the_result_may_be_the_argument);
    return 0;
}
