/* Loops: every item once, the lowest failing index, timeouts. */
#include <stdlib.h>

#include "check.h"

#define LONGEST (INT64_C(1) << 54)

static struct tally tally;

/* ---- every item once ------------------------------------------------------------------------------ */

static void every_item_runs_once(void)
{
    static const int64_t sizes[] = {0, 1, 2, 3, 63, 64, 65, 1000, 1000000};
    static const int workers[] = {1, 2, 3, 7, 16};
    static const int64_t chunksizes[] = {0, 1, 7, 1000000000};
    for (int s = 0; s < COUNT(sizes); s++)
        for (int w = 0; w < COUNT(workers); w++)
            for (int c = 0; c < COUNT(chunksizes); c++)
                for (int k = 0; k < COUNT(item_costs); k++) {
                    /* The longest loops: each pair of workers and chunksize with one item cost, or with fewer. */
                    if (sizes[s] == 1000000 && (w + c + k) % 4 != 0)
                        continue;
                    if (sizes[s] == 1000000 && SLOW && w != c + 1)
                        continue;
                    check_loop(&tally, sizes[s],
                               OPTIONS(.workers = workers[w], .chunksize = chunksizes[c], .item_cost = item_costs[k]));
                }
}

static void a_loop_over_nothing_is_done(void)
{
    check_loop(&tally, 0, OPTIONS(.workers = 4));
    struct loop_result result = loop_run(tally_body, -5, &tally, OPTIONS(.workers = 4));
    CHECK_EQUAL(result.error, GILFREE_OK);
    CHECK_EQUAL(result.index, -1);
    CHECK_EQUAL(result.finished, 0);
}

/* Counts items without touching them, so that n may be as large as it gets. */
static void counting_body(gilfree_worker *worker, int64_t begin, int64_t end, const void *context)
{
    (void)worker;
    CHECK(0 <= begin && begin < end);
    atomic_fetch_add((_Atomic int64_t *)context, end - begin);
}

static void the_longest_loop_runs_once(void)
{
    const int64_t n = STRESS ? 100000 : LONGEST; /* with three items a chunk it would take too long */
    const int64_t chunksizes[] = {0, INT64_C(1) << 52, INT64_MAX};
    for (int workers = 1; workers <= 3; workers++)
        for (int c = 0; c < COUNT(chunksizes); c++)
            for (int k = 0; k < COUNT(item_costs); k++) {
                _Atomic int64_t count = 0;
                struct loop_result result =
                    loop_run(counting_body, n, &count,
                             OPTIONS(.workers = workers, .chunksize = chunksizes[c], .item_cost = item_costs[k]));
                CHECK_EQUAL(result.error, GILFREE_OK);
                CHECK_EQUAL(result.finished, n);
                CHECK_EQUAL(atomic_load(&count), n);
            }
}

/* ---- errors --------------------------------------------------------------------------------------- */

struct two_failures {
    gilfree_item_cost item_cost;
    atomic_bool high_failed;
};

static void two_failures_body(gilfree_worker *worker, int64_t begin, int64_t end, const void *context)
{
    struct two_failures *failures = (struct two_failures *)context;
    for (int64_t i = begin; i < end; i++) {
        if (i == 3) {
            if (failures->item_cost == GILFREE_UNKNOWN)
                WAIT_FOR(atomic_load(&failures->high_failed));
            else
                WAIT_FOR((gilfree_poll(worker, i), atomic_load(&failures->high_failed)));
            CHECK(!gilfree_poll(worker, i));
        }
        if (i == 3 || i == 90) {
            gilfree_fail(worker, i, i == 3 ? GILFREE_DOMAIN : GILFREE_OVERFLOW);
            atomic_store(&failures->high_failed, true);
            return;
        }
        atomic_fetch_add(&tally.runs[i], 1);
    }
}

