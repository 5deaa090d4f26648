/* call - one call of a kernel: the loop run, the GIL released, errors out. */
#ifndef GILFREE_CALL_H
#define GILFREE_CALL_H

#include "arguments.h"
#include "options.h"
#include "result.h"

/* On the heap, with all that helpers look at: see loop.h. */
struct call {
    struct result result;
    gilfree_range *range;
    gilfree_view views[1 + GILFREE_ARGUMENTS_MAX]; /* of the result and the arguments, as a range wants them */
    struct arguments arguments;                    /* the last member: it has as many as the kernel takes */
};

/* NULL with MemoryError. To be freed with call_free, which closes the arguments. */
struct call *call_new(const struct variants *variants);
void call_free(struct call *call);

/* Runs the row over all items, the arguments and the result being open. 0, or -1 with the exception that the
 * caller is to see. */
int call_run(struct state *state, struct call *call, const struct options *options, _Atomic float *cost);

/* Whom to tell how far a call is: of `total` items, over which a loop makes `steps`. No function: nobody. */
struct call_progress {
    PyObject *function;
    int64_t total, steps;
};

/* At the end: all is done. 0, or -1 with what the function raised. */
int call_report_end(const struct call_progress *progress);

/* Runs some loop with the GIL released once it lasts; `*raised` if a signal handler did, whose exception is set. */
typedef struct loop_result run_loop(void *context, const struct loop_options *options);
struct loop_result call_loop(struct state *state, run_loop *run, void *context, struct loop_options *options,
                             const struct call_progress *progress, bool *raised);

struct loop_options call_loop_options(const struct options *options);

#endif
