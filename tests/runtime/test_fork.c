/* Forking: with an idle pool, during another thread's loop, inside attend, with a shared cancel; the child works,
 * and the parent's loops go on. */
#include "check.h"

static struct tally tally, other_tally;

#define N 20000

/* ThreadSanitizer still counts the parent's threads in the child of a fork, and aborts when the system gives the id
 * of one of them to a new thread: so with it, no child of a parent at work starts one. */
#ifdef __SANITIZE_THREAD__
#define WORKERS_IN_CHILD 1
#else
#define WORKERS_IN_CHILD 3
#endif

/* What must work in any child, whatever the parent was in the middle of. */
static void check_child_with(int workers)
{
    CHECK_EQUAL(pool_facts().busy, 0);
    check_helpers(0);
    check_loop(&tally, N, OPTIONS(.workers = workers));
    meet(workers);
    check_helpers(workers - 1);
    CHECK_EQUAL(pool_facts().busy, 0);
    struct cancel *cancel = cancel_new();
    cancel_set(cancel);
    CHECK_EQUAL(loop_run(tally_body, N, &tally, OPTIONS(.workers = workers, .cancel = cancel)).error,
                GILFREE_CANCELLED);
    cancel_release(cancel);
    pool_resize(1);
    check_helpers(0);
}

static void check_child(void)
{
    check_child_with(WORKERS_IN_CHILD);
}

static void check_child_of_idle_parent(void)
{
    check_child_with(3);
}

/* ---- an idle pool --------------------------------------------------------------------------------- */

static void an_idle_pool_is_joined_before(void)
{
    for (int round = 0; round < 5; round++) {
        meet(3);
        check_helpers(2);
        pid_t child = fork();
        if (child == 0) {
            check_child_of_idle_parent();
            _exit(0);
        }
        check_helpers(0);
        CHECK_EQUAL(pool_facts().busy, 0);
        check_loop(&tally, N, OPTIONS(.workers = 3));
        join_child(child);
    }
}

static void fork_again(void)
{
    meet(3);
    run_in_child(check_child_of_idle_parent);
    check_helpers(0);
    check_child_of_idle_parent();
}

static void a_child_may_fork(void)
{
    meet(3);
    run_in_child(fork_again);
    meet(3);
}

/* ---- during another thread's loop ----------------------------------------------------------------- */

struct shift {
    struct cancel *cancel; /* or NULL */
    struct loop_result result;
    atomic_int arrived;
    atomic_bool release;
};

/* Two items, in two workers, until released or stopped. */
static void shift_body(gilfree_worker *worker, int64_t begin, int64_t end, const void *context)
{
    struct shift *shift = (struct shift *)context;
    atomic_fetch_add(&shift->arrived, 1);
    WAIT_FOR(gilfree_poll(worker, begin) || atomic_load(&shift->release));
    tally_body(worker, begin, end, &other_tally);
}

static void *run_shift(void *argument)
{
    struct shift *shift = argument;
    tally_clear(&other_tally, 2);
    shift->result = loop_run(
        shift_body, 2, shift,
        OPTIONS(.workers = 2, .chunksize = 1, .item_cost = GILFREE_POLLS, .cancel = shift->cancel));
    return NULL;
}

static void another_threads_loop_goes_on_in_the_parent_only(void)
{
    for (int round = 0; round < 5; round++) {
        struct shift shift = {0};
        pthread_t thread = start_thread(run_shift, &shift);
        WAIT_FOR(atomic_load(&shift.arrived) == 2);
        run_in_child(check_child);
        CHECK_EQUAL(pool_facts().busy, 2);
        meet(2);
        atomic_store(&shift.release, true);
        join_thread(thread);
        CHECK_EQUAL(shift.result.error, GILFREE_OK);
        CHECK_EQUAL(shift.result.finished, 2);
        check_ran_once(&other_tally, 0, 2);
        CHECK_EQUAL(pool_facts().busy, 0);
    }
}

/* Whatever locks the threads of the parent hold, the child finds none held. */
static atomic_bool enough;
static struct cancel *shared_cancel;

