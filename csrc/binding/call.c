#include "call.h"

#include <stdlib.h>

#include "cancel.h"
#include "clock.h"
#include "cpus.h"
#include "errors.h"
#include "pool.h"

#define ATTEND_EVERY (40 * MILLISECOND)
#define ATTEND_FACTOR 20 /* of the time, at most one part goes into waiting for the GIL */
#define CHECK_AT_ONCE 1024

/* ---- options ------------------------------------------------------------------------------------- */

static bool is_given(PyObject *object)
{
    return object && object != Py_None;
}

static int parse_workers(PyObject *object, int *workers)
{
    long long given = 0;
    int overflow = 0;
    *workers = pool_size();
    if (!is_given(object)) {
        if (*workers == 0)
            PyErr_Format(PyExc_ValueError,
                         "the environment variable GILFREE_WORKERS is '%s'; accepted: a number from 1 to %d, or -1 for "
                         "all CPUs",
                         getenv("GILFREE_WORKERS"), WORKERS_MAX);
        return *workers == 0 ? -1 : 0;
    }
    if (!PyIndex_Check(object)) {
        PyErr_Format(PyExc_TypeError, "workers is %.80R; accepted: None for the pool's size, a number from 1 to %d, or "
                     "-1 for all CPUs", object, WORKERS_MAX);
        return -1;
    }
    PyObject *whole = PyNumber_Index(object);
    if (whole)
        given = PyLong_AsLongLongAndOverflow(whole, &overflow);
    Py_XDECREF(whole);
    if (PyErr_Occurred())
        return -1;
    if (overflow || given == 0 || given < -1 || given > WORKERS_MAX) {
        PyErr_Format(PyExc_ValueError, "workers is %S; accepted: None for the pool's size, a number from 1 to %d, or "
                     "-1 for all CPUs", object, WORKERS_MAX);
        return -1;
    }
    *workers = given == -1 ? cpus_here().count : (int)given;
    return 0;
}

static int parse_chunksize(PyObject *object, int64_t *chunksize)
{
    *chunksize = 0;
    if (!is_given(object))
        return 0;
    if (!PyIndex_Check(object)) {
        PyErr_Format(PyExc_TypeError, "chunksize is %.80R; accepted: None, or a number of items from 1", object);
        return -1;
    }
    PyObject *whole = PyNumber_Index(object);
    int overflow = 0;
    long long given = whole ? PyLong_AsLongLongAndOverflow(whole, &overflow) : -1;
    Py_XDECREF(whole);
    if (PyErr_Occurred())
        return -1;
    *chunksize = overflow > 0 ? INT64_MAX : given;
    if (overflow < 0 || *chunksize < 1) {
        PyErr_Format(PyExc_ValueError, "chunksize is %S; accepted: None, or a number of items from 1", object);
        return -1;
    }
    return 0;
}

static int parse_timeout(PyObject *object, int64_t *timeout)
{
    *timeout = NEVER;
    if (!is_given(object))
        return 0;
    if (!PyFloat_Check(object) && !PyLong_Check(object)) {
        PyErr_Format(PyExc_TypeError, "timeout is %.80R; accepted: None, or a number of seconds from 0", object);
        return -1;
    }
    double seconds = PyFloat_AsDouble(object);
    if (seconds == -1 && PyErr_Occurred())
        return -1;
    if (!(seconds >= 0)) {
        PyErr_Format(PyExc_ValueError, "timeout is %S; accepted: None, or a number of seconds from 0", object);
        return -1;
    }
    *timeout = seconds * (double)SECOND < (double)(NEVER / 2) ? (int64_t)(seconds * (double)SECOND) : NEVER;
    return 0;
}

static int parse_cancel(PyObject *object, struct state *state, struct cancel **cancel)
{
    *cancel = NULL;
    if (!is_given(object))
        return 0;
    if (Py_TYPE(object) != state->cancel_type) {
        PyErr_Format(PyExc_TypeError, "cancel is %.80R; accepted: None, or a gilfree.Cancel()", object);
        return -1;
    }
    *cancel = cancel_of(object);
    return 0;
}

int options_parse(struct options *options, struct state *state, PyObject *workers, PyObject *chunksize,
                  PyObject *timeout, PyObject *cancel)
{
    return parse_workers(workers, &options->workers) < 0 || parse_chunksize(chunksize, &options->chunksize) < 0 ||
                   parse_timeout(timeout, &options->timeout) < 0 || parse_cancel(cancel, state, &options->cancel) < 0
               ? -1
               : 0;
}

/* ---- the caller ---------------------------------------------------------------------------------- */

/* A call that is over within a heartbeat keeps the GIL: to give it away costs more than the call, and with
 * other threads waiting for it, it can take 5 ms to get it back. */
