#include "options.h"

#include <stdlib.h>

#include "cancel.h"
#include "clock.h"
#include "pool.h"

#define WORKERS_ACCEPTED "None for the pool's size, a number from 1 to 1024, or -1 for all CPUs"
#define CHUNKSIZE_ACCEPTED "None, or a number of items from 1"
#define TIMEOUT_ACCEPTED "None, or a number of seconds from 0"

_Static_assert(WORKERS_MAX == 1024, "the message above says so");

static bool is_given(PyObject *object)
{
    return object && object != Py_None;
}

/* A whole number; one beyond 64 bits is the greatest or the least there is. 0, or -1 with TypeError. */
static int parse_whole(PyObject *object, const char *name, const char *accepted, long long *number)
{
    if (!PyIndex_Check(object)) {
        PyErr_Format(PyExc_TypeError, "%s is %.80R; accepted: %s", name, object, accepted);
        return -1;
    }
    PyObject *whole = PyNumber_Index(object);
    if (!whole)
        return -1;
    int overflow;
    *number = PyLong_AsLongLongAndOverflow(whole, &overflow);
    if (overflow)
        *number = overflow < 0 ? INT64_MIN : INT64_MAX;
    Py_DECREF(whole);
    return 0;
}

static int parse_workers(PyObject *object, int *workers)
{
    long long given;
    *workers = pool_size();
    if (!is_given(object)) {
        if (*workers == 0)
            PyErr_Format(PyExc_ValueError,
                         "the environment variable GILFREE_WORKERS is '%s'; accepted: a number from 1 to %d, or -1 for "
                         "all CPUs",
                         getenv("GILFREE_WORKERS"), WORKERS_MAX);
        return *workers == 0 ? -1 : 0;
    }
    if (parse_whole(object, "workers", WORKERS_ACCEPTED, &given) < 0)
        return -1;
    if (given == 0 || given < -1 || given > WORKERS_MAX) {
        PyErr_Format(PyExc_ValueError, "workers is %lld; accepted: " WORKERS_ACCEPTED, given);
        return -1;
    }
    *workers = given == -1 ? pool_cpus() : (int)given;
    return 0;
}

static int parse_chunksize(PyObject *object, int64_t *chunksize)
{
    long long given = 0;
    if (is_given(object) && parse_whole(object, "chunksize", CHUNKSIZE_ACCEPTED, &given) < 0)
        return -1;
    *chunksize = given;
    if (is_given(object) && given < 1) {
        PyErr_Format(PyExc_ValueError, "chunksize is %lld; accepted: " CHUNKSIZE_ACCEPTED, given);
        return -1;
    }
    return 0;
}

static int parse_timeout(PyObject *object, int64_t *deadline)
{
    *deadline = NEVER;
    if (!is_given(object))
        return 0;
    if (!PyFloat_Check(object) && !PyLong_Check(object)) {
        PyErr_Format(PyExc_TypeError, "timeout is %.80R; accepted: " TIMEOUT_ACCEPTED, object);
        return -1;
    }
    double seconds = PyFloat_AsDouble(object);
    if (seconds == -1 && PyErr_ExceptionMatches(PyExc_OverflowError)) {
        PyErr_SetString(PyExc_ValueError, "timeout is beyond what a float holds; accepted: " TIMEOUT_ACCEPTED);
        return -1;
    }
    if (!(seconds >= 0)) {
        PyErr_Format(PyExc_ValueError, "timeout is %.80R; accepted: " TIMEOUT_ACCEPTED, object);
        return -1;
    }
    double nanoseconds = seconds * (double)SECOND;
    if (nanoseconds < (double)(NEVER / 2))
        *deadline = clock_after(clock_now(), (int64_t)nanoseconds);
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
    options->progress = NULL;
    return parse_workers(workers, &options->workers) < 0 || parse_chunksize(chunksize, &options->chunksize) < 0 ||
                   parse_timeout(timeout, &options->deadline) < 0 || parse_cancel(cancel, state, &options->cancel) < 0
               ? -1
               : 0;
}

int64_t options_time_left(const struct options *options)
{
    if (options->deadline == NEVER)
        return NEVER;
    int64_t left = options->deadline - clock_now();
    return left > 0 ? left : 0;
}

gilfree_error options_check(const struct options *options)
{
    if (options->cancel && cancel_is_set(options->cancel))
        return GILFREE_CANCELLED;
    return options_time_left(options) == 0 ? GILFREE_TIMEOUT : GILFREE_OK;
}
