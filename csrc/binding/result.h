/* result - where a kernel's results go, and what the caller gets.
 *
 * `out` if it was given; otherwise what the first argument with a buffer is: a NumPy array for a NumPy
 * array, an array.array for an array.array, a memoryview for anything else; without any buffer a list
 * (of a call with numbers alone: the number). */
#ifndef GILFREE_RESULT_H
#define GILFREE_RESULT_H

#include "arguments.h"

enum result_kind { RESULT_NUMBER, RESULT_LIST, RESULT_ARRAY };

/* What is wanted. */
struct result_form {
    const char *kernel;
    const struct item_type *type;
    Py_ssize_t n;
    const struct argument *model; /* what the result is like; or NULL */
    int which;                    /* argument the model is, for messages */
    bool has_shape;               /* the model's; otherwise one dimension of n items */
};

struct result {
    enum result_kind kind;
    const struct item_type *type;
    gilfree_view view; /* unless is_stored */
    bool is_stored;    /* a block at a time, since no view can say how the items lie */
    struct array array; /* RESULT_ARRAY */
    struct items items; /* RESULT_ARRAY */
    gilfree_number number; /* RESULT_NUMBER */
};

/* 0, or -1 with an exception and nothing open. `out` may be NULL. */
int result_open(struct result *result, const struct result_form *form, PyObject *out, enum result_kind without_model);

/* ValueError if the result, being `out`, shares memory with the items of argument `which`; `in_place` accepts the
 * very same items. 0 or -1. */
int result_check_overlap(const struct result *result, const char *kernel, int which, const struct items *items,
                         bool in_place);

/* The object for the caller: a new reference, or NULL with an exception. To be closed all the same. */
PyObject *result_take(struct result *result, Py_ssize_t n);

void result_close(struct result *result);

#endif
