/* The caller of a loop: what it sees to while the loop runs, and who may stop it. */
#include "check.h"

static struct tally tally;

static void poll_body(gilfree_worker *worker, int64_t begin, int64_t end, const void *context)
{
    (void)end, (void)context;
    WAIT_FOR(gilfree_poll(worker, begin));
}

/* ---- what the caller sees to ---------------------------------------------------------------------- */

struct attendant {
    struct caller face;
    pthread_t thread;
    atomic_int detached, attended; /* how often; atomic, for helpers that wait for it */
    int interrupt_at;              /* the call of attend that ends the loop; 0 for none */
    int64_t delay;
};

static void attendant_detach(struct caller *face)
{
    struct attendant *attendant = (struct attendant *)face;
    CHECK(pthread_equal(pthread_self(), attendant->thread));
    atomic_fetch_add(&attendant->detached, 1);
}

static int64_t attendant_attend(struct caller *face)
{
    struct attendant *attendant = (struct attendant *)face;
    CHECK(pthread_equal(pthread_self(), attendant->thread));
    CHECK_EQUAL(attendant->detached, 1);
    return atomic_fetch_add(&attendant->attended, 1) + 1 == attendant->interrupt_at ? -1 : attendant->delay;
}

static struct attendant new_attendant(int interrupt_at, int64_t delay)
{
    return (struct attendant){.face = {attendant_detach, attendant_attend},
                              .thread = pthread_self(),
                              .interrupt_at = interrupt_at,
                              .delay = delay};
}


/* Polls until attend has been called three times. */
static void attended_body(gilfree_worker *worker, int64_t begin, int64_t end, const void *context)
{
    struct attendant *attendant = (struct attendant *)context;
    (void)end;
    WAIT_FOR((gilfree_poll(worker, begin), atomic_load(&attendant->attended) >= 3));
    CHECK(!gilfree_poll(worker, begin));
}

static void the_calling_thread_attends(void)
{
    for (int k = 0; k < COUNT(item_costs); k++) {
        struct attendant attendant = new_attendant(0, k / 2);
        struct loop_result result = loop_run(
            attended_body, 2, &attendant,
            OPTIONS(.workers = 1 + k % 2, .chunksize = 1, .item_cost = item_costs[k], .caller = &attendant.face));
        CHECK_EQUAL(result.error, GILFREE_OK);
        CHECK_EQUAL(result.finished, 2);
        CHECK_EQUAL(attendant.detached, 1);
        CHECK(attendant.attended >= 3);
    }
}

static void attend_is_not_called_again_after_never(void)
{
    struct attendant attendant = new_attendant(1, NEVER);
    attendant.interrupt_at = 2;
    const struct loop_options options = {
        .workers = 2, .timeout = 100 * MILLISECOND, .item_cost = GILFREE_POLLS, .caller = &attendant.face};
    struct loop_result result = loop_run(poll_body, 2, NULL, &options);
    CHECK_EQUAL(result.error, GILFREE_TIMEOUT);
    CHECK(attendant.attended <= 1);
}

static void an_interrupt_stops_the_loop(void)
{
    for (int k = 0; k < COUNT(item_costs); k++) {
        struct attendant attendant = new_attendant(2, 0);
        struct loop_result result =
            loop_run(poll_body, 2, NULL,
                     OPTIONS(.workers = 2 - k % 2, .item_cost = item_costs[k], .caller = &attendant.face));
        CHECK_EQUAL(result.error, GILFREE_INTERRUPTED);
        CHECK_EQUAL(result.index, -1);
        CHECK_EQUAL(attendant.attended, 2);
        CHECK_EQUAL(attendant.detached, 1);
    }
}

struct hand_over {
    struct attendant attendant;
    atomic_int arrived;
};

/* The calling thread leaves when the helper has come; the helper stays until it is stopped. */
static void hand_over_body(gilfree_worker *worker, int64_t begin, int64_t end, const void *context)
{
    struct hand_over *hand_over = (struct hand_over *)context;
    (void)end;
    atomic_fetch_add(&hand_over->arrived, 1);
    WAIT_FOR(atomic_load(&hand_over->arrived) == 2);
    if (!pthread_equal(pthread_self(), hand_over->attendant.thread))
        WAIT_FOR(gilfree_poll(worker, begin));
}

static void a_waiting_caller_attends(void)
{
    struct hand_over hand_over = {.attendant = new_attendant(3, MILLISECOND)};
    struct loop_result result =
        loop_run(hand_over_body, 2, &hand_over,
                 OPTIONS(.workers = 2, .chunksize = 1, .caller = &hand_over.attendant.face));
    CHECK_EQUAL(result.error, GILFREE_INTERRUPTED);
    CHECK_EQUAL(result.finished, 1);
    CHECK_EQUAL(hand_over.attendant.attended, 3);
    CHECK_EQUAL(hand_over.attendant.detached, 1);
}

