#include "call.h"

#include <stdlib.h>

#include <unistd.h>

#include "clock.h"
#include "errors.h"
#include "memory.h"
#include "pool.h"

#define ATTEND_EVERY (40 * MILLISECOND)
#define ATTEND_FACTOR 20 /* of the time, at most one part goes into waiting for the GIL */
#define CHECK_AT_ONCE 1024

/* ---- the caller ---------------------------------------------------------------------------------- */

/* A call that is over within a heartbeat keeps the GIL: to give it away costs more than the call, and with
 * other threads waiting for it, it can take 5 ms to get it back. */
struct python_caller {
    struct caller face;
    PyThreadState *thread; /* NULL while this thread holds the GIL */
    bool gets_signals;
    bool raised; /* a signal handler or `progress` did: its exception is set */
    PyObject *progress; /* or NULL */
    int64_t total;
};

static int report(PyObject *progress, int64_t done, int64_t total)
{
    PyObject *returned = PyObject_CallFunction(progress, "LL", (long long)done, (long long)total);
    Py_XDECREF(returned);
    return returned ? 0 : -1;
}

static void detach(struct caller *face)
{
    ((struct python_caller *)face)->thread = PyEval_SaveThread();
}

static int64_t attend(struct caller *face)
{
    struct python_caller *caller = (struct python_caller *)face;
    bool gets_signals = caller->gets_signals && thread_is_main();
    if (!gets_signals && !caller->progress)
        return NEVER;
    int64_t before = clock_now();
    PyEval_RestoreThread(caller->thread);
    int64_t waited = clock_now() - before;
    caller->raised = gets_signals && PyErr_CheckSignals() < 0;
    if (!caller->raised && caller->progress) {
        caller->raised = report(caller->progress, atomic_load(face->finished), caller->total) < 0;
        waited = clock_now() - before; /* what it costs to report counts as well */
    }
    caller->thread = PyEval_SaveThread();
    if (caller->raised)
        return -1;
    return waited * ATTEND_FACTOR > ATTEND_EVERY ? waited * ATTEND_FACTOR : ATTEND_EVERY;
}

/* A daemon thread of an interpreter that is exiting: like any that wants the GIL from now on, it never comes
 * back. An exception would only reach stderr, or touch what is being taken down. */
_Noreturn static void hang(struct python_caller *caller)
{
    if (!caller->thread)
        caller->thread = PyEval_SaveThread();
    for (;;)
        pause();
}

static struct loop_result run_loop(struct state *state, loop_body *body, int64_t n, const void *context,
                                   struct loop_options *options, PyObject *progress, bool *raised)
{
    struct python_caller caller = {
        .face = {detach, attend},
        .gets_signals = state->is_main_interpreter,
        .progress = progress,
        .total = n,
    };
    options->owner = state;
    options->caller = &caller.face;
    struct loop_result result = loop_run(body, n, context, options);
    if (result.error == GILFREE_EXITING)
        hang(&caller);
    if (caller.thread)
        PyEval_RestoreThread(caller.thread);
    *raised = caller.raised;
    return result;
}

/* ---- running ------------------------------------------------------------------------------------- */

static void run_range(gilfree_worker *worker, int64_t begin, int64_t end, const void *context)
{
    const struct call *call = context;
    call->range(worker, begin, end, call->views);
}

static void check_range(gilfree_worker *worker, int64_t begin, int64_t end, const void *context)
{
    int64_t index = arguments_outside(&((const struct call *)context)->arguments, begin, end);
    if (index >= 0)
        gilfree_fail(worker, index, GILFREE_DOMAIN);
}

static void *raise_error(const struct arguments *arguments, struct loop_result result)
{
    const char *name = arguments->row->name, *message = error_message(result.error);
    if (result.index >= 0 && result.error == GILFREE_DOMAIN && !arguments_are_checked(arguments))
        return arguments_refuse(arguments, result.index);
    if (result.index >= 0 && arguments->n == 1)
        return error_raise(result.error, PyUnicode_FromFormat("%s: %s", name, message));
    if (result.index >= 0)
        return error_raise(result.error,
                           PyUnicode_FromFormat("%s: item %lld: %s", name, (long long)result.index, message));
    return error_raise(result.error, PyUnicode_FromFormat("%s: %s; %lld of %zd items were finished", name, message,
                                                          (long long)result.finished, arguments->n));
}

static struct loop_options loop_options(const struct options *options)
{
    return (struct loop_options){
        .workers = options->workers,
        .chunksize = options->chunksize,
        .timeout = options_time_left(options),
        .cancel = options->cancel,
    };
}

/* Nothing is run while some item of a buffer is outside the kernel's domain. A short check is made here and
 * now, a long one is a loop like any other. */
static int check_domain(struct state *state, const struct call *call, const struct options *options)
{
    const struct arguments *arguments = &call->arguments;
    if (arguments->n <= CHECK_AT_ONCE) {
        int64_t index = arguments_outside(arguments, 0, arguments->n);
        if (index >= 0)
            arguments_refuse(arguments, index);
        return index >= 0 ? -1 : 0;
    }
    struct loop_options checking = loop_options(options);
    checking.item_cost = GILFREE_FLAT;
    bool raised;
    struct loop_result result = run_loop(state, check_range, arguments->n, call, &checking, NULL, &raised);
    if (!raised && result.error) {
        result.finished = 0; /* of the items' results, there is none */
        raise_error(arguments, result);
    }
    return raised || result.error ? -1 : 0;
}

int call_run(struct state *state, struct call *call, const struct options *options, _Atomic float *cost)
{
    const struct arguments *arguments = &call->arguments;
    if (!arguments_are_checked(arguments) && check_domain(state, call, options) < 0)
        return -1;
    call->range = arguments->row->range;
    call->views[0] = call->result.view;
    for (int i = 0; i < arguments->count; i++)
        call->views[i + 1] = arguments->each[i].view;
    struct loop_options running = loop_options(options);
    running.item_cost = arguments->row->item_cost;
    running.cost = cost;
    bool raised;
    struct loop_result result = run_loop(state, run_range, arguments->n, call, &running, options->progress, &raised);
    if (!raised && result.error)
        raise_error(arguments, result);
    if (raised || result.error)
        return -1;
    return options->progress ? report(options->progress, arguments->n, arguments->n) : 0;
}

struct call *call_new(const gilfree_row *row, const struct signature *signature)
{
    struct call *call = memory_resize(NULL, sizeof *call + (size_t)signature->count * sizeof *call->arguments.each);
    if (call)
        arguments_init(&call->arguments, row, signature);
    else
        PyErr_NoMemory();
    return call;
}

void call_free(struct call *call)
{
    arguments_close(&call->arguments);
    free(call);
}
