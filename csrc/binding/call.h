/* call - one call of a kernel: options in, the loop run, errors out. The only place that releases the GIL. */
#ifndef GILFREE_CALL_H
#define GILFREE_CALL_H

#include "arguments.h"
#include "loop.h"
#include "result.h"

struct options {
    int workers;
    int64_t chunksize; /* 0: found while running */
    int64_t timeout;   /* nanoseconds, or NEVER */
    struct cancel *cancel;
};

/* 0, or -1 with an exception. NULL and None leave an option at its default. */
int options_parse(struct options *options, struct state *state, PyObject *workers, PyObject *chunksize,
                  PyObject *timeout, PyObject *cancel);

/* Runs the row over all items. 0, or -1 with the exception that the caller is to see. */
int call_run(struct state *state, const struct arguments *arguments, const struct result *result,
             const struct options *options, _Atomic float *cost);

#endif
