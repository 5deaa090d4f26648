/* pool - the threads that help: one pool a process, made as it is needed.
 *
 * A *team* is the workers of one loop: its caller, who is worker 0 and always at work, and the helpers
 * the pool lent it. The pool knows nothing of loops; it calls team->help on a helper and takes the
 * helper back when that returns.
 *
 * A helper is idle (spinning, then parked), invited, or running. It is invited only while
 * callers + helpers that are not idle < workers, so that callers which bring their own threads, and
 * calls inside calls, never put more threads to work than there are workers.
 *
 *     pool_enter(team)         once the loop has shown that it is no trifle
 *     pool_invite(team)        any worker of the team, as often as more hands would pay
 *     pool_leave(team, ...)    the caller: takes back every helper that has not started, waits for
 *                              those that have
 *
 * Until pool_leave returns the team must stay valid; after it no helper touches the team. It must not lie
 * on the caller's stack if the caller may switch stacks meanwhile (greenlets do, in a signal handler).
 *
 * fork: idle helpers are joined before it, and the child starts with an empty pool. A team whose
 * caller is the forking thread (a signal handler forked in mid-loop) is stopped in the child.
 */
#ifndef GILFREE_POOL_H
#define GILFREE_POOL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define WORKERS_MAX 1024

struct team {
    /* Twice the helpers invited and not yet gone, plus TEAM_WAITED_FOR while the caller sleeps on it.
     * One word, so that the last helper's goodbye is its last touch of the team. */
    _Atomic uint32_t helpers;
    int limit; /* helpers at most */
    void (*help)(struct team *team);
    void (*stop)(struct team *team, int error); /* from any thread, any number of times */
    const void *owner;                          /* the interpreter that called */

    /* The pool's own, under its lock. */
    struct team *outer; /* what the thread was inside of when it entered, if anything */
    bool counted;       /* as a busy caller: the outermost of its thread */
    struct team *previous, *next;
};

#define TEAM_WAITED_FOR 1u

static inline int team_helpers(struct team *team)
{
    return (int)(atomic_load_explicit(&team->helpers, memory_order_relaxed) >> 1);
}

/* The number of workers, callers included. Found on first use: GILFREE_WORKERS, or the CPUs there
 * are. 0 if GILFREE_WORKERS holds no number from 1 to WORKERS_MAX (nor -1, for all CPUs). */
int pool_size(void);

/* The CPUs there are, found once. */
int pool_cpus(void);

/* Sets it; 0 goes back to what pool_size finds by itself. Returns what was set before, 0 if found. */
int pool_resize(int workers);

void pool_enter(struct team *team);

/* Puts one more helper on the team, if it may have one and the pool has one to spare. */
bool pool_invite(struct team *team);

/* wait(context) is called again and again until no helper is left: it may do what a waiting caller has
 * to see to, and returns for how many nanoseconds the caller may sleep then. */
void pool_leave(struct team *team, int64_t (*wait)(struct team *team));

/* Stops every team of one owner; they end as soon as their workers notice. */
void pool_stop(const void *owner, int error);

/* Nanoseconds from waking a helper to its first instruction, as last measured. */
int64_t pool_wake_cost(void);

/* Is some helper spinning, so that inviting it costs next to nothing? */
bool pool_is_hot(void);

struct pool_facts {
    int helpers;      /* threads that exist */
    int busy;         /* callers and helpers at work */
    int create_error; /* errno of the last thread that could not be made; 0 if none failed */
};

struct pool_facts pool_facts(void);

/* Is the calling thread the one that started the process (or, in a child, called fork)? */
bool thread_is_main(void);

#endif
