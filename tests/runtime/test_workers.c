/* Workers: when helpers come, loops inside loops, many callers, and never more at work than there may be. */
#include <stdlib.h>

#include "check.h"

static struct tally tally;

/* ---- helpers take part ---------------------------------------------------------------------------- */

static void check_meeting(int workers, int64_t chunksize, bool polls, gilfree_item_cost item_cost, _Atomic float *cost)
{
    struct meeting meeting = {.workers = workers, .polls = polls};
    struct loop_result result = loop_run(
        meeting_body, workers, &meeting,
        OPTIONS(.workers = workers, .chunksize = chunksize, .item_cost = item_cost, .cost = cost));
    CHECK_EQUAL(result.error, GILFREE_OK);
    CHECK_EQUAL(result.finished, workers);
}

static void helpers_come_while_an_item_polls(void)
{
    for (int workers = 2; workers <= (STRESS ? 3 : 5); workers++)
        for (int k = 0; k < COUNT(item_costs); k++)
            for (int round = 0; round < 5; round++)
                check_meeting(workers, 1, true, item_costs[k], NULL);
}

static void a_helper_comes_at_once_when_nothing_is_known(void)
{
    for (int round = 0; round < 20; round++)
        check_meeting(2, STRESS ? 1 : round % 2, false, GILFREE_UNKNOWN, NULL);
}

static void a_helper_comes_at_once_when_the_last_call_took_long(void)
{
    for (int k = 0; k < COUNT(item_costs); k++) {
        if (item_costs[k] == GILFREE_POLLS) /* what it took last time says nothing */
            continue;
        _Atomic float cost = 1e9f;
        check_meeting(2, STRESS ? 1 : 0, false, item_costs[k], &cost);
        CHECK(atomic_load(&cost) > 0 && atomic_load(&cost) < 1e12f);
    }
}

/* As many long items as workers, and nothing to poll: all of them run side by side. */
static void all_helpers_come_at_once_when_nothing_is_known(void)
{
    for (int workers = 2; workers <= (STRESS ? 3 : 8); workers++)
        check_meeting(workers, 1, false, GILFREE_UNKNOWN, NULL);
}

static void all_helpers_come_at_once_when_the_last_call_took_long(void)
{
    _Atomic float cost = 1e9f;
    check_meeting(STRESS ? 3 : 4, 1, false, GILFREE_UNKNOWN, &cost);
}

/* ---- results --------------------------------------------------------------------------------------- */

/* What the caller wrote before the loop its helpers see, and what they write it sees after it. */
static void square_body(gilfree_worker *worker, int64_t begin, int64_t end, const void *context)
{
    int64_t *numbers = *(int64_t *const *)context;
    (void)worker;
    for (int64_t i = begin; i < end; i++)
        numbers[i] *= numbers[i];
}

static void results_are_there_when_the_loop_ends(void)
{
    static int64_t numbers[3000];
    int64_t *context = numbers;
    for (int round = 0; round < 100; round++) {
        for (int i = 0; i < COUNT(numbers); i++)
            numbers[i] = i + round;
        loop_run(square_body, COUNT(numbers), &context,
                 OPTIONS(.workers = 4, .chunksize = 10, .item_cost = item_costs[round % COUNT(item_costs)]));
        for (int i = 0; i < COUNT(numbers); i++)
            CHECK_EQUAL(numbers[i], (int64_t)(i + round) * (i + round));
    }
}

/* ---- nesting -------------------------------------------------------------------------------------- */

#define INNER 50

static bool fails[40 * INNER];

struct inner {
    int64_t outer;
    gilfree_item_cost item_cost;
};

static void inner_body(gilfree_worker *worker, int64_t begin, int64_t end, const void *context)
{
    const struct inner *inner = context;
    for (int64_t i = begin; i < end; i++) {
        if (fails[inner->outer * INNER + i]) {
            gilfree_fail(worker, i, GILFREE_DOMAIN);
            return;
        }
        CHECK_EQUAL(atomic_fetch_add(&tally.runs[inner->outer * INNER + i], 1), 0);
    }
}

