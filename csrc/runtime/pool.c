#include "pool.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/syscall.h>
#endif

#include "clock.h"
#include "cpus.h"
#include "gilfree.h"
#include "memory.h"
#include "park.h"
#include "thread.h"

/* A helper's state has one writer at a time:
 *   IDLE, PARKED -> INVITED   pool_invite, under the lock, having taken it off the idle stack
 *   INVITED -> IDLE           pool_leave, under the lock, putting it back on the idle stack
 *   IDLE, PARKED -> QUITTING  dismiss_idle, under the lock, having taken it off the idle stack
 *   IDLE -> PARKED, INVITED -> RUNNING, RUNNING -> IDLE   the helper itself
 * The two transitions out of INVITED race by compare-and-swap: a helper that wins runs the team, and the
 * caller waits for it; a caller that wins never waits for a helper that has not started. */
enum helper_state { IDLE, PARKED, INVITED, RUNNING, QUITTING };

struct helper {
    _Atomic uint32_t state;
    _Atomic int64_t woken_at; /* when the waker woke it; 0 if it was not asleep */
    struct team *team;        /* valid while INVITED or RUNNING */
    struct helper *below;     /* in the idle stack; under the lock */
    struct helper *next;      /* of all helpers; under the lock */
    pthread_t thread;
    _Atomic int tid;
    int number;
#ifdef __linux__
    atomic_bool placed; /* the waker narrowed its affinity; `mask` is what to restore */
    cpu_set_t mask;
#endif
};

static struct pool {
    pthread_mutex_t lock; /* guards what follows; never held while taking the GIL or waiting for a helper */
    struct helper *idle;  /* a stack: the last to go idle is the first to be invited, being the warmest */
    struct helper *every; /* all helpers, idle or not */
    struct team *teams;   /* every team that entered */
    int helpers;          /* threads that exist */
    int numbered;         /* helpers ever made in this process */
    int create_error;
    atomic_int busy; /* callers + helpers not idle; written under the lock */
    atomic_int cpus;    /* 0 until found */
    atomic_int workers; /* 0 until found */
    atomic_int asked;   /* what pool_resize set; 0 if nothing */
    atomic_int spinning;
    _Atomic int64_t wake_cost;
} pool = {.lock = PTHREAD_MUTEX_INITIALIZER, .wake_cost = 50 * MICROSECOND};

#define WAKE_COST_MIN (5 * MICROSECOND)
#define WAKE_COST_MAX (100 * MICROSECOND)

#ifdef GILFREE_STRESS
#define SPIN_TIME(cost) 0
#define HELPERS_MAX 2
#else
#define SPIN_TIME(cost) (cost)
#define HELPERS_MAX WORKERS_MAX
#endif

static _Thread_local struct {
    struct team *innermost; /* the last one this thread entered, and has not left */
    bool is_helper;         /* and so counted as busy, whatever it enters */
} self;

static void install_fork_handlers(void);

static void lock(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, install_fork_handlers); /* before anyone can hold the lock in a fork */
    pthread_mutex_lock(&pool.lock);
}

static void unlock(void)
{
    pthread_mutex_unlock(&pool.lock);
}

/* Under the lock. */
static void count_busy(int change)
{
    atomic_store_explicit(&pool.busy, atomic_load_explicit(&pool.busy, memory_order_relaxed) + change,
                          memory_order_relaxed);
}

/* ---- size ---------------------------------------------------------------------------------------- */

int pool_cpus(void)
{
    int cpus = atomic_load_explicit(&pool.cpus, memory_order_relaxed);
    if (cpus == 0)
        atomic_store_explicit(&pool.cpus, cpus = cpus_here().count, memory_order_relaxed);
    return cpus;
}

static int found_size(void)
{
    const char *text = getenv("GILFREE_WORKERS");
    if (!text || !*text)
        return pool_cpus();
    char *end;
    errno = 0;
    long workers = strtol(text, &end, 10);
    if (*end || errno || workers == 0 || workers < -1 || workers > WORKERS_MAX)
        return 0;
    return workers == -1 ? pool_cpus() : (int)workers;
}

int pool_size(void)
{
    int workers = atomic_load_explicit(&pool.workers, memory_order_relaxed);
    if (workers == 0) {
        workers = found_size();
        int unset = 0;
        if (!atomic_compare_exchange_strong(&pool.workers, &unset, workers))
            workers = unset;
    }
    return workers;
}

static struct helper *take_idle(int surplus);
static void dismiss(struct helper *helpers);