static void the_lowest_failing_index_wins_though_it_fails_last(void)
{
    for (int round = 0; round < 20; round++)
        for (int k = 0; k < COUNT(item_costs); k++) {
            tally_clear(&tally, 100);
            struct two_failures failures = {.item_cost = item_costs[k]};
            struct loop_result result = loop_run(two_failures_body, 100, &failures,
                                                 OPTIONS(.workers = 2, .chunksize = 1, .item_cost = item_costs[k]));
            CHECK_EQUAL(result.error, GILFREE_DOMAIN);
            CHECK_EQUAL(result.index, 3);
            CHECK(result.finished >= 3 && result.finished < 99);
            check_ran_once(&tally, 0, 3);
        }
}

/* Items that fail when they run. */
static bool fails[TALLY_MAX];

static void failing_body(gilfree_worker *worker, int64_t begin, int64_t end, const void *context)
{
    (void)context;
    for (int64_t i = begin; i < end; i++) {
        if (fails[i]) {
            gilfree_fail(worker, i, 1 + (gilfree_error)(i % 3));
            return;
        }
        CHECK_EQUAL(atomic_fetch_add(&tally.runs[i], 1), 0);
    }
}

static void errors_are_those_of_the_serial_loop(void)
{
    srand(1);
    for (int round = 0; round < (SLOW ? 1000 : 5000); round++) {
        int64_t n = 1 + rand() % 3000, lowest = n;
        tally_clear(&tally, n);
        memset(fails, 0, sizeof *fails * (size_t)n);
        for (int count = rand() % 4; count > 0; count--) {
            int64_t i = rand() % n;
            fails[i] = true;
            lowest = i < lowest ? i : lowest;
        }
        struct loop_result result =
            loop_run(failing_body, n, NULL,
                     OPTIONS(.workers = 1 + round % 4, .chunksize = rand() % 3 * 5,
                             .item_cost = item_costs[rand() % COUNT(item_costs)]));
        CHECK_EQUAL(result.error, lowest < n ? 1 + lowest % 3 : GILFREE_OK);
        CHECK_EQUAL(result.index, lowest < n ? lowest : -1);
        check_ran_once(&tally, 0, lowest);
    }
}

static void fail_far_out(gilfree_worker *worker, int64_t begin, int64_t end, const void *context)
{
    int64_t index = *(const int64_t *)context;
    if (begin <= index && index < end)
        gilfree_fail(worker, index, GILFREE_DOMAIN);
}

static void a_failing_index_may_be_large(void)
{
    const int64_t indices[] = {1 << 20, INT64_C(1) << 32, INT64_C(1) << 53, LONGEST - 1};
    const int count = STRESS ? 1 : COUNT(indices); /* with three items a chunk it would take too long */
    for (int i = 0; i < count; i++) {
        struct loop_result result =
            loop_run(fail_far_out, LONGEST, &indices[i], OPTIONS(.workers = 1, .item_cost = GILFREE_BRIEF));
        CHECK_EQUAL(result.error, GILFREE_DOMAIN);
        CHECK_EQUAL(result.index, indices[i]);
    }
}

/* ---- timeout -------------------------------------------------------------------------------------- */

static void poll_body(gilfree_worker *worker, int64_t begin, int64_t end, const void *context)
{
    (void)end, (void)context;
    WAIT_FOR(gilfree_poll(worker, begin));
}

static void a_timeout_stops_items_that_poll(void)
{
    for (int workers = 1; workers <= 3; workers++)
        for (int k = 0; k < COUNT(item_costs); k++) {
            const struct loop_options options = {
                .workers = workers, .timeout = MILLISECOND, .item_cost = item_costs[k]};
            struct loop_result result = loop_run(poll_body, 8, NULL, &options);
            CHECK_EQUAL(result.error, GILFREE_TIMEOUT);
            CHECK_EQUAL(result.index, -1);
            CHECK_EQUAL(result.finished, 0);
        }
}

static void brief_body(gilfree_worker *worker, int64_t begin, int64_t end, const void *context)
{
    (void)worker, (void)context;
    for (volatile int64_t i = begin; i < end;)
        i = i + 1;
}

