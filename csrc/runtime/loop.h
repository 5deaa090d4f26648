/* loop - run a body over [0, n) on all workers.
 *
 * loop_run(body, n, ...) equals the serial loop `body(worker, 0, n, context)`, cut into chunks. Workers
 * claim chunks from one counter until none is left. The calling thread is worker 0 and starts at once;
 * helpers come by *heartbeat*: some 20 us after the loop began, noticed at the end of a chunk or in
 * gilfree_poll, and only if what is left is worth waking someone. So a loop too small to share costs
 * what a serial loop costs, and nobody waits for a helper that has not started.
 *
 * Every worker looks at one number, `stop`: the lowest index that is not wanted. An error at index i
 * lowers it to i, so that what lies below goes on and the lowest failing index is the one reported; a
 * timeout, a cancellation or a signal lowers it to 0.
 *
 * loop_run may be called from any number of threads, and from inside a body. n is at most 2**54; the context
 * must not lie on the calling stack if `attend` may switch stacks.
 */
#ifndef GILFREE_LOOP_H
#define GILFREE_LOOP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "gilfree.h"

typedef void loop_body(gilfree_worker *worker, int64_t begin, int64_t end, const void *context);

/* A flag that stops the loops it was given to. Reference-counted; all functions from any thread. */
struct cancel;

struct cancel *cancel_new(void); /* NULL when there is no memory */
struct cancel *cancel_retain(struct cancel *cancel);
void cancel_release(struct cancel *cancel);
void cancel_set(struct cancel *cancel);
bool cancel_is_set(struct cancel *cancel);

/* What the caller of a loop has to see to while it runs. All members are called in the calling thread. */
struct caller {
    /* Once, when the loop proves to last longer than a heartbeat (or is known to): the moment to let
     * go of a lock that others want. */
    void (*detach)(struct caller *caller);
    /* First after 40 ms. Returns in how many nanoseconds it wants to be called again, NEVER, or a
     * negative number to stop the loop with GILFREE_INTERRUPTED. */
    int64_t (*attend)(struct caller *caller);
    /* Items finished so far; set by loop_run, to be read in `attend`. */
    const _Atomic int64_t *finished;
};

struct loop_options {
    int workers;          /* at most, the caller included */
    int64_t chunksize;    /* items in a chunk; 0: found while running */
    int64_t timeout;      /* in nanoseconds; NEVER for none */
    gilfree_item_cost item_cost;
    _Atomic float *cost;   /* nanoseconds an item took last time, 0 if unknown: read, then written */
    struct cancel *cancel; /* or NULL */
    const void *owner;     /* whom loop_stop_all stops */
    struct caller *caller; /* or NULL */
};

struct loop_result {
    gilfree_error error;
    int64_t index;    /* of the failing item; -1 if the error is not an item's */
    int64_t finished; /* items whose results are there */
};

struct loop_result loop_run(loop_body *body, int64_t n, const void *context, const struct loop_options *options);

/* Stops the running loops of one owner with GILFREE_EXITING. */
void loop_stop_all(const void *owner);

#endif