int pool_resize(int workers)
{
    lock();
    int before = atomic_load(&pool.asked);
    atomic_store(&pool.asked, workers);
    atomic_store(&pool.workers, workers);
    struct helper *surplus = workers ? take_idle(pool.helpers - (workers - 1)) : NULL;
    unlock();
    dismiss(surplus);
    return before;
}

/* ---- threads ------------------------------------------------------------------------------------- */

bool thread_is_main(void)
{
#if defined(__linux__)
    return getpid() == (pid_t)syscall(SYS_gettid);
#elif defined(__APPLE__)
    return pthread_main_np() != 0;
#else
    return true; /* a needless look for signals costs less than a Ctrl-C that is not seen */
#endif
}

#ifdef __linux__
/* Keeps a helper that is about to be woken off the waker's CPU. The waker is at work there and would
 * have to share it; and the scheduler, seeing a core that has idled for milliseconds and one that is
 * warm, does pick the warm one. The helper restores its mask as its first act. */
static void place(struct helper *helper)
{
    int here = sched_getcpu();
    int tid = atomic_load(&helper->tid);
    if (here < 0 || here >= CPU_SETSIZE || tid == 0)
        return;
    if (!atomic_load_explicit(&helper->placed, memory_order_acquire) &&
        sched_getaffinity(tid, sizeof helper->mask, &helper->mask) != 0)
        return;
    cpu_set_t others = helper->mask;
    CPU_CLR(here, &others);
    if (CPU_COUNT(&others) == 0 || CPU_EQUAL(&others, &helper->mask))
        return;
    /* Narrow first: a helper that woke by itself then restores here or, under the lock, after its run. */
    if (sched_setaffinity(tid, sizeof others, &others) == 0)
        atomic_store_explicit(&helper->placed, true, memory_order_release);
}

static void restore_place(struct helper *helper)
{
    if (atomic_exchange_explicit(&helper->placed, false, memory_order_acq_rel))
        sched_setaffinity(0, sizeof helper->mask, &helper->mask);
}

static void name_thread(struct helper *helper)
{
    char name[16];
    snprintf(name, sizeof name, "gilfree-%d", helper->number);
    pthread_setname_np(pthread_self(), name);
    atomic_store(&helper->tid, (int)syscall(SYS_gettid));
}

/* pthread_join returns a moment before the kernel stops counting the thread, and Python 3.12 warns of
 * every thread that is counted after a fork. */
static void wait_until_gone(int tid)
{
    while (tid && syscall(SYS_tgkill, getpid(), tid, 0) == 0)
        sched_yield();
}
#else
static void place(struct helper *helper)
{
    (void)helper;
}
static void restore_place(struct helper *helper)
{
    (void)helper;
}
static void name_thread(struct helper *helper)
{
    char name[16];
    snprintf(name, sizeof name, "gilfree-%d", helper->number);
#ifdef __APPLE__
    pthread_setname_np(name);
#endif
}
static void wait_until_gone(int tid)
{
    (void)tid;
}
#endif

static void note_wake(struct helper *helper)
{
    int64_t woken_at = atomic_exchange_explicit(&helper->woken_at, 0, memory_order_relaxed);
    if (woken_at == 0)
        return;
    int64_t cost = clock_now() - woken_at;
    cost = cost < WAKE_COST_MIN ? WAKE_COST_MIN : cost > WAKE_COST_MAX ? WAKE_COST_MAX : cost;
    int64_t before = atomic_load_explicit(&pool.wake_cost, memory_order_relaxed);
    atomic_store_explicit(&pool.wake_cost, (3 * before + cost) / 4, memory_order_relaxed);
}

/* While the state is IDLE, for about as long as a wake would cost. */
static uint32_t spin(struct helper *helper)
{
    uint32_t state = IDLE;
    int64_t until = clock_now() + SPIN_TIME(pool_wake_cost());
    atomic_fetch_add_explicit(&pool.spinning, 1, memory_order_relaxed);
    do {
        for (int i = 0; i < 32 && state == IDLE; i++) {
            cpu_relax();
            state = atomic_load_explicit(&helper->state, memory_order_acquire);
        }
    } while (state == IDLE && clock_now() < until);
    atomic_fetch_sub_explicit(&pool.spinning, 1, memory_order_relaxed);
    return state;
}

/* Until the state leaves IDLE and PARKED: spins, then sleeps. A helper whose invitation was taken back while it woke
 * spins again: where one loop wanted help, the next may. */
