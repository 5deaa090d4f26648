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
    struct call_progress progress;
};

static int report(PyObject *function, int64_t done, int64_t total)
{
    PyObject *returned = PyObject_CallFunction(function, "LL", (long long)done, (long long)total);
    Py_XDECREF(returned);
    return returned ? 0 : -1;
}

int call_report_end(const struct call_progress *progress)
{
    return progress->function ? report(progress->function, progress->total, progress->total) : 0;
}

/* Where the loop's indices are not the items, in proportion. */
static int report_so_far(const struct call_progress *progress, int64_t finished)
{
    if (progress->steps != progress->total)
        finished = (int64_t)((double)finished / (double)progress->steps * (double)progress->total);
    return report(progress->function, finished, progress->total);
}

static void detach(struct caller *face)
{
    ((struct python_caller *)face)->thread = PyEval_SaveThread();
}

static int64_t attend(struct caller *face)
{
    struct python_caller *caller = (struct python_caller *)face;
    bool gets_signals = caller->gets_signals && thread_is_main();
    if (!gets_signals && !caller->progress.function)
        return NEVER;
    int64_t before = clock_now();
    PyEval_RestoreThread(caller->thread);
    int64_t waited = clock_now() - before;
    caller->raised = gets_signals && PyErr_CheckSignals() < 0;
    if (!caller->raised && caller->progress.function) {
        caller->raised = report_so_far(&caller->progress, atomic_load(face->finished)) < 0;
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

struct loop_result call_loop(struct state *state, run_loop *run, void *context, struct loop_options *options,
                             const struct call_progress *progress, bool *raised)
{
    struct python_caller caller = {
        .face = {detach, attend},
        .gets_signals = state->is_main_interpreter,
        .progress = progress ? *progress : (struct call_progress){0},
    };
    options->owner = state;
    options->caller = &caller.face;
    struct loop_result result = run(context, options);
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

/* A worker for a range function that is shown items [begin, ...) as items [0, ...). */
struct shifted_worker {
    gilfree_worker face;
    gilfree_worker *worker;
    int64_t begin;
    bool ended; /* the range function has no more results to give */
};

static int poll_shifted(gilfree_worker *face, int64_t index)
{
    struct shifted_worker *shifted = (struct shifted_worker *)face;
    int stops = gilfree_poll(shifted->worker, shifted->begin + index);
    shifted->ended = shifted->ended || stops;
    return stops;
}

static void fail_shifted(gilfree_worker *face, int64_t index, gilfree_error error)
{
    struct shifted_worker *shifted = (struct shifted_worker *)face;
    shifted->ended = true;
    gilfree_fail(shifted->worker, shifted->begin + index, error);
}

#define BLOCK 1024 /* items that are brought together at once, where they do not lie as the kernel wants them */

/* As run_range, by way of blocks for the result and the arguments that need them. */
static void run_blocks(gilfree_worker *worker, int64_t begin, int64_t end, const void *context)
{
    const struct call *call = context;
    int count = call->arguments.count;
    char *blocks = memory_resize(NULL, (size_t)(1 + count) * BLOCK * ITEM_SIZE_MAX);
    if (!blocks) {
        gilfree_fail(worker, begin, GILFREE_MEMORY);
        return;
    }
    struct shifted_worker shifted = {{poll_shifted, fail_shifted}, worker, 0, false};
    for (int64_t at = begin; at < end && !shifted.ended; at += BLOCK) {
        gilfree_view views[1 + GILFREE_ARGUMENTS_MAX];
        int64_t items = end - at < BLOCK ? end - at : BLOCK;
        for (int i = 0; i <= count; i++) {
            const struct argument *argument = i ? &call->arguments.each[i - 1] : NULL;
            views[i] = (gilfree_view){call->views[i].data + at * call->views[i].stride, call->views[i].stride};
            if (argument ? !argument->is_loaded : !call->result.is_stored)
                continue;
            enum item_format type = argument ? argument->parameter->type->format : call->result.type->format;
            views[i] = (gilfree_view){blocks + (ptrdiff_t)i * BLOCK * ITEM_SIZE_MAX, item_size(type)};
            if (argument)
                items_load(&argument->items, at, items, type, views[i].data);
        }
        shifted.begin = at;
        call->range(&shifted.face, 0, items, views);
        if (call->result.is_stored && !shifted.ended)
            items_store(&call->result.items, at, items, views[0].data);
    }
    free(blocks);
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

struct loop_options call_loop_options(const struct options *options)
{
    return (struct loop_options){
        .workers = options->workers,
        .chunksize = options->chunksize,
        .timeout = options_time_left(options),
        .cancel = options->cancel,
    };
}

struct body {
    loop_body *run;
    const struct call *call;
};

static struct loop_result run_body(void *context, const struct loop_options *options)
{
    const struct body *body = context;
    return loop_run(body->run, body->call->arguments.n, body->call, options);
}

/* Nothing is run while some item of an array is outside the kernel's domain. A short check is made here and
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
    struct loop_options checking = call_loop_options(options);
    checking.item_cost = GILFREE_FLAT;
    bool raised;
    struct body body = {check_range, call};
    struct loop_result result = call_loop(state, run_body, &body, &checking, NULL, &raised);
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
    bool by_blocks = call->result.is_stored;
    for (int i = 0; i < arguments->count; i++) {
        call->views[i + 1] = arguments->each[i].view;
        by_blocks = by_blocks || arguments->each[i].is_loaded;
    }
    struct loop_options running = call_loop_options(options);
    running.item_cost = arguments->row->item_cost;
    running.cost = cost;
    bool raised;
    struct body body = {by_blocks ? run_blocks : run_range, call};
    struct call_progress progress = {options->progress, arguments->n, arguments->n};
    struct loop_result result = call_loop(state, run_body, &body, &running, &progress, &raised);
    if (!raised && result.error)
        raise_error(arguments, result);
    if (raised || result.error)
        return -1;
    return call_report_end(&progress);
}

struct call *call_new(const struct variants *variants)
{
    size_t arguments = (size_t)variants->signatures->count;
    struct call *call = memory_resize(NULL, sizeof *call + arguments * sizeof *call->arguments.each);
    if (call)
        arguments_init(&call->arguments, variants);
    else
        PyErr_NoMemory();
    return call;
}

void call_free(struct call *call)
{
    arguments_close(&call->arguments);
    free(call);
}
