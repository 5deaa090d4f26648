/* arguments - what a kernel is called with, as items in memory.
 *
 * An argument is used in place if it has a buffer of the right type; a list, tuple, range or any other
 * iterable is converted once. Iterables are read in step, item by item, just as `map` reads them: the
 * shortest ends the call, and each is asked exactly as often as `map` would ask.
 *
 * Converting runs other people's code (__index__, __next__), which may change the very list being read:
 * nothing is assumed of a list beyond the item in hand. */
#ifndef GILFREE_ARGUMENTS_H
#define GILFREE_ARGUMENTS_H

#include "gilfree.h"
#include "state.h"
#include "types.h"

enum source { SOURCE_NUMBER, SOURCE_BUFFER, SOURCE_LIST, SOURCE_TUPLE, SOURCE_RANGE, SOURCE_ITERATOR };

struct argument {
    enum source source;
    const struct item_type *type;
    gilfree_view view;
    PyObject *object;      /* the list, the tuple, the iterator; owned */
    Py_buffer buffer;      /* SOURCE_BUFFER */
    Py_ssize_t length;     /* SOURCE_BUFFER, SOURCE_RANGE: in items, of all dimensions */
    long long start, step; /* SOURCE_RANGE */
    Py_ssize_t capacity;   /* items that fit behind view.data, where that is our own memory */
    union {
        int64_t int64;
        double float64;
    } number; /* SOURCE_NUMBER */
};

struct arguments {
    const gilfree_row *row;
    const struct signature *signature;
    int count; /* of `each` that are open */
    Py_ssize_t n;
    const struct argument *model; /* the first that has a buffer: what the result is like; or NULL */
    PyObject *model_object;       /* borrowed */
    PyObject *pending[3]; /* an iterable raised this at item n: the items before it run first */
    struct argument each[GILFREE_ARGUMENTS_MAX];
};

void arguments_init(struct arguments *arguments, const gilfree_row *row, const struct signature *signature);

/* Both: 0, or -1 with an exception and nothing open. The objects must outlive the arguments. */

/* One iterable for each argument of the kernel. */
int arguments_from_iterables(struct arguments *arguments, PyObject *const *iterables, Py_ssize_t count,
                             bool strict);

/* Numbers and buffers; a number stands beside every item of a buffer. Without a buffer, n is 1. */
int arguments_from_values(struct arguments *arguments, PyObject *const *values, Py_ssize_t count);

/* Is the kernel undefined for some items that its types allow? */
bool arguments_have_domain(const struct arguments *arguments);

/* Is any int64 item of [begin, end) outside what the kernel is defined for? Needs no GIL.
 * The index of the first, or -1. */
int64_t arguments_outside(const struct arguments *arguments, int64_t begin, int64_t end);

/* ValueError about item `index`, if it is (still) outside; returns NULL. */
void *arguments_raise_outside(const struct arguments *arguments, int64_t index);

void arguments_close(struct arguments *arguments);

#endif