static uint32_t wait_for_change(struct helper *helper)
{
    uint32_t state = atomic_load_explicit(&helper->state, memory_order_acquire);
    while (state == IDLE || state == PARKED) {
        if (state == IDLE) {
            state = spin(helper);
            if (state != IDLE ||
                !atomic_compare_exchange_strong_explicit(&helper->state, &state, PARKED, memory_order_acq_rel,
                                                         memory_order_acquire))
                continue;
        }
        park(&helper->state, PARKED, NEVER);
        state = atomic_load_explicit(&helper->state, memory_order_acquire);
    }
    return state;
}

/* Gone from its team means: never touches it again. */
static void part(struct team *team)
{
    uint32_t before = atomic_fetch_sub_explicit(&team->helpers, 2, memory_order_acq_rel);
    if (before == (2 | TEAM_WAITED_FOR))
        unpark(&team->helpers);
}

static void *helper_main(void *argument)
{
    struct helper *helper = argument;
    self.is_helper = true;
    name_thread(helper);
    for (;;) {
        uint32_t state = wait_for_change(helper);
        restore_place(helper);
        if (state == QUITTING)
            return NULL;
        if (!atomic_compare_exchange_strong_explicit(&helper->state, &state, RUNNING, memory_order_acq_rel,
                                                     memory_order_acquire))
            continue;
        note_wake(helper);
        struct team *team = helper->team;
        team->help(team);
        lock();
        restore_place(helper); /* if it woke by itself, before its waker was done */
        count_busy(-1);
        atomic_store_explicit(&helper->state, IDLE, memory_order_release);
        helper->below = pool.idle;
        pool.idle = helper;
        unlock();
        part(team);
    }
}

/* Under the lock. The helper starts out INVITED to `team`; NULL if no thread could be made. */
static struct helper *make_helper(struct team *team)
{
    if (pool.helpers >= HELPERS_MAX)
        return NULL;
    struct helper *helper = memory_resize(NULL, sizeof *helper);
    if (!helper) {
        pool.create_error = ENOMEM;
        return NULL;
    }
    memset(helper, 0, sizeof *helper);
    helper->team = team;
    helper->number = pool.numbered + 1;
    atomic_init(&helper->state, INVITED);
    int error = thread_start(&helper->thread, helper_main, helper);
    if (error) {
        pool.create_error = error;
        free(helper);
        return NULL;
    }
    pool.numbered++;
    pool.helpers++;
    helper->next = pool.every;
    pool.every = helper;
    return helper;
}

/* Under the lock: takes up to `surplus` helpers off the idle stack and tells them to quit. */
static struct helper *take_idle(int surplus)
{
    struct helper *taken = NULL;
    while (surplus-- > 0 && pool.idle) {
        struct helper *helper = pool.idle;
        pool.idle = helper->below;
        pool.helpers--;
        struct helper **link = &pool.every;
        while (*link != helper)
            link = &(*link)->next;
        *link = helper->next;
        helper->below = taken;
        taken = helper;
        if (atomic_exchange_explicit(&helper->state, QUITTING, memory_order_acq_rel) == PARKED)
            unpark(&helper->state);
    }
    return taken;
}

/* Not under the lock. */
static void dismiss(struct helper *helpers)
{
    while (helpers) {
        struct helper *helper = helpers;
        helpers = helper->below;
        pthread_join(helper->thread, NULL);
        wait_until_gone(atomic_load(&helper->tid));
        free(helper);
    }
}

/* ---- fork ---------------------------------------------------------------------------------------- */

/* Under the lock. */
static void add_team(struct team *team)
{
    team->previous = NULL;
    team->next = pool.teams;
    if (pool.teams)
        pool.teams->previous = team;
    pool.teams = team;
}

/* Returns with the lock held and no idle helper alive, so that the child's copy of the pool is whole. */
static void before_fork(void)
{
    lock();
    while (pool.idle) {
        struct helper *idle = take_idle(pool.helpers);
        unlock();
        dismiss(idle);
        lock();
    }
}

static void after_fork_in_parent(void)
{
    unlock();
}

static void after_fork_in_child(void)
{
    park_after_fork();
    pool.idle = pool.every = NULL;
    pool.helpers = pool.numbered = pool.create_error = 0;
    atomic_store(&pool.spinning, 0);
    atomic_store(&pool.busy, 0);
    pool.teams = NULL;
    for (struct team *team = self.innermost; team; team = team->outer) {
        atomic_store(&team->helpers, 0);
        count_busy(team->counted);
        add_team(team);
        team->stop(team, GILFREE_FORKED);
    }
    unlock();
}

