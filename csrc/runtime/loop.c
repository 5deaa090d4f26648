#include "loop.h"

#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>

#include "clock.h"
#include "memory.h"
#include "pool.h"

#ifdef GILFREE_STRESS
#define HEARTBEAT 0
#else
#define HEARTBEAT (20 * MICROSECOND)
#endif
#define CHUNK_TIME (30 * MICROSECOND) /* what a chunk should take: enough to forget what claiming it cost */
#define CHUNK_FLOOR (1 * MICROSECOND) /* and what it should take at the least, near the end */
#define CHUNK_GROWTH 4                /* a chunk is at most so many times the last one, unless items are alike */
#define CHUNK_FIRST 256               /* items; when they are alike and their cost is not known */
#define HOT_SHARE (4 * MICROSECOND)   /* work worth sharing with a helper that spins */
#define BURST_SHARE (10 * MICROSECOND) /* work worth waking a helper for, if the next loop will find it spinning */
#define ATTEND_FIRST (40 * MILLISECOND)
#define POLLS_BETWEEN_LOOKS_MAX 64 /* bounds how late a long item notices the time, after many short polls */

#define CACHE_LINE 64

/* An index and an error code in one word, so that the lowest failing index is found by an atomic minimum. */
#define FAILURE(index, error) ((index) << 8 | (int64_t)(error))
#define FAILURE_NONE INT64_MAX

struct loop {
    /* Set before anyone is invited, then read only. All on the heap: in a signal handler the caller may switch
     * to another stack in the same memory (greenlets do), while its helpers go on. */
    loop_body *body;
    const void *context;
    int64_t n;
    struct loop_options options;
    int64_t began, deadline;
    struct loop *previous, *next; /* with the same cancel; under the cancel lock */
    unsigned process;             /* the fork generation in which it was put on that list */

    /* The caller's own. */
    int64_t attend_at;
    bool entered;
    bool detached;
    bool in_burst; /* began soon after another loop that had work to share */

    /* Everyone's. `next_index` is written at every claim; `stop` almost never, and read at every poll. */
    char apart[CACHE_LINE];
    _Atomic int64_t next_index;
    _Atomic int64_t finished;
    _Atomic int64_t busy; /* nanoseconds of work in finished chunks */
    char apart_too[CACHE_LINE];
    _Atomic int64_t stop;
    _Atomic int64_t failure; /* FAILURE(index, error), the lowest index */
    _Atomic int reason;      /* why `stop` is 0, if it is no item's error; the first reason stays */
    struct team team;
};

struct worker {
    gilfree_worker face;
    struct loop *loop;
    bool is_caller;
    bool stopped; /* the body gave up the chunk it is in */
    int countdown, between_looks; /* polls until the next look at the clock */
    int64_t looked_at;
    int64_t begin, end; /* what the body runs now */
    int64_t claimed;    /* the end of the chunk: beyond `end` only if the caller named a chunksize */
    int64_t size;       /* what chunk_size said last */
    int64_t due;        /* the next heartbeat */
    int64_t mark;       /* when the chunk began */
    int64_t items, busy; /* of finished chunks */
};

/* ---- stopping ------------------------------------------------------------------------------------ */

static void lower(_Atomic int64_t *number, int64_t value)
{
    int64_t before = atomic_load_explicit(number, memory_order_relaxed);
    while (value < before && !atomic_compare_exchange_weak_explicit(number, &before, value, memory_order_relaxed,
                                                                    memory_order_relaxed)) {
    }
}

static void stop(struct loop *loop, int reason)
{
    int none = GILFREE_OK;
    atomic_compare_exchange_strong(&loop->reason, &none, reason);
    lower(&loop->stop, 0);
}

static struct loop *loop_of(struct team *team)
{
    return (struct loop *)((char *)team - offsetof(struct loop, team));
}

static void stop_team(struct team *team, int reason)
{
    stop(loop_of(team), reason);
}

