/* arguments - what a kernel is called with, as items in memory.
 *
 * An array is used in place; where its items do not lie as the kernel wants them, they are brought into a block
 * while it runs (see items.h). A list, tuple, range or any other iterable is converted once. Iterables are read
 * in step, item by item, just as `map` reads them: the shortest ends the call, and each is asked exactly as often
 * as `map` would ask.
 *
 * For a reduction an item is itself an array. Then nothing is decided here about its type: see reduction.h.
 *
 * Converting runs other people's code (__index__, __next__), which may change the very list being read:
 * nothing is assumed of a list beyond the item in hand. */
#ifndef GILFREE_ARGUMENTS_H
#define GILFREE_ARGUMENTS_H

#include "array.h"
#include "gilfree.h"
#include "options.h"
#include "state.h"
#include "types.h"

enum source { SOURCE_NUMBER, SOURCE_ARRAY, SOURCE_LIST, SOURCE_TUPLE, SOURCE_RANGE, SOURCE_ITERATOR };

/* An array that is one item. It moves when more come, so that its shape must not be looked at once it is open
 * (a buffer's shape may point into the buffer itself). */
struct array_item {
    struct array array;
    struct items items;
};

struct argument {
    enum source source;
    const struct parameter *parameter;
    gilfree_view view; /* of numbers; of an array only unless is_loaded */
    bool is_loaded;    /* SOURCE_ARRAY: a block at a time, since no view can say how its items lie */
    bool has_domain;   /* int64, of a kernel that is not defined for every int64 */
    PyObject *object;  /* the list, the tuple, the iterator; owned */
    Py_ssize_t expected; /* SOURCE_LIST, SOURCE_TUPLE: the number of items when it was opened */
    Py_ssize_t length; /* SOURCE_ARRAY, SOURCE_RANGE: in items (of all dimensions, or sub-arrays) */
    long long start, step;         /* SOURCE_RANGE */
    struct array_item *each_array; /* of a reduction: the items that are arrays, each open */
    Py_ssize_t arrays;             /* how many */
    Py_ssize_t capacity;           /* items that fit behind view.data or each_array, where that is our own memory */
    gilfree_number number;         /* SOURCE_NUMBER */
    struct array array;            /* SOURCE_ARRAY */
    struct items items;            /* SOURCE_ARRAY: of a reduction, those of the first sub-array */
};

/* The rows of one kernel, with their signatures, which differ in nothing but types. */
struct variants {
    int count;
    const gilfree_row *rows;
    struct signature *signatures;
};

struct arguments {
    const struct variants *variants;
    const gilfree_row *row;            /* the first */
    const struct signature *signature; /* the first's */
    int count; /* of `each` that are open */
    Py_ssize_t n;
    const struct argument *model; /* the first that is an array: what the result is like; or NULL */
    PyObject *pending[3]; /* an iterable raised this at item n: the items before it run first */
    struct argument each[]; /* as many as the signature has */
};

void arguments_init(struct arguments *arguments, const struct variants *variants);

/* All: 0, or -1 with an exception. The objects must outlive the arguments. */

/* One iterable for each argument of the kernel. Reading them ends at the deadline, and by the cancel. */
int arguments_from_iterables(struct arguments *arguments, PyObject *const *iterables, Py_ssize_t count,
                             bool strict, const struct options *options);

/* Of a map: numbers and arrays; a number stands beside every item of an array. Without an array, n is 1. */
int arguments_from_values(struct arguments *arguments, PyObject *const *values, Py_ssize_t count);

/* Of a reduction: one item, an array being given as such or as an iterable of numbers. NULL stands for a default. */
int arguments_from_item(struct arguments *arguments, PyObject *const *values, Py_ssize_t count);

/* Numbers are held to the kernel's domain as they are converted; what lies in arrays is not yet. */
bool arguments_are_checked(const struct arguments *arguments);

/* The first item of [begin, end) in an array that is outside the domain, or -1. Needs no GIL. */
int64_t arguments_outside(const struct arguments *arguments, int64_t begin, int64_t end);

/* ValueError about such an item; returns NULL. To be called only while some array is unchecked. */
void *arguments_refuse(const struct arguments *arguments, int64_t index);

/* Whatever is open. */
void arguments_close(struct arguments *arguments);

/* ---- for the readers of arguments ---------------------------------------------------------------- */

/* "NAME: argument 1 (x)" or, if item >= 0, "NAME: item 5 of argument 1 (x)": a new str, or NULL. */
PyObject *argument_place(const struct arguments *arguments, int which, Py_ssize_t item);

int argument_count(const struct arguments *arguments, Py_ssize_t count, const char *what);

/* A number that was converted just now, as item `index` or, if that is -1, alone: is it in the domain? */
int argument_check_number(const struct arguments *arguments, int which, Py_ssize_t index, const void *item);

/* Starts argument `which`, the ones before it being open. */
struct argument *argument_start(struct arguments *arguments, int which);

/* The object as an array, if it is one: 1, 0, or -1. One without dimensions is not looked at any further. */
int argument_open_array(struct arguments *arguments, int which, PyObject *object);

/* Converts a number, alone or as item `index`. */
int argument_take_number(struct arguments *arguments, int which, Py_ssize_t index, PyObject *object, void *item);

/* Adds an array, or an iterable of numbers, as item `index` (-1: as the only one). */
int argument_take_array(struct arguments *arguments, int which, Py_ssize_t index, PyObject *object);

/* Items correspond by position, so arrays of more than one dimension must agree in all of them. */
int arguments_check_shapes(const struct arguments *arguments);

#endif