static void one_item(gilfree_worker *worker, int64_t begin, int64_t end, const void *context)
{
    (void)worker, (void)begin, (void)end, (void)context;
}

static void *hold_locks(void *argument)
{
    (void)argument;
    while (!atomic_load(&enough)) {
        loop_run(one_item, 10, NULL, OPTIONS(.workers = 3, .cancel = shared_cancel));
        pool_facts();
        loop_stop_all(argument);
    }
    return NULL;
}

/* Nor must the allocator's locks be held; but those of the sanitizers are (the one of the C library looks after
 * itself at a fork): a child of threads that allocate may then hang for good. So with them it ends at once, and only
 * what happens in the parent is tested. */
static void check_child_and_cancel(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    _exit(0);
#endif
    check_child();
    check_loop(&tally, 100, OPTIONS(.workers = WORKERS_IN_CHILD, .cancel = shared_cancel));
    cancel_set(shared_cancel);
    CHECK_EQUAL(loop_run(one_item, 10, NULL, OPTIONS(.workers = WORKERS_IN_CHILD, .cancel = shared_cancel)).error,
                GILFREE_CANCELLED);
}

static void a_child_finds_no_lock_held(void)
{
    int owner;
    pthread_t threads[3];
    atomic_store(&enough, false);
    shared_cancel = cancel_new();
    for (int i = 0; i < 3; i++)
        threads[i] = start_thread(hold_locks, &owner);
    for (int round = 0; round < 20; round++)
        run_in_child(check_child_and_cancel);
    CHECK(!cancel_is_set(shared_cancel));
    atomic_store(&enough, true);
    for (int i = 0; i < 3; i++)
        join_thread(threads[i]);
    cancel_release(shared_cancel);
    CHECK_EQUAL(pool_facts().busy, 0);
}

/* ---- a shared cancel ------------------------------------------------------------------------------ */

static struct shift cancelled_shift;

static void cancel_in_child(void)
{
    struct cancel *cancel = cancelled_shift.cancel;
    CHECK(!cancel_is_set(cancel));
    check_loop(&tally, N, OPTIONS(.workers = WORKERS_IN_CHILD, .cancel = cancel));
    cancel_set(cancel);
    CHECK(cancel_is_set(cancel));
    CHECK_EQUAL(loop_run(one_item, 10, NULL, OPTIONS(.workers = WORKERS_IN_CHILD, .cancel = cancel)).error,
                GILFREE_CANCELLED);
    cancel_release(cancel);
}

static void a_cancel_set_in_the_child_is_the_childs(void)
{
    cancelled_shift.cancel = cancel_new();
    pthread_t thread = start_thread(run_shift, &cancelled_shift);
    WAIT_FOR(atomic_load(&cancelled_shift.arrived) == 2);
    run_in_child(cancel_in_child);
    CHECK(!cancel_is_set(cancelled_shift.cancel));
    /* And the one in the parent still stops the parent's loop. */
    cancel_set(cancelled_shift.cancel);
    join_thread(thread);
    CHECK_EQUAL(cancelled_shift.result.error, GILFREE_CANCELLED);
    cancel_release(cancelled_shift.cancel);
}

/* ---- inside attend -------------------------------------------------------------------------------- */

struct forking {
    struct caller face;
    struct cancel *cancel; /* or NULL */
    pid_t child;           /* in the parent */
    bool is_child;
    atomic_bool forked;
    atomic_int arrived;
    bool caller_leaves;    /* at once, so that it waits for its helper while it forks */
    pthread_t thread;
};

static void forking_detach(struct caller *face)
{
    (void)face;
}

static int64_t forking_attend(struct caller *face)
{
    struct forking *forking = (struct forking *)face;
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0)
        forking->is_child = true;
    else
        forking->child = child;
    atomic_store(&forking->forked, true);
    return NEVER;
}

static struct forking new_forking(struct cancel *cancel, bool caller_leaves)
{
    return (struct forking){.face = {forking_detach, forking_attend},
                            .cancel = cancel,
                            .caller_leaves = caller_leaves,
                            .thread = pthread_self()};
}

