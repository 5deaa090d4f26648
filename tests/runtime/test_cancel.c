/* Cancelling: before a loop, during it, from any thread, one cancel for many loops. */
#include "check.h"

static struct tally tally;

static void check_cancelled(struct loop_result result, int64_t n)
{
    CHECK_EQUAL(result.error, GILFREE_CANCELLED);
    CHECK_EQUAL(result.index, -1);
    CHECK(result.finished < n);
}

static void never_body(gilfree_worker *worker, int64_t begin, int64_t end, const void *context)
{
    (void)worker, (void)begin, (void)end, (void)context;
    CHECK(!"no item runs");
}

static void a_loop_does_not_start_when_cancelled(void)
{
    struct cancel *cancel = cancel_new();
    CHECK(cancel && !cancel_is_set(cancel));
    cancel_set(cancel);
    cancel_set(cancel);
    CHECK(cancel_is_set(cancel));
    for (int workers = 1; workers <= 3; workers++)
        for (int k = 0; k < COUNT(item_costs); k++) {
            struct loop_result result =
                loop_run(never_body, 10, NULL,
                         OPTIONS(.workers = workers, .item_cost = item_costs[k], .cancel = cancel));
            check_cancelled(result, 10);
            CHECK_EQUAL(result.finished, 0);
        }
    struct loop_result nothing = loop_run(never_body, 0, NULL, OPTIONS(.workers = 2, .cancel = cancel));
    CHECK_EQUAL(nothing.error, GILFREE_OK);
    cancel_release(cancel);
}

static void a_cancel_that_is_not_set_changes_nothing(void)
{
    struct cancel *cancel = cancel_new();
    for (int k = 0; k < COUNT(item_costs); k++)
        check_loop(&tally, 5000, OPTIONS(.workers = 3, .item_cost = item_costs[k], .cancel = cancel));
    CHECK(!cancel_is_set(cancel));
    /* It may be set, and freed, once the loops are over. */
    cancel_set(cancel);
    cancel_release(cancel);
}

/* ---- from another thread -------------------------------------------------------------------------- */

struct shared {
    struct cancel *cancel;
    gilfree_item_cost item_cost;
    int workers;
    atomic_int *running;
    struct loop_result result;
};

static void poll_body(gilfree_worker *worker, int64_t begin, int64_t end, const void *context)
{
    const struct shared *shared = context;
    (void)end;
    atomic_fetch_add(shared->running, 1);
    WAIT_FOR(gilfree_poll(worker, begin));
    /* Once unwanted, always unwanted. */
    CHECK(gilfree_poll(worker, begin));
}

static void *run_until_cancelled(void *argument)
{
    struct shared *shared = argument;
    shared->result = loop_run(
        poll_body, 5, shared,
        OPTIONS(.workers = shared->workers, .item_cost = shared->item_cost, .cancel = cancel_retain(shared->cancel)));
    cancel_release(shared->cancel);
    return NULL;
}

#define LOOPS 12

static void one_cancel_stops_many_loops(void)
{
    for (int round = 0; round < 10; round++) {
        struct cancel *cancel = cancel_new(), *other = cancel_new();
        atomic_int running = 0, running_on = 0;
        struct shared loops[LOOPS], bystander = {other, GILFREE_POLLS, 1, &running_on, {0}};
        pthread_t threads[LOOPS], bystanding = start_thread(run_until_cancelled, &bystander);
        for (int i = 0; i < LOOPS; i++) {
            loops[i] = (struct shared){cancel, item_costs[i % 4], 1 + i % 3, &running, {0}};
            threads[i] = start_thread(run_until_cancelled, &loops[i]);
        }
        /* The first rounds cancel while the loops are still beginning. */
        WAIT_FOR(atomic_load(&running) >= round);
        cancel_set(cancel);
        for (int i = 0; i < LOOPS; i++) {
            join_thread(threads[i]);
            check_cancelled(loops[i].result, 5);
        }
        WAIT_FOR(atomic_load(&running_on));
        CHECK(!cancel_is_set(other));
        cancel_set(other);
        join_thread(bystanding);
        cancel_release(cancel);
        cancel_release(other);
    }
}

/* ---- from a body ---------------------------------------------------------------------------------- */

static void cancel_at_seven(gilfree_worker *worker, int64_t begin, int64_t end, const void *context)
{
    struct cancel *cancel = *(struct cancel *const *)context;
    for (int64_t i = begin; i < end; i++) {
        if (i == 7)
            cancel_set(cancel);
        if (gilfree_poll(worker, i))
            return;
    }
}

static void a_body_may_cancel_its_own_loop(void)
{
    for (int workers = 1; workers <= 3; workers++)
        for (int k = 0; k < COUNT(item_costs); k++) {
            struct cancel *cancel = cancel_new();
            struct loop_result result =
                loop_run(cancel_at_seven, 1000, &cancel,
                         OPTIONS(.workers = workers, .item_cost = item_costs[k], .cancel = cancel));
            check_cancelled(result, 1000);
            cancel_release(cancel);
        }
}

/* ---- loops come and go ---------------------------------------------------------------------------- */

struct passing {
    struct cancel *cancel;
    atomic_int loops;
};

static void tick_body(gilfree_worker *worker, int64_t begin, int64_t end, const void *context)
{
    (void)worker, (void)begin, (void)end, (void)context;
}

static void *run_many(void *argument)
{
    struct passing *passing = argument;
    for (;;) {
        struct loop_result result =
            loop_run(tick_body, 100, NULL, OPTIONS(.workers = 2, .chunksize = 7, .cancel = passing->cancel));
        atomic_fetch_add(&passing->loops, 1);
        if (result.error) {
            check_cancelled(result, 100);
            return NULL;
        }
        CHECK_EQUAL(result.finished, 100);
    }
}

static void loops_may_end_while_they_are_cancelled(void)
{
    for (int round = 0; round < 20; round++) {
        struct passing passing = {.cancel = cancel_new()};
        pthread_t threads[4];
        for (int i = 0; i < 4; i++)
            threads[i] = start_thread(run_many, &passing);
        WAIT_FOR(atomic_load(&passing.loops) >= 50);
        cancel_set(passing.cancel);
        for (int i = 0; i < 4; i++)
            join_thread(threads[i]);
        cancel_release(passing.cancel);
    }
    CHECK_EQUAL(pool_facts().busy, 0);
}

/* ---- the first reason stays ----------------------------------------------------------------------- */

static void cancel_then_wait(gilfree_worker *worker, int64_t begin, int64_t end, const void *context)
{
    struct cancel *cancel = *(struct cancel *const *)context;
    int64_t until = clock_now() + 2 * MILLISECOND;
    (void)end;
    cancel_set(cancel);
    WAIT_FOR((gilfree_poll(worker, begin), clock_now() > until));
}

static void a_timeout_after_a_cancel_changes_nothing(void)
{
    struct cancel *cancel = cancel_new();
    const struct loop_options options = {.workers = 1, .timeout = MILLISECOND, .cancel = cancel};
    check_cancelled(loop_run(cancel_then_wait, 3, &cancel, &options), 3);
    cancel_release(cancel);
}

int main(void)
{
    pool_resize(3);
    RUN(a_loop_does_not_start_when_cancelled);
    RUN(a_cancel_that_is_not_set_changes_nothing);
    RUN(one_cancel_stops_many_loops);
    RUN(a_body_may_cancel_its_own_loop);
    RUN(loops_may_end_while_they_are_cancelled);
    RUN(a_timeout_after_a_cancel_changes_nothing);
    return 0;
}