static void install_fork_handlers(void)
{
    pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
}

/* ---- teams --------------------------------------------------------------------------------------- */

void pool_enter(struct team *team)
{
    team->outer = self.innermost;
    team->counted = !self.is_helper && !team->outer;
    self.innermost = team;
    lock();
    count_busy(team->counted);
    add_team(team);
    unlock();
}

bool pool_invite(struct team *team)
{
    /* A call that names more workers than the pool has may have them. */
    int workers = pool_size() > team->limit + 1 ? pool_size() : team->limit + 1;
    if (atomic_load_explicit(&pool.busy, memory_order_relaxed) >= workers)
        return false;
    lock();
    struct helper *helper = NULL;
    bool asleep = false;
    if (atomic_load_explicit(&pool.busy, memory_order_relaxed) < workers && team_helpers(team) < team->limit) {
        /* Counted before the helper can start, and so before it can part. */
        atomic_fetch_add_explicit(&team->helpers, 2, memory_order_relaxed);
        count_busy(1);
        if (pool.idle) {
            helper = pool.idle;
            pool.idle = helper->below;
            helper->team = team;
            asleep = atomic_exchange_explicit(&helper->state, INVITED, memory_order_acq_rel) == PARKED;
        } else {
            helper = make_helper(team);
        }
        if (!helper) {
            atomic_fetch_sub_explicit(&team->helpers, 2, memory_order_relaxed);
            count_busy(-1);
        }
    }
    if (asleep) {
        /* Still under the lock: once the lock is free the helper may be joined and freed. */
        place(helper);
        atomic_store_explicit(&helper->woken_at, clock_now(), memory_order_relaxed);
        unpark(&helper->state);
    }
    unlock();
    return helper != NULL;
}

/* Under the lock: takes back the helpers that have not started on this team. */
static void retract(struct team *team)
{
    for (struct helper *helper = pool.every; helper; helper = helper->next) {
        uint32_t state = INVITED;
        if (helper->team == team &&
            atomic_compare_exchange_strong_explicit(&helper->state, &state, IDLE, memory_order_acq_rel,
                                                    memory_order_relaxed)) {
            helper->below = pool.idle;
            pool.idle = helper;
            count_busy(-1);
            atomic_fetch_sub_explicit(&team->helpers, 2, memory_order_relaxed);
        }
    }
}

static void wait_for_helpers(struct team *team, int64_t (*wait)(struct team *team))
{
    int64_t until = clock_now() + SPIN_TIME(pool_wake_cost());
    for (;;) {
        uint32_t helpers = atomic_load_explicit(&team->helpers, memory_order_acquire);
        if (helpers <= TEAM_WAITED_FOR)
            return;
        cpu_relax();
        if (clock_now() < until)
            continue;
        int64_t sleep = wait(team);
        uint32_t waited_for = helpers | TEAM_WAITED_FOR;
        if (helpers == waited_for ||
            atomic_compare_exchange_strong_explicit(&team->helpers, &helpers, waited_for, memory_order_acq_rel,
                                                    memory_order_relaxed))
            park(&team->helpers, waited_for, sleep);
    }
}

void pool_leave(struct team *team, int64_t (*wait)(struct team *team))
{
    lock();
    if (team_helpers(team))
        retract(team);
    unlock();
    wait_for_helpers(team, wait);
    lock();
    if (team->previous)
        team->previous->next = team->next;
    else
        pool.teams = team->next;
    if (team->next)
        team->next->previous = team->previous;
    count_busy(-team->counted);
    unlock();
    /* Not always the innermost: threads that take turns on one stack (greenlets) may switch in a signal
     * handler, and leave in another order than they came. */
    struct team **link = &self.innermost;
    while (*link != team)
        link = &(*link)->outer;
    *link = team->outer;
}

void pool_stop(const void *owner, int error)
{
    lock();
    for (struct team *team = pool.teams; team; team = team->next)
        if (team->owner == owner)
            team->stop(team, error);
    unlock();
}

int64_t pool_wake_cost(void)
{
    return atomic_load_explicit(&pool.wake_cost, memory_order_relaxed);
}

bool pool_is_hot(void)
{
    return atomic_load_explicit(&pool.spinning, memory_order_relaxed) > 0;
}

struct pool_facts pool_facts(void)
{
    lock();
    struct pool_facts facts = {pool.helpers, atomic_load(&pool.busy), pool.create_error};
    unlock();
    return facts;
}