static void outer_body(gilfree_worker *worker, int64_t begin, int64_t end, const void *context)
{
    gilfree_item_cost item_cost = *(const gilfree_item_cost *)context;
    for (int64_t i = begin; i < end; i++) {
        struct inner inner = {i, item_cost};
        struct loop_result result =
            loop_run(inner_body, INNER, &inner, OPTIONS(.workers = 3, .item_cost = item_cost));
        if (result.error) {
            CHECK_EQUAL(result.error, GILFREE_DOMAIN);
            CHECK(fails[i * INNER + result.index]);
            check_ran_once(&tally, i * INNER, i * INNER + result.index);
            gilfree_fail(worker, i, result.error);
            return;
        }
        CHECK_EQUAL(result.finished, INNER);
    }
}

static void loops_nest(void)
{
    srand(2);
    for (int round = 0; round < (SLOW ? 200 : 1000); round++) {
        int64_t n = 1 + rand() % 40, lowest = n;
        tally_clear(&tally, n * INNER);
        memset(fails, 0, sizeof *fails * (size_t)(n * INNER));
        for (int count = rand() % 3; count > 0; count--) {
            int64_t i = rand() % n;
            fails[i * INNER + rand() % INNER] = true;
            lowest = i < lowest ? i : lowest;
        }
        struct loop_result result = loop_run(outer_body, n, &item_costs[round % 4],
                                             OPTIONS(.workers = 3, .item_cost = item_costs[round / 4 % 4]));
        CHECK_EQUAL(result.error, lowest < n ? GILFREE_DOMAIN : GILFREE_OK);
        CHECK_EQUAL(result.index, lowest < n ? lowest : -1);
        check_ran_once(&tally, 0, lowest * INNER);
    }
    CHECK_EQUAL(pool_facts().busy, 0);
}

/* Both items of the outer loop are inside an inner loop at once, and each inner loop is itself shared. */
static void meet_inside(gilfree_worker *worker, int64_t begin, int64_t end, const void *context)
{
    (void)worker, (void)context;
    for (int64_t i = begin; i < end; i++)
        meet(2);
}

static void inner_loops_get_helpers(void)
{
    struct loop_result result = loop_run(meet_inside, 4, NULL, OPTIONS(.workers = 2, .item_cost = GILFREE_UNKNOWN));
    CHECK_EQUAL(result.error, GILFREE_OK);
    CHECK_EQUAL(pool_facts().busy, 0);
}

/* ---- many callers --------------------------------------------------------------------------------- */

#define CALLERS 8

static void *call_many_loops(void *argument)
{
    struct tally *own = argument;
    for (int round = 0; round < (SLOW ? 100 : 1000); round++)
        check_loop(own, 1 + round * 31 % 3000, OPTIONS(.workers = 3, .item_cost = item_costs[round % 4]));
    return NULL;
}

static void many_threads_call_at_once(void)
{
    pthread_t callers[CALLERS];
    struct tally *tallies = malloc(CALLERS * sizeof *tallies);
    CHECK(tallies);
    for (int i = 0; i < CALLERS; i++)
        callers[i] = start_thread(call_many_loops, &tallies[i]);
    for (int i = 0; i < CALLERS; i++)
        join_thread(callers[i]);
    free(tallies);
    CHECK_EQUAL(pool_facts().busy, 0);
    meet(3);
}

/* ---- how many at once ----------------------------------------------------------------------------- */

static atomic_int at_work, most_at_work;

static void note_at_work(void)
{
    int now = atomic_fetch_add(&at_work, 1) + 1, most = atomic_load(&most_at_work);
    while (now > most && !atomic_compare_exchange_weak(&most_at_work, &most, now)) {
    }
}

static void count_workers_body(gilfree_worker *worker, int64_t begin, int64_t end, const void *context)
{
    note_at_work();
    for (int64_t i = begin; i < end; i++)
        for (int turn = 0; turn < 5; turn++) {
            gilfree_poll(worker, i);
            sched_yield();
        }
    tally_body(worker, begin, end, context);
    atomic_fetch_sub(&at_work, 1);
}

static void call_count_workers(int workers, gilfree_item_cost item_cost)
{
    tally_clear(&tally, 300);
    struct loop_result result =
        loop_run(count_workers_body, 300, &tally, OPTIONS(.workers = workers, .chunksize = 1, .item_cost = item_cost));
    CHECK_EQUAL(result.error, GILFREE_OK);
    check_ran_once(&tally, 0, 300);
}

