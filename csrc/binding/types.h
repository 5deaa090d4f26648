/* types - the item types a signature can name: how they lie in memory and what they are in Python. */
#ifndef GILFREE_TYPES_H
#define GILFREE_TYPES_H

#include "gilfree.h"
#include "items.h"
#include "state.h"

struct item_type {
    enum item_format format;
    const char *name;   /* in a signature, and NumPy's name for it */
    const char *code;   /* struct's and memoryview's */
    char typecode;      /* of the array.array that holds it */
    const char *python; /* what to pass, in words */
    /* 0, or -1 with an exception that says nothing of where the value stood. */
    int (*from_python)(PyObject *value, void *item);
    PyObject *(*to_python)(const void *item);
};

#define NAME_SIZE 32

struct parameter {
    const struct item_type *type;
    bool is_array;
    bool has_default; /* then a whole number */
    int64_t default_value;
    char name[NAME_SIZE];
};

struct signature {
    const struct item_type *result;
    int results;        /* more than one: the caller gets a tuple */
    bool is_reduction;  /* some argument is an array */
    int required, count; /* arguments without a default, and all */
    struct parameter arguments[GILFREE_ARGUMENTS_MAX];
    enum item_format formats[GILFREE_ARGUMENTS_MAX]; /* of the arguments' types */
};

/* 0, or -1 with ValueError. */
int signature_parse(const char *text, struct signature *signature);

/* Bytes of one item. */
static inline Py_ssize_t type_size(const struct item_type *type)
{
    return item_size(type->format);
}

/* The format of `size` bytes that struct's code names; byte orders are told apart by `swapped`. False if it is
 * none of items.h's. */
bool format_of_code(const char *code, Py_ssize_t size, enum item_format *format, bool *swapped);

/* The same for a kind: 'b' truth values, 'i' and 'u' integers, 'f' floats. */
bool format_of_kind(char kind, Py_ssize_t size, enum item_format *format);

/* Are items of this format, as they lie, items of the type? Truth values may lie in bytes of any kind. */
bool type_holds(const struct item_type *type, enum item_format format);

#endif
