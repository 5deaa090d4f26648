/* array - memory full of numbers that somebody else's object lends us.
 *
 * By the buffer protocol; where there is none by __array_interface__, by DLPack, or by what __array__ returns
 * (a pandas Series, an Arrow array, a tensor on the CPU). The memory is used in place, and given back when the
 * array is closed. */
#ifndef GILFREE_ARRAY_H
#define GILFREE_ARRAY_H

#include "items.h"
#include "state.h"
#include "types.h"

struct array {
    PyObject *object; /* owned: what a result is modelled on, and what holds the memory */
    char *data;       /* item 0 */
    int ndim;
    const Py_ssize_t *shape, *strides; /* strides in bytes */
    Py_ssize_t n;                      /* items, of all dimensions */
    Py_ssize_t itemsize;
    bool is_known; /* `format` and `swapped` say how an item lies; otherwise it is no number of items.h's */
    enum item_format format;
    bool swapped;
    const char *code; /* as the exporter named it, for messages; in struct's code or its own */

    /* array.c's own. */
    Py_ssize_t *layout;    /* shape and strides, where they are ours */
    Py_ssize_t own_layout[2];
    void *adopted;         /* memory to be freed */
    void *tensor;       /* DLPack's, to be given back */
    bool has_buffer;
    Py_buffer buffer;
    char own_code[16];
};

/* module.name, of a module that somebody imported, if the object is an instance of it. 1, 0, or -1 with an
 * exception; at 1 with new references to module and type. */
int is_instance(PyObject *object, const char *module_name, const char *name, PyObject **module, PyObject **type);

/* 1, 0 if the object lends no memory, or -1 with an exception; after 1 to be closed. */
int array_open(PyObject *object, struct array *array);

/* For writing: by the buffer protocol only. 0, or -1 with an exception. */
int array_open_writable(PyObject *object, struct array *array);

/* Numbers of our own, which the array frees when it is closed. */
void array_adopt(struct array *array, void *numbers, Py_ssize_t n, enum item_format format);

void array_close(struct array *array);

/* The items, dimensions merged where they can be; in the order of memory if `any_order`. 0, or -1 with
 * MemoryError; after 0 items->dimensions is to be freed. */
int array_items(const struct array *array, bool any_order, struct items *items);

/* Those of the first of shape[0] sub-arrays, which are strides[0] apart. */
int array_row_items(const struct array *array, bool any_order, struct items *items);

bool same_shape(const struct array *a, const struct array *b);

/* The shape as a new tuple, or NULL with an exception. */
PyObject *shape_of(const struct array *array);

#endif