static void fail(gilfree_worker *face, int64_t index, gilfree_error error)
{
    struct worker *worker = (struct worker *)face;
    worker->stopped = true;
    lower(&worker->loop->failure, FAILURE(index, error));
    lower(&worker->loop->stop, index);
}

void loop_stop_all(const void *owner)
{
    pool_stop(owner, GILFREE_EXITING);
}

/* ---- cancel -------------------------------------------------------------------------------------- */

struct cancel {
    atomic_int references;
    atomic_bool set;
    struct loop *loops; /* running with it; under the lock */
    unsigned process;   /* the fork generation `loops` belongs to */
};

static pthread_mutex_t cancel_lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned process; /* a fork generation: grows by one in every child; under the lock */

static void lock_cancel(void)
{
    pthread_mutex_lock(&cancel_lock);
}

static void unlock_cancel(void)
{
    pthread_mutex_unlock(&cancel_lock);
}

static void in_child(void)
{
    process++;
    unlock_cancel();
}

/* The child of a fork must not find the lock held by a thread it has not got. */
static void install_fork_handlers(void)
{
    pthread_atfork(lock_cancel, unlock_cancel, in_child);
}

/* Under the lock. The loops of before a fork are the parent's: here their threads and stacks are gone. */
static void forget_parent(struct cancel *cancel)
{
    if (cancel->process != process)
        cancel->loops = NULL;
    cancel->process = process;
}

struct cancel *cancel_new(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, install_fork_handlers);
    struct cancel *cancel = memory_resize(NULL, sizeof *cancel);
    if (!cancel)
        return NULL;
    atomic_init(&cancel->references, 1);
    atomic_init(&cancel->set, false);
    cancel->loops = NULL;
    cancel->process = 0;
    return cancel;
}

struct cancel *cancel_retain(struct cancel *cancel)
{
    atomic_fetch_add(&cancel->references, 1);
    return cancel;
}

void cancel_release(struct cancel *cancel)
{
    if (atomic_fetch_sub(&cancel->references, 1) == 1)
        free(cancel);
}

bool cancel_is_set(struct cancel *cancel)
{
    return atomic_load(&cancel->set);
}

void cancel_set(struct cancel *cancel)
{
    lock_cancel();
    forget_parent(cancel);
    atomic_store(&cancel->set, true);
    for (struct loop *loop = cancel->loops; loop; loop = loop->next)
        stop(loop, GILFREE_CANCELLED);
    unlock_cancel();
}

/* A loop is on its cancel's list, or has seen that it is set: under the lock nothing lies between. */
static void cancel_watch(struct cancel *cancel, struct loop *loop)
{
    lock_cancel();
    if (atomic_load(&cancel->set))
        stop(loop, GILFREE_CANCELLED);
    forget_parent(cancel);
    loop->process = process;
    loop->previous = NULL;
    loop->next = cancel->loops;
    if (loop->next)
        loop->next->previous = loop;
    cancel->loops = loop;
    unlock_cancel();
}

static void cancel_unwatch(struct cancel *cancel, struct loop *loop)
{
    lock_cancel();
    if (loop->process == process) {
        if (loop->previous)
            loop->previous->next = loop->next;
        else
            cancel->loops = loop->next;
        if (loop->next)
            loop->next->previous = loop->previous;
    }
    unlock_cancel();
}

/* ---- sharing ------------------------------------------------------------------------------------- */

static int64_t unclaimed(struct loop *loop)
{
    int64_t next = atomic_load_explicit(&loop->next_index, memory_order_relaxed);
    int64_t stop_index = atomic_load_explicit(&loop->stop, memory_order_relaxed);
    int64_t end = stop_index < loop->n ? stop_index : loop->n;
    return next < end ? end - next : 0;
}

