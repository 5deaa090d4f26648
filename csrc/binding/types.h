/* types - the item types a signature can name: how they lie in memory and what they are in Python. */
#ifndef GILFREE_TYPES_H
#define GILFREE_TYPES_H

#include "gilfree.h"
#include "state.h"

#define ITEM_SIZE_MAX 8

enum item_kind { ITEM_INT64, ITEM_FLOAT64, ITEM_BOOL };

struct item_type {
    enum item_kind kind;
    const char *name; /* in a signature, and NumPy's name for it */
    Py_ssize_t size;
    const char *code; /* struct's and memoryview's */
    char typecode;    /* of the array.array that holds it */
    const char *python; /* what to pass, in words */
    bool (*has_format)(const char *code); /* struct's code for it, native byte order, prefix stripped */
    /* 0, or -1 with an exception that says nothing of where the value stood. */
    int (*from_python)(PyObject *value, void *item);
    PyObject *(*to_python)(const void *item);
};

#define NAME_SIZE 32

struct signature {
    const struct item_type *result;
    int count;
    const struct item_type *arguments[GILFREE_ARGUMENTS_MAX];
    char names[GILFREE_ARGUMENTS_MAX][NAME_SIZE];
};

/* 0, or -1 with ValueError. */
int signature_parse(const char *text, struct signature *signature);

/* Do the buffer's items have this type? */
bool buffer_has_type(const Py_buffer *buffer, const struct item_type *type);

#endif