static void no_more_workers_than_named(void)
{
    for (int workers = 1; workers <= 4; workers++)
        for (int k = 0; k < COUNT(item_costs); k++) {
            atomic_store(&most_at_work, 0);
            call_count_workers(workers, item_costs[k]);
            CHECK(atomic_load(&most_at_work) <= workers);
        }
}

/* The thread inside an outer item is at work in its inner loop, and counts once. */
static void nested_count_workers(gilfree_worker *worker, int64_t begin, int64_t end, const void *context)
{
    (void)worker, (void)context;
    for (int64_t i = begin; i < end; i++) {
        struct loop_result result = loop_run(count_workers_body, 20, &tally,
                                             OPTIONS(.workers = 3, .chunksize = 1, .item_cost = GILFREE_POLLS));
        CHECK_EQUAL(result.error, GILFREE_OK);
    }
}

static void nested_loops_share_the_workers(void)
{
    int before = pool_resize(3);
    for (int round = 0; round < 20; round++) {
        atomic_store(&most_at_work, 0);
        tally_clear(&tally, 20);
        struct loop_result result =
            loop_run(nested_count_workers, 20, NULL, OPTIONS(.workers = 3, .chunksize = 1));
        CHECK_EQUAL(result.error, GILFREE_OK);
        CHECK(atomic_load(&most_at_work) <= 3);
        for (int i = 0; i < 20; i++)
            CHECK_EQUAL(atomic_load(&tally.runs[i]), 20);
    }
    pool_resize(before);
}

static void *call_shared(void *argument)
{
    (void)argument;
    for (int round = 0; round < 3; round++) {
        struct loop_result result = loop_run(count_workers_body, 100, &tally,
                                             OPTIONS(.workers = 3, .chunksize = 1, .item_cost = GILFREE_POLLS));
        CHECK_EQUAL(result.error, GILFREE_OK);
    }
    return NULL;
}

/* A helper is invited only while callers and running helpers are fewer than the workers. */
static void callers_count_as_workers(void)
{
    int before = pool_resize(3);
    pthread_t callers[CALLERS];
    atomic_store(&most_at_work, 0);
    tally_clear(&tally, 100);
    for (int i = 0; i < CALLERS; i++)
        callers[i] = start_thread(call_shared, NULL);
    for (int i = 0; i < CALLERS; i++)
        join_thread(callers[i]);
    CHECK(atomic_load(&most_at_work) <= CALLERS + 2);
    CHECK_EQUAL(pool_facts().busy, 0);
    pool_resize(before);
}

/* ---- the pool changes meanwhile ------------------------------------------------------------------- */

static atomic_bool enough;

static void *resize_until_enough(void *argument)
{
    (void)argument;
    for (int i = 0; !atomic_load(&enough); i++) {
        pool_resize(1 + i % 5);
        sched_yield();
    }
    return NULL;
}

static void the_pool_may_be_resized_meanwhile(void)
{
    atomic_store(&enough, false);
    pthread_t resizer = start_thread(resize_until_enough, NULL);
    many_threads_call_at_once();
    for (int round = 0; round < 20; round++)
        meet(3);
    atomic_store(&enough, true);
    join_thread(resizer);
    pool_resize(1);
    check_helpers(0);
    pool_resize(4);
}

int main(void)
{
    pool_resize(4);
    RUN(helpers_come_while_an_item_polls);
    RUN(a_helper_comes_at_once_when_nothing_is_known);
    RUN(a_helper_comes_at_once_when_the_last_call_took_long);
    RUN(all_helpers_come_at_once_when_nothing_is_known);
    RUN(all_helpers_come_at_once_when_the_last_call_took_long);
    RUN(results_are_there_when_the_loop_ends);
    RUN(loops_nest);
    RUN(inner_loops_get_helpers);
    RUN(many_threads_call_at_once);
    RUN(no_more_workers_than_named);
    RUN(nested_loops_share_the_workers);
    RUN(callers_count_as_workers);
    RUN(the_pool_may_be_resized_meanwhile);
    return 0;
}
