/* options - what parallel_map may be asked for besides its arguments. */
#ifndef GILFREE_OPTIONS_H
#define GILFREE_OPTIONS_H

#include "loop.h"
#include "state.h"

struct options {
    int workers;
    int64_t chunksize; /* 0: found while running */
    int64_t deadline;  /* on the clock of clock.h, or NEVER: it holds for reading the arguments too */
    struct cancel *cancel;
    PyObject *progress; /* borrowed: called with (done, total) in the calling thread, or NULL */
};

/* 0, or -1 with an exception. NULL and None leave an option at its default; there is no progress. */
int options_parse(struct options *options, struct state *state, PyObject *workers, PyObject *chunksize,
                  PyObject *timeout, PyObject *cancel);

/* Should the call stop, by its deadline or its cancel? GILFREE_OK if not. */
gilfree_error options_check(const struct options *options);

/* Nanoseconds until the deadline, 0 if it has passed. */
int64_t options_time_left(const struct options *options);

#endif