/* Two items, in two workers, until the caller has forked. */
static void forking_body(gilfree_worker *worker, int64_t begin, int64_t end, const void *context)
{
    struct forking *forking = (struct forking *)context;
    atomic_fetch_add(&forking->arrived, 1);
    bool leaves = forking->caller_leaves && pthread_equal(pthread_self(), forking->thread);
    WAIT_FOR(gilfree_poll(worker, begin) ||
             (atomic_load(&forking->arrived) == 2 && (leaves || atomic_load(&forking->forked))));
    if (gilfree_poll(worker, begin)) {
        CHECK(forking->is_child);
        return;
    }
    tally_body(worker, begin, end, &tally);
}

static struct loop_result run_forking(struct forking *forking)
{
    tally_clear(&tally, 2);
    return loop_run(forking_body, 2, forking,
                    OPTIONS(.workers = 2, .chunksize = 1, .item_cost = GILFREE_POLLS, .cancel = forking->cancel,
                            .caller = &forking->face));
}

static void check_forked(struct loop_result result)
{
    CHECK_EQUAL(result.error, GILFREE_FORKED);
    CHECK_EQUAL(result.index, -1);
    CHECK(result.finished < 2);
}

static void a_loop_goes_on_in_the_parent_and_ends_in_the_child(void)
{
    for (int round = 0; round < 4; round++) {
        struct cancel *cancel = round < 2 ? NULL : cancel_new();
        struct forking forking = new_forking(cancel, round % 2);
        struct loop_result result = run_forking(&forking);
        if (forking.is_child) {
            check_forked(result);
            check_child();
            if (cancel) {
                check_loop(&tally, N, OPTIONS(.workers = WORKERS_IN_CHILD, .cancel = cancel));
                cancel_set(cancel);
                cancel_release(cancel);
            }
            _exit(0);
        }
        CHECK_EQUAL(result.error, GILFREE_OK);
        CHECK_EQUAL(result.finished, 2);
        check_ran_once(&tally, 0, 2);
        CHECK(forking.child > 0);
        join_child(forking.child);
        if (cancel) {
            CHECK(!cancel_is_set(cancel));
            cancel_release(cancel);
        }
        CHECK_EQUAL(pool_facts().busy, 0);
    }
}

/* A loop inside a loop: in the child both end, since helpers of both may be missing. */
static void outer_body(gilfree_worker *worker, int64_t begin, int64_t end, const void *context)
{
    struct forking *forking = (struct forking *)context;
    (void)end;
    if (!pthread_equal(pthread_self(), forking->thread)) {
        WAIT_FOR(atomic_load(&forking->forked) || gilfree_poll(worker, begin));
        return;
    }
    struct loop_result result = run_forking(forking);
    if (forking->is_child) {
        check_forked(result);
        CHECK(gilfree_poll(worker, begin));
        return;
    }
    CHECK_EQUAL(result.error, GILFREE_OK);
    check_ran_once(&tally, 0, 2);
}

static void loops_around_it_end_in_the_child_too(void)
{
    struct forking forking = new_forking(NULL, false);
    struct loop_result result =
        loop_run(outer_body, 2, &forking, OPTIONS(.workers = 2, .chunksize = 1, .item_cost = GILFREE_UNKNOWN));
    if (forking.is_child) {
        check_forked(result);
        check_child();
        _exit(0);
    }
    CHECK_EQUAL(result.error, GILFREE_OK);
    CHECK_EQUAL(result.finished, 2);
    join_child(forking.child);
    CHECK_EQUAL(pool_facts().busy, 0);
    meet(3);
}

int main(void)
{
    pool_resize(4);
    RUN(an_idle_pool_is_joined_before);
    RUN(a_child_may_fork);
    RUN(another_threads_loop_goes_on_in_the_parent_only);
    RUN(a_child_finds_no_lock_held);
    RUN(a_cancel_set_in_the_child_is_the_childs);
    RUN(a_loop_goes_on_in_the_parent_and_ends_in_the_child);
    RUN(loops_around_it_end_in_the_child_too);
    return 0;
}