static float known_cost(const struct loop *loop)
{
    const struct loop_options *options = &loop->options;
    if (options->item_cost == GILFREE_POLLS || !options->cost)
        return 0; /* what a polling kernel takes depends on its argument: the last call says nothing */
    return atomic_load_explicit(options->cost, memory_order_relaxed);
}

static void enter(struct loop *loop)
{
    /* A helper on the team finds it true; so only the caller ever writes it. */
    if (loop->entered)
        return;
    pool_enter(&loop->team);
    loop->entered = true;
}

static void detach(struct loop *loop)
{
    if (!loop->detached && loop->options.caller)
        loop->options.caller->detach(loop->options.caller);
    loop->detached = true;
}

/* Is it worth one more helper to share `nanoseconds` of work among the team? */
static bool worth_sharing(struct loop *loop, double nanoseconds)
{
    double share = nanoseconds / (1 + team_helpers(&loop->team));
    return share > (double)(pool_is_hot() ? HOT_SHARE : loop->in_burst ? BURST_SHARE : 2 * pool_wake_cost());
}

/* When a loop ended that a spinning helper would have made shorter. A wake that does not pay for one such loop
 * pays for many that follow one another closely. */
static _Atomic int64_t last_worthy = INT64_MIN / 2;

static bool is_in_burst(int64_t now)
{
    return now - atomic_load_explicit(&last_worthy, memory_order_relaxed) < pool_wake_cost();
}

static void note_end(const struct loop *loop)
{
    int64_t now = clock_now();
    if (loop->team.limit > 0 && now - loop->began > BURST_SHARE)
        atomic_store_explicit(&last_worthy, now, memory_order_relaxed);
}

/* At the start: what the last call tells, if anything. */
static void share_by_experience(struct loop *loop)
{
    float cost = known_cost(loop);
    int64_t left = unclaimed(loop);
    bool worth = cost > 0 ? worth_sharing(loop, (double)cost * (double)left)
                          : loop->options.item_cost == GILFREE_UNKNOWN;
    if (!worth || left == 0)
        return;
    enter(loop);
    pool_invite(&loop->team);
}

/* Nanoseconds until the caller must attend. */
static int64_t see_to(struct loop *loop, int64_t now)
{
    if (now >= loop->deadline)
        stop(loop, GILFREE_TIMEOUT);
    struct caller *caller = loop->options.caller;
    if (caller && now >= loop->attend_at) {
        int64_t delay = caller->attend(caller);
        if (delay < 0)
            stop(loop, GILFREE_INTERRUPTED);
        now = clock_now();
        loop->attend_at = delay < 0 ? NEVER : clock_after(now, delay);
    }
    int64_t until = loop->attend_at;
    /* Past the deadline there is nothing more to do at it. */
    if (loop->deadline > now && loop->deadline < until)
        until = loop->deadline;
    return until == NEVER ? NEVER : until > now ? until - now : 0;
}

static int64_t wait_for_team(struct team *team)
{
    struct loop *loop = loop_of(team);
    detach(loop);
    return see_to(loop, clock_now());
}

/* What every worker does from time to time. `done` counts its finished items of the chunk it is in. */
static void beat(struct worker *worker, int64_t now, int64_t done)
{
    struct loop *loop = worker->loop;
    /* Beats come early while a helper spins: sharing is cheap then, but the loop may still be a trifle. */
    bool early = now < loop->began + HEARTBEAT;
    worker->due = early ? now : now + HEARTBEAT;
    if (worker->is_caller && !early) {
        enter(loop);
        detach(loop);
        see_to(loop, now);
    } else if (now >= loop->deadline) {
        stop(loop, GILFREE_TIMEOUT);
    }
    int64_t left = unclaimed(loop);
    if (left == 0 || team_helpers(&loop->team) >= loop->team.limit)
        return;
    int64_t items = worker->items + done;
    double average = (double)(worker->busy + now - worker->mark) / (double)(items ? items : 1);
    if (worth_sharing(loop, average * (double)left)) {
        enter(loop);
        pool_invite(&loop->team);
    }
}