/* An endless loop, but for the timeout. */
static void a_timeout_stops_between_items_whatever_the_chunksize(void)
{
    const int64_t chunksizes[] = {0, 1, INT64_C(1000000000000000)};
    for (int c = 0; c < COUNT(chunksizes); c++)
        for (int workers = 1; workers <= 2; workers++)
            for (int k = 0; k < COUNT(item_costs); k++) {
                const struct loop_options options = {.workers = workers,
                                                     .chunksize = chunksizes[c],
                                                     .timeout = MILLISECOND,
                                                     .item_cost = item_costs[k]};
                struct loop_result result = loop_run(brief_body, LONGEST, NULL, &options);
                CHECK_EQUAL(result.error, GILFREE_TIMEOUT);
                CHECK_EQUAL(result.index, -1);
                CHECK(result.finished < LONGEST);
            }
}

/* The caller has run out of items, and a helper polls on. (Should the time pass before they have met, both polls
 * end, and the test is true all the same.) */
static void poll_in_helper_body(gilfree_worker *worker, int64_t begin, int64_t end, const void *context)
{
    atomic_int *arrived = (atomic_int *)context;
    (void)end;
    atomic_fetch_add(arrived, 1);
    WAIT_FOR(gilfree_poll(worker, begin) || atomic_load(arrived) == 2);
    if (!thread_is_main())
        WAIT_FOR(gilfree_poll(worker, begin));
}

static void a_timeout_is_seen_by_a_waiting_caller(void)
{
    atomic_int arrived = 0;
    const struct loop_options options = {
        .workers = 2, .chunksize = 1, .timeout = 50 * MILLISECOND, .item_cost = GILFREE_POLLS};
    struct loop_result result = loop_run(poll_in_helper_body, 2, &arrived, &options);
    CHECK_EQUAL(result.error, GILFREE_TIMEOUT);
    CHECK(result.finished < 2);
}

static void never_body(gilfree_worker *worker, int64_t begin, int64_t end, const void *context)
{
    (void)worker, (void)begin, (void)end, (void)context;
    CHECK(!"no item runs");
}

static void no_time_is_no_item(void)
{
    for (int workers = 1; workers <= 3; workers++)
        for (int k = 0; k < COUNT(item_costs); k++) {
            const struct loop_options options = {
                .workers = workers, .timeout = -(k % 2), .item_cost = item_costs[k]};
            struct loop_result result = loop_run(never_body, 10, NULL, &options);
            CHECK_EQUAL(result.error, GILFREE_TIMEOUT);
            CHECK_EQUAL(result.index, -1);
            CHECK_EQUAL(result.finished, 0);
            CHECK_EQUAL(loop_run(never_body, 0, NULL, &options).error, GILFREE_OK);
        }
}

static void outlast_body(gilfree_worker *worker, int64_t begin, int64_t end, const void *context)
{
    (void)worker, (void)begin, (void)end;
    WAIT_FOR(clock_now() > *(const int64_t *)context);
}

static void a_timeout_after_the_last_item_is_none(void)
{
    int64_t until = clock_now() + 2 * MILLISECOND;
    const struct loop_options options = {.workers = 2, .timeout = MILLISECOND};
    struct loop_result result = loop_run(outlast_body, 1, &until, &options);
    CHECK_EQUAL(result.error, GILFREE_OK);
    CHECK_EQUAL(result.finished, 1);
}

int main(void)
{
    pool_resize(4);
    RUN(every_item_runs_once);
    RUN(a_loop_over_nothing_is_done);
    RUN(the_longest_loop_runs_once);
    RUN(the_lowest_failing_index_wins_though_it_fails_last);
    RUN(errors_are_those_of_the_serial_loop);
    RUN(a_failing_index_may_be_large);
    RUN(a_timeout_stops_items_that_poll);
    RUN(a_timeout_stops_between_items_whatever_the_chunksize);
    RUN(a_timeout_is_seen_by_a_waiting_caller);
    RUN(no_time_is_no_item);
    RUN(a_timeout_after_the_last_item_is_none);
    return 0;
}
