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
#include "options.h"
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
    bool has_domain;       /* int64, of a kernel that is not defined for every int64 */
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
    struct argument each[]; /* as many as the signature has */
};

void arguments_init(struct arguments *arguments, const gilfree_row *row, const struct signature *signature);

/* Both: 0, or -1 with an exception. The objects must outlive the arguments. */

/* One iterable for each argument of the kernel. Reading them ends at the deadline, and by the cancel. */
int arguments_from_iterables(struct arguments *arguments, PyObject *const *iterables, Py_ssize_t count,
                             bool strict, const struct options *options);

/* Numbers and buffers; a number stands beside every item of a buffer. Without a buffer, n is 1. */
int arguments_from_values(struct arguments *arguments, PyObject *const *values, Py_ssize_t count);

/* Numbers are held to the kernel's domain as they are converted; what lies in buffers is not yet. */
bool arguments_are_checked(const struct arguments *arguments);

/* The first item of [begin, end) in a buffer that is outside the domain, or -1. Needs no GIL. */
int64_t arguments_outside(const struct arguments *arguments, int64_t begin, int64_t end);

/* ValueError about such an item; returns NULL. To be called only while some buffer is unchecked. */
void *arguments_refuse(const struct arguments *arguments, int64_t index);

/* Do two buffers have the same dimensions? */
bool same_shape(const Py_buffer *a, const Py_buffer *b);

/* The shape as a new tuple, or NULL with an exception. */
PyObject *shape_of(const Py_buffer *buffer);

/* Whatever is open. */
void arguments_close(struct arguments *arguments);

#endif