/* ---- working ------------------------------------------------------------------------------------- */

static int poll(gilfree_worker *face, int64_t index)
{
    struct worker *worker = (struct worker *)face;
    struct loop *loop = worker->loop;
    if (--worker->countdown <= 0) {
        int64_t now = clock_now();
        int64_t apart = now - worker->looked_at;
        if (apart < HEARTBEAT / 8 && worker->between_looks < POLLS_BETWEEN_LOOKS_MAX)
            worker->between_looks *= 2;
        else if (apart > HEARTBEAT)
            worker->between_looks = 1;
        worker->countdown = worker->between_looks;
        worker->looked_at = now;
        if (now >= worker->due)
            beat(worker, now, index - worker->begin);
    }
    if (index < atomic_load_explicit(&loop->stop, memory_order_relaxed))
        return 0;
    worker->stopped = true;
    return 1;
}

/* Items to run at once: as many as take CHUNK_TIME, but never more than a fair part of what is left (half of an
 * even share), so that the last chunks are small and all workers end together. */
static int64_t chunk_size(struct worker *worker, int64_t left)
{
    const struct loop *loop = worker->loop;
#ifdef GILFREE_STRESS
    return 1 + left % 3;
#endif
    bool alike = loop->options.item_cost == GILFREE_FLAT;
    int64_t share = loop->team.limit ? left / (2 * (loop->team.limit + 1)) : left;
    double cost = worker->items ? (double)worker->busy / (double)worker->items : alike ? known_cost(loop) : 0;
    int64_t size;
    if (cost > 0) {
        double most = (double)CHUNK_TIME / cost, least = (double)CHUNK_FLOOR / cost;
        size = most < (double)share ? (int64_t)most : share;
        if ((double)size < least)
            size = least < (double)left ? (int64_t)least : left;
    } else {
        size = alike ? CHUNK_FIRST : worker->items ? share : 1;
    }
    if (!alike && size > CHUNK_GROWTH * worker->size)
        size = CHUNK_GROWTH * worker->size;
    worker->size = size > 1 ? size : 1;
    return worker->size;
}

/* Whatever chunksize the caller named, a body runs for CHUNK_TIME at a time, so that it can be stopped. */
static bool next_of_claimed(struct worker *worker)
{
    struct loop *loop = worker->loop;
    int64_t left = worker->claimed - worker->end;
    if (left == 0 || worker->end >= atomic_load_explicit(&loop->stop, memory_order_relaxed))
        return false;
    int64_t size = chunk_size(worker, left);
    worker->begin = worker->end;
    worker->end += size < left ? size : left;
    return true;
}

static bool claim(struct worker *worker)
{
    struct loop *loop = worker->loop;
    if (loop->options.chunksize && next_of_claimed(worker))
        return true;
    int64_t left = unclaimed(loop);
    if (left == 0)
        return false;
    int64_t size = loop->options.chunksize ? loop->options.chunksize : chunk_size(worker, left);
    int64_t begin = atomic_fetch_add_explicit(&loop->next_index, size < left ? size : left, memory_order_relaxed);
    if (begin >= loop->n || begin >= atomic_load_explicit(&loop->stop, memory_order_relaxed))
        return false;
    worker->begin = begin;
    worker->claimed = size < loop->n - begin ? begin + size : loop->n;
    worker->end = worker->claimed;
    if (loop->options.chunksize) {
        worker->end = begin;
        return next_of_claimed(worker);
    }
    return true;
}

static void work(struct worker *worker)
{
    struct loop *loop = worker->loop;
    while (claim(worker)) {
        loop->body(&worker->face, worker->begin, worker->end, loop->context);
        int64_t now = clock_now();
        int64_t items = worker->end - worker->begin;
        if (worker->stopped) {
            worker->stopped = false;
        } else {
            worker->items += items;
            worker->busy += now - worker->mark;
            atomic_fetch_add_explicit(&loop->finished, items, memory_order_relaxed);
            atomic_fetch_add_explicit(&loop->busy, now - worker->mark, memory_order_relaxed);
        }
        worker->mark = now;
        if (now >= worker->due)
            beat(worker, now, 0);
    }
}

