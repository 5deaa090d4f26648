/* result - where a kernel's results go, and what the caller gets.
 *
 * `out` if it was given; otherwise what the first argument with a buffer is: a NumPy array for a NumPy
 * array, an array.array for an array.array, a memoryview for anything else; without any buffer a list
 * (of a call with numbers alone: the number). */
#ifndef GILFREE_RESULT_H
#define GILFREE_RESULT_H

#include "arguments.h"

enum result_kind { RESULT_NUMBER, RESULT_LIST, RESULT_BUFFER };

struct result {
    enum result_kind kind;
    const struct item_type *type;
    gilfree_view view;
    PyObject *object; /* RESULT_BUFFER: owned */
    Py_buffer buffer; /* RESULT_BUFFER */
    union {
        int64_t int64;
        double float64;
        uint8_t truth;
    } number; /* RESULT_NUMBER */
};

/* 0, or -1 with an exception and nothing open. `out` may be NULL. */
int result_open(struct result *result, const struct arguments *arguments, PyObject *out, enum result_kind without_buffer);

/* The object for the caller: a new reference, or NULL with an exception. To be closed all the same. */
PyObject *result_take(struct result *result, Py_ssize_t n);

void result_close(struct result *result);

#endif