struct python_caller {
    struct caller face;
    PyThreadState *thread; /* NULL while this thread holds the GIL */
    bool gets_signals;
    bool raised; /* a signal handler did: its exception is set */
};

static void detach(struct caller *face)
{
    ((struct python_caller *)face)->thread = PyEval_SaveThread();
}

static int64_t attend(struct caller *face)
{
    struct python_caller *caller = (struct python_caller *)face;
    if (!caller->gets_signals || !thread_is_main())
        return NEVER;
    int64_t before = clock_now();
    PyEval_RestoreThread(caller->thread);
    int64_t waited = clock_now() - before;
    caller->raised = PyErr_CheckSignals() < 0;
    caller->thread = PyEval_SaveThread();
    if (caller->raised)
        return -1;
    return waited * ATTEND_FACTOR > ATTEND_EVERY ? waited * ATTEND_FACTOR : ATTEND_EVERY;
}

static struct loop_result run_loop(struct state *state, loop_body *body, int64_t n, const void *context,
                                   struct loop_options *options, bool *raised)
{
    struct python_caller caller = {
        .face = {detach, attend},
        .gets_signals = state->is_main_interpreter,
    };
    options->owner = state;
    options->caller = &caller.face;
    struct loop_result result = loop_run(body, n, context, options);
    if (caller.thread)
        PyEval_RestoreThread(caller.thread);
    *raised = caller.raised;
    return result;
}

/* ---- running ------------------------------------------------------------------------------------- */

struct map {
    gilfree_range *range;
    gilfree_view views[1 + GILFREE_ARGUMENTS_MAX];
};

static void run_range(gilfree_worker *worker, int64_t begin, int64_t end, const void *context)
{
    const struct map *map = context;
    map->range(worker, begin, end, map->views);
}

static void check_range(gilfree_worker *worker, int64_t begin, int64_t end, const void *context)
{
    int64_t index = arguments_outside(context, begin, end);
    if (index >= 0)
        gilfree_fail(worker, index, GILFREE_DOMAIN);
}

static void *raise_error(const struct arguments *arguments, struct loop_result result)
{
    const char *name = arguments->row->name, *message = error_message(result.error);
    if (result.index >= 0 && result.error == GILFREE_DOMAIN)
        return arguments_raise_outside(arguments, result.index);
    if (result.index >= 0 && arguments->n == 1)
        return error_raise(result.error, PyUnicode_FromFormat("%s: %s", name, message));
    if (result.index >= 0)
        return error_raise(result.error,
                           PyUnicode_FromFormat("%s: item %lld: %s", name, (long long)result.index, message));
    PyObject *text = PyUnicode_FromFormat("%s: %s; %lld of %zd items were finished", name, message,
                                          (long long)result.finished, arguments->n);
    return error_raise(result.error, text);
}

/* Nothing is run while some item is outside the kernel's domain. A short check is made here and now, a long
 * one is a loop like any other. */
static int check_domain(struct state *state, const struct arguments *arguments, const struct options *options)
{
    if (arguments->n <= CHECK_AT_ONCE) {
        int64_t index = arguments_outside(arguments, 0, arguments->n);
        if (index >= 0)
            arguments_raise_outside(arguments, index);
        return index >= 0 ? -1 : 0;
    }
    struct loop_options checking = {
        .workers = options->workers,
        .timeout = options->timeout,
        .item_cost = GILFREE_FLAT,
        .cancel = options->cancel,
    };
    bool raised;
    struct loop_result result = run_loop(state, check_range, arguments->n, arguments, &checking, &raised);
    if (!raised && result.error) {
        result.finished = 0; /* of the items' results, there is none */
        raise_error(arguments, result);
    }
    return raised || result.error ? -1 : 0;
}

int call_run(struct state *state, const struct arguments *arguments, const struct result *result,
             const struct options *options, _Atomic float *cost)
{
    const gilfree_row *row = arguments->row;
    if (arguments_have_domain(arguments) && check_domain(state, arguments, options) < 0)
        return -1;
    struct map map = {.range = row->range};
    map.views[0] = result->view;
    for (int i = 0; i < arguments->count; i++)
        map.views[i + 1] = arguments->each[i].view;
    struct loop_options running = {
        .workers = options->workers,
        .chunksize = options->chunksize,
        .timeout = options->timeout,
        .item_cost = row->item_cost,
        .cost = cost,
        .cancel = options->cancel,
    };
    bool raised;
    struct loop_result outcome = run_loop(state, run_range, arguments->n, &map, &running, &raised);
    if (!raised && outcome.error)
        raise_error(arguments, outcome);
    return raised || outcome.error ? -1 : 0;
}