/* The caller may be done before its first heartbeat: then it detaches while it waits. */
static void stay_until_detached(gilfree_worker *worker, int64_t begin, int64_t end, const void *context)
{
    struct hand_over *hand_over = (struct hand_over *)context;
    (void)worker, (void)begin, (void)end;
    atomic_fetch_add(&hand_over->arrived, 1);
    WAIT_FOR(atomic_load(&hand_over->arrived) == 2);
    if (!pthread_equal(pthread_self(), hand_over->attendant.thread))
        WAIT_FOR(atomic_load(&hand_over->attendant.detached));
}

static void a_waiting_caller_detaches(void)
{
    for (int round = 0; round < 300; round++) {
        _Atomic float cost = 1e9f; /* so that a helper comes at once */
        struct hand_over hand_over = {.attendant = new_attendant(0, 0)};
        struct loop_result result = loop_run(stay_until_detached, 2, &hand_over,
                                             OPTIONS(.workers = 2, .chunksize = 1, .item_cost = GILFREE_BRIEF,
                                                     .cost = &cost, .caller = &hand_over.attendant.face));
        CHECK_EQUAL(result.error, GILFREE_OK);
        CHECK_EQUAL(hand_over.attendant.detached, 1);
    }
}

/* An exception hangs on an interrupt: it is never lost, not even with every result there. */
static void stay_until_interrupted(gilfree_worker *worker, int64_t begin, int64_t end, const void *context)
{
    struct hand_over *hand_over = (struct hand_over *)context;
    (void)worker, (void)begin, (void)end;
    atomic_fetch_add(&hand_over->arrived, 1);
    WAIT_FOR(atomic_load(&hand_over->arrived) == 2);
    if (!pthread_equal(pthread_self(), hand_over->attendant.thread))
        WAIT_FOR(atomic_load(&hand_over->attendant.attended));
}

static void an_interrupt_is_never_lost(void)
{
    struct hand_over hand_over = {.attendant = new_attendant(1, 0)};
    struct loop_result result =
        loop_run(stay_until_interrupted, 2, &hand_over,
                 OPTIONS(.workers = 2, .chunksize = 1, .caller = &hand_over.attendant.face));
    CHECK_EQUAL(result.finished, 2);
    CHECK_EQUAL(result.error, GILFREE_INTERRUPTED);
}

static void a_loop_detaches_at_most_once(void)
{
    for (int round = 0; round < 200; round++)
        for (int k = 0; k < COUNT(item_costs); k++) {
            struct attendant attendant = new_attendant(0, 0);
            check_loop(&tally, 1 + round * 20,
                       OPTIONS(.workers = 1 + round % 3, .item_cost = item_costs[k], .caller = &attendant.face));
            CHECK(attendant.detached <= 1);
            if (item_costs[k] == GILFREE_UNKNOWN) /* no poll will call on the caller later */
                CHECK_EQUAL(attendant.detached, 1);
        }
}

/* ---- stopping all of one owner -------------------------------------------------------------------- */

struct owned {
    const void *owner;
    struct loop_result result;
    atomic_int running;
    atomic_bool release, ended;
};

static void owned_body(gilfree_worker *worker, int64_t begin, int64_t end, const void *context)
{
    struct owned *owned = (struct owned *)context;
    (void)end;
    atomic_fetch_add(&owned->running, 1);
    WAIT_FOR(gilfree_poll(worker, begin) || atomic_load(&owned->release));
}

static void *call_owned(void *argument)
{
    struct owned *owned = argument;
    owned->result = loop_run(owned_body, 2, owned,
                             OPTIONS(.workers = 2, .item_cost = GILFREE_POLLS, .owner = owned->owner));
    atomic_store(&owned->ended, true);
    return NULL;
}

static void only_the_loops_of_one_owner_are_stopped(void)
{
    int owner, other;
    struct owned mine = {.owner = &owner}, mine_too = {.owner = &owner}, others = {.owner = &other};
    struct owned *all[] = {&mine, &mine_too, &others};
    pthread_t callers[3];
    for (int i = 0; i < 3; i++)
        callers[i] = start_thread(call_owned, all[i]);
    for (int i = 0; i < 3; i++)
        WAIT_FOR(atomic_load(&all[i]->running));
    /* Again and again, since a loop is known to the pool only after a heartbeat. */
    WAIT_FOR((loop_stop_all(&owner), atomic_load(&mine.ended) && atomic_load(&mine_too.ended)));
    CHECK(!atomic_load(&others.ended));
    atomic_store(&others.release, true);
    for (int i = 0; i < 3; i++)
        join_thread(callers[i]);
    CHECK_EQUAL(mine.result.error, GILFREE_EXITING);
    CHECK_EQUAL(mine_too.result.error, GILFREE_EXITING);
    CHECK_EQUAL(mine.result.index, -1);
    CHECK_EQUAL(others.result.error, GILFREE_OK);
    CHECK_EQUAL(others.result.finished, 2);
}

int main(void)
{
    pool_resize(4);
    RUN(the_calling_thread_attends);
    RUN(attend_is_not_called_again_after_never);
    RUN(an_interrupt_stops_the_loop);
    RUN(a_waiting_caller_attends);
    RUN(a_waiting_caller_detaches);
    RUN(an_interrupt_is_never_lost);
    RUN(a_loop_detaches_at_most_once);
    RUN(only_the_loops_of_one_owner_are_stopped);
    return 0;
}