static struct worker new_worker(struct loop *loop, int64_t now, bool is_caller)
{
    return (struct worker){
        .face = {poll, fail},
        .loop = loop,
        .is_caller = is_caller,
        .countdown = 1,
        .between_looks = 1,
        .looked_at = now,
        .size = 1, /* where growth starts */
        .due = pool_is_hot() && loop->team.limit ? now : now + HEARTBEAT,
        .mark = now,
    };
}

static void help(struct team *team)
{
    struct loop *loop = loop_of(team);
    /* A body that never polls has no heartbeat before its first item ends: each helper brings two more. */
    if (loop->options.item_cost == GILFREE_UNKNOWN) {
        share_by_experience(loop);
        share_by_experience(loop);
    }
    struct worker worker = new_worker(loop, clock_now(), false);
    work(&worker);
}

static struct loop_result result_of(struct loop *loop)
{
    int64_t failure = atomic_load(&loop->failure);
    int reason = atomic_load(&loop->reason);
    struct loop_result result = {GILFREE_OK, -1, atomic_load(&loop->finished)};
    /* A reason that came after the last item is none, unless an exception hangs on it. */
    if (reason && (result.finished < loop->n || reason == GILFREE_INTERRUPTED)) {
        result.error = (gilfree_error)reason;
    } else if (failure != FAILURE_NONE) {
        result.error = (gilfree_error)(failure & 0xff);
        result.index = failure >> 8;
    }
    return result;
}

static void run(struct loop *loop)
{
    if (loop->deadline <= loop->began)
        stop(loop, GILFREE_TIMEOUT);
    if (loop->options.cancel)
        cancel_watch(loop->options.cancel, loop);
    if (loop->team.limit > 0)
        share_by_experience(loop);
    /* Nothing will call on the caller while such a body runs. */
    if (loop->options.item_cost == GILFREE_UNKNOWN)
        detach(loop);
    struct worker caller = new_worker(loop, loop->began, true);
    work(&caller);
    if (loop->entered)
        pool_leave(&loop->team, wait_for_team);
    if (loop->options.cancel)
        cancel_unwatch(loop->options.cancel, loop);
    int64_t finished = atomic_load_explicit(&loop->finished, memory_order_relaxed);
    if (loop->options.cost && finished) {
        int64_t busy = atomic_load_explicit(&loop->busy, memory_order_relaxed);
        atomic_store_explicit(loop->options.cost, (float)busy / (float)finished, memory_order_relaxed);
    }
}

struct loop_result loop_run(loop_body *body, int64_t n, const void *context, const struct loop_options *options)
{
    if (n <= 0)
        return (struct loop_result){GILFREE_OK, -1, 0};
    struct loop *loop = memory_resize(NULL, sizeof *loop);
    if (!loop)
        return (struct loop_result){GILFREE_MEMORY, -1, 0};
    int64_t now = clock_now();
    *loop = (struct loop){
        .body = body,
        .context = context,
        .n = n,
        .options = *options,
        .began = now,
        .deadline = clock_after(now, options->timeout),
        .in_burst = is_in_burst(now),
        .attend_at = options->caller ? now + ATTEND_FIRST : NEVER,
        .stop = NEVER,
        .failure = FAILURE_NONE,
        .team = {.limit = n < options->workers ? (int)n - 1 : options->workers - 1,
                 .help = help,
                 .stop = stop_team,
                 .owner = options->owner},
    };
    if (options->caller)
        options->caller->finished = &loop->finished;
    run(loop);
    note_end(loop);
    struct loop_result result = result_of(loop);
    free(loop);
    return result;
}
