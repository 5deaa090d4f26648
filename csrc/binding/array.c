#include "array.h"

#include <stdlib.h>
#include <string.h>

#include "memory.h"

/* ---- layout -------------------------------------------------------------------------------------- */

/* 0, or -1 with ValueError: the number of items is what the shape says, and they fit in the address space. */
static int count_items(struct array *array, const char *who)
{
    Py_ssize_t n = 1, most = array->itemsize > 0 ? PY_SSIZE_T_MAX / array->itemsize : PY_SSIZE_T_MAX;
    bool is_empty = false;
    for (int d = 0; d < array->ndim; d++) {
        Py_ssize_t length = array->shape[d];
        if (length < 0) {
            PyErr_Format(PyExc_ValueError, "%s says that a dimension has %zd items; accepted: a number from 0", who, length);
            return -1;
        }
        is_empty = is_empty || length == 0;
        if (length > 0 && n > most / length) {
            PyErr_Format(PyExc_ValueError, "%s says that there are more items than memory has addresses", who);
            return -1;
        }
        n *= length > 0 ? length : 1;
    }
    array->n = is_empty ? 0 : n;
    return 0;
}

/* Room for a shape and strides of our own. */
static Py_ssize_t *new_layout(struct array *array, int ndim)
{
    array->layout = memory_resize(NULL, 2 * (size_t)ndim * sizeof *array->layout);
    if (!array->layout)
        PyErr_NoMemory();
    array->ndim = ndim;
    array->shape = array->layout;
    array->strides = array->layout ? array->layout + ndim : NULL;
    return array->layout;
}

/* Strides of items that lie next to one another, the last index running fastest. */
static void set_contiguous(struct array *array)
{
    Py_ssize_t stride = array->itemsize;
    for (int d = array->ndim - 1; d >= 0; d--) {
        array->layout[array->ndim + d] = stride;
        stride *= array->shape[d] > 0 ? array->shape[d] : 1;
    }
}

/* ---- the buffer protocol ------------------------------------------------------------------------- */

static int open_buffer(PyObject *object, struct array *array, int flags)
{
    Py_buffer *buffer = &array->buffer;
    if (PyObject_GetBuffer(object, buffer, flags) < 0)
        return -1;
    array->has_buffer = true;
    array->object = Py_NewRef(object);
    array->data = buffer->buf;
    array->ndim = buffer->ndim;
    array->shape = buffer->shape;
    array->strides = buffer->strides;
    array->itemsize = buffer->itemsize;
    array->code = buffer->format ? buffer->format : "B";
    array->is_known = format_of_code(array->code, array->itemsize, &array->format, &array->swapped);
    if (array->ndim < 0 || array->ndim > PyBUF_MAX_NDIM || (array->ndim > 0 && !array->shape)) {
        PyErr_Format(PyExc_BufferError, "the buffer says nothing of its %d dimensions", array->ndim);
        return -1;
    }
    if (array->ndim > 0 && !array->strides) { /* as ctypes does, whatever it was asked for */
        if (!new_layout(array, array->ndim))
            return -1;
        memcpy(array->layout, buffer->shape, (size_t)array->ndim * sizeof *array->layout);
        set_contiguous(array);
    }
    if (array->ndim == 1 && array->itemsize > 0 && array->shape[0] == buffer->len / array->itemsize) {
        array->n = array->shape[0]; /* as nearly always */
        return 0;
    }
    if (count_items(array, "the buffer") < 0)
        return -1;
    if (array->n * array->itemsize != buffer->len) {
        PyErr_Format(PyExc_BufferError, "the buffer has %zd bytes by its length, and %zd by its shape", buffer->len,
                     array->n * array->itemsize);
        return -1;
    }
    return 0;
}

/* ---- __array_interface__ ------------------------------------------------------------------------- */

/* A new reference; NULL if it is missing or None, with an exception only if that is an error. To look a key up may
 * run code that changes the dict: `interface` is a copy, which nobody else has. */
static PyObject *member(PyObject *interface, const char *name, bool is_required)
{
    PyObject *key = PyUnicode_FromString(name);
    PyObject *value = key ? Py_XNewRef(PyDict_GetItemWithError(interface, key)) : NULL;
    Py_XDECREF(key);
    if (value == Py_None)
        Py_CLEAR(value);
    if (!value && is_required && !PyErr_Occurred())
        PyErr_Format(PyExc_ValueError, "__array_interface__ has no '%s'", name);
    return value;
}

static int read_lengths(PyObject *tuple, Py_ssize_t *lengths, Py_ssize_t count, const char *name)
{
    if (!PyTuple_Check(tuple) || PyTuple_Size(tuple) != count) {
        PyErr_Format(PyExc_ValueError, "__array_interface__['%s'] is %.80R; accepted: a tuple of %zd whole numbers", name, tuple,
                     count);
        return -1;
    }
    for (Py_ssize_t d = 0; d < count; d++) {
        lengths[d] = PyLong_AsSsize_t(PyTuple_GetItem(tuple, d));
        if (lengths[d] == -1 && PyErr_Occurred())
            return -1;
    }
    return 0;
}

/* "<f8": byte order, kind, bytes. */
static int read_typestr(PyObject *typestr, struct array *array)
{
    PyObject *bytes = PyUnicode_Check(typestr) ? PyUnicode_AsUTF8String(typestr) : NULL;
    char *text = bytes ? PyBytes_AsString(bytes) : NULL;
    if (!text || strlen(text) < 3 || strlen(text) >= sizeof array->own_code) {
        if (!PyErr_Occurred())
            PyErr_Format(PyExc_ValueError, "__array_interface__['typestr'] is %.80R; accepted: one as '<f8'", typestr);
        Py_XDECREF(bytes);
        return -1;
    }
    strcpy(array->own_code, text);
    Py_DECREF(bytes);
    array->code = array->own_code;
    array->itemsize = strtol(array->own_code + 2, NULL, 10);
    array->is_known = format_of_kind(array->own_code[1], array->itemsize, &array->format);
    array->swapped = array->itemsize > 1 && array->own_code[0] == (PY_LITTLE_ENDIAN ? '>' : '<');
    return 0;
}

/* The members of __array_interface__; `strides` and `mask` may be NULL. */
struct members {
    PyObject *typestr, *shape, *data, *strides, *mask;
};

static int read_members(const struct members *members, struct array *array)
{
    PyObject *shape = members->shape, *data = members->data, *strides = members->strides;
    if (read_typestr(members->typestr, array) < 0)
        return -1;
    if (members->mask) {
        PyErr_SetString(PyExc_TypeError, "__array_interface__ has a mask, and kernels see no masks; accepted: an array without");
        return -1;
    }
    if (!PyTuple_Check(data) || PyTuple_Size(data) != 2 || !PyTuple_Check(shape) || PyTuple_Size(shape) > PyBUF_MAX_NDIM) {
        PyErr_SetString(PyExc_ValueError, "__array_interface__ is accepted with 'data' as an address and a flag, and 'shape' as "
                                          "a tuple of at most 64 lengths");
        return -1;
    }
    int ndim = (int)PyTuple_Size(shape);
    array->data = PyLong_AsVoidPtr(PyTuple_GetItem(data, 0));
    if ((!array->data && PyErr_Occurred()) || !new_layout(array, ndim) ||
        read_lengths(shape, array->layout, ndim, "shape") < 0 || count_items(array, "__array_interface__") < 0)
        return -1;
    if (strides && read_lengths(strides, array->layout + ndim, ndim, "strides") < 0)
        return -1;
    if (!strides)
        set_contiguous(array);
    if (array->n > 0 && !array->data) {
        PyErr_SetString(PyExc_ValueError, "__array_interface__['data'] has no address");
        return -1;
    }
    return 0;
}

static int open_interface(PyObject *object, PyObject *given, struct array *array)
{
    if (!PyDict_Check(given)) {
        PyErr_Format(PyExc_TypeError, "__array_interface__ is %.80R; accepted: a dict", given);
        return -1;
    }
    PyObject *interface = PyDict_Copy(given);
    if (!interface)
        return -1;
    struct members members = {.typestr = member(interface, "typestr", true)};
    members.shape = members.typestr ? member(interface, "shape", true) : NULL;
    members.data = members.shape ? member(interface, "data", true) : NULL;
    members.strides = members.data ? member(interface, "strides", false) : NULL;
    members.mask = members.data && !PyErr_Occurred() ? member(interface, "mask", false) : NULL;
    int failed = PyErr_Occurred() ? -1 : read_members(&members, array);
    if (!failed)
        array->object = Py_NewRef(object);
    Py_XDECREF(members.typestr);
    Py_XDECREF(members.shape);
    Py_XDECREF(members.data);
    Py_XDECREF(members.strides);
    Py_XDECREF(members.mask);
    Py_DECREF(interface);
    return failed;
}

/* ---- DLPack -------------------------------------------------------------------------------------- */

/* The part of its ABI (version 0, which all exporters still speak) that concerns the CPU. */
#define DLPACK_CPU 1

struct dl_tensor {
    char *data;
    int32_t device_type, device_id, ndim;
    uint8_t code, bits;
    uint16_t lanes;
    int64_t *shape, *strides; /* strides in items; NULL: next to one another */
    uint64_t byte_offset;
};

struct dl_managed {
    struct dl_tensor tensor;
    void *context;
    void (*deleter)(struct dl_managed *self);
};

static int check_device(PyObject *object)
{
    PyObject *device = PyObject_CallMethod(object, "__dlpack_device__", NULL);
    PyObject *type = device ? PySequence_GetItem(device, 0) : NULL;
    long number = type ? PyLong_AsLong(type) : -1;
    Py_XDECREF(device);
    Py_XDECREF(type);
    if (PyErr_Occurred())
        return -1;
    if (number == DLPACK_CPU)
        return 0;
    PyErr_Format(PyExc_ValueError, "the array lies in the memory of another device (DLPack's number %ld); accepted: one in the "
                 "memory of the CPU, as its cpu() or get() method returns", number);
    return -1;
}

static int open_dlpack(PyObject *object, PyObject *method, struct array *array)
{
    static const char kinds[] = {'i', 'u', 'f', 0, 0, 0, 'b'};
    if (check_device(object) < 0)
        return -1;
    PyObject *capsule = PyObject_CallNoArgs(method);
    struct dl_managed *managed = capsule ? PyCapsule_GetPointer(capsule, "dltensor") : NULL;
    if (!managed || PyCapsule_SetName(capsule, "used_dltensor") < 0) {
        Py_XDECREF(capsule);
        return -1;
    }
    Py_DECREF(capsule);
    const struct dl_tensor *tensor = &managed->tensor;
    array->tensor = managed;
    array->object = Py_NewRef(object);
    array->data = tensor->data + tensor->byte_offset;
    array->itemsize = tensor->bits / 8;
    array->is_known = tensor->lanes == 1 && tensor->code < sizeof kinds && kinds[tensor->code] &&
                      format_of_kind(kinds[tensor->code], array->itemsize, &array->format);
    PyOS_snprintf(array->own_code, sizeof array->own_code, "dl %d %d x %d", tensor->code, tensor->bits, tensor->lanes);
    array->code = array->own_code;
    if (tensor->ndim < 0 || tensor->ndim > PyBUF_MAX_NDIM) {
        PyErr_Format(PyExc_ValueError, "DLPack says that there are %d dimensions; accepted: at most 64", (int)tensor->ndim);
        return -1;
    }
    if (!new_layout(array, tensor->ndim))
        return -1;
    for (int d = 0; d < tensor->ndim; d++) {
        array->layout[d] = (Py_ssize_t)tensor->shape[d];
        array->layout[tensor->ndim + d] = tensor->strides ? (Py_ssize_t)tensor->strides[d] * array->itemsize : 0;
    }
    if (count_items(array, "DLPack") < 0)
        return -1;
    if (!tensor->strides)
        set_contiguous(array);
    return 0;
}

/* ---- open, close --------------------------------------------------------------------------------- */

int is_instance(PyObject *object, const char *module_name, const char *name, PyObject **module, PyObject **type)
{
    PyObject *key = PyUnicode_FromString(module_name);
    *module = key ? PyImport_GetModule(key) : NULL;
    *type = NULL;
    Py_XDECREF(key);
    if (!*module)
        return PyErr_Occurred() ? -1 : 0;
    *type = PyObject_GetAttrString(*module, name);
    if (!*type && PyErr_ExceptionMatches(PyExc_AttributeError))
        PyErr_Clear(); /* something else under its name, or None: not imported, then */
    int is = *type ? PyObject_IsInstance(object, *type) : PyErr_Occurred() ? -1 : 0;
    if (is <= 0) {
        Py_CLEAR(*module);
        Py_CLEAR(*type);
    }
    return is;
}

/* A masked array's mask says which items count, and no kernel sees it. */
static int refuse_masked(PyObject *object)
{
    PyObject *module, *type;
    if (!(PyType_GetFlags(Py_TYPE(object)) & Py_TPFLAGS_HEAPTYPE)) /* as those of ndarray and memoryview */
        return 0;
    int is = is_instance(object, "numpy.ma", "MaskedArray", &module, &type);
    if (is > 0)
        PyErr_SetString(PyExc_TypeError, "it is a masked array, and kernels see no masks; accepted: its data, or what filled() "
                                         "gives");
    Py_XDECREF(module);
    Py_XDECREF(type);
    return is == 0 ? 0 : -1;
}

/* 1 with a new reference, 0 if there is no such attribute, -1 with an exception. */
static int find_attribute(PyObject *object, const char *name, PyObject **attribute)
{
    *attribute = PyObject_GetAttrString(object, name);
    if (*attribute)
        return 1;
    if (!PyErr_ExceptionMatches(PyExc_AttributeError))
        return -1;
    PyErr_Clear();
    return 0;
}

static int open_converted(PyObject *method, struct array *array)
{
    PyObject *converted = PyObject_CallNoArgs(method);
    if (!converted)
        return -1;
    int failed = -1;
    if (PyObject_CheckBuffer(converted))
        failed = refuse_masked(converted) < 0 ? -1 : open_buffer(converted, array, PyBUF_FORMAT | PyBUF_STRIDES);
    else
        PyErr_Format(PyExc_TypeError, "__array__() returned %.80R; accepted: an array with a buffer", converted);
    Py_DECREF(converted);
    return failed;
}



static void array_init(struct array *array)
{
    array->object = NULL;
    array->layout = NULL;
    array->adopted = array->tensor = NULL;
    array->has_buffer = array->is_known = array->swapped = false;
}

int array_open(PyObject *object, struct array *array)
{
    PyObject *attribute = NULL;
    int found = 1, failed;
    array_init(array);
    if (PyObject_CheckBuffer(object))
        failed = refuse_masked(object) < 0 ? -1 : open_buffer(object, array, PyBUF_FORMAT | PyBUF_STRIDES);
    else if (PyType_Check(object) || PyIter_Check(object))
        return 0; /* a class has its instances' attributes, and is none of them */
    else if ((found = find_attribute(object, "__array_interface__", &attribute)) != 0)
        failed = found < 0 ? -1 : open_interface(object, attribute, array);
    else if ((found = find_attribute(object, "__dlpack__", &attribute)) != 0)
        failed = found < 0 ? -1 : open_dlpack(object, attribute, array);
    else if ((found = find_attribute(object, "__array__", &attribute)) != 0)
        failed = found < 0 ? -1 : open_converted(attribute, array);
    else
        return 0;
    Py_XDECREF(attribute);
    if (failed < 0)
        array_close(array);
    return failed < 0 ? -1 : 1;
}

int array_open_writable(PyObject *object, struct array *array)
{
    array_init(array);
    if (refuse_masked(object) == 0 && open_buffer(object, array, PyBUF_FORMAT | PyBUF_STRIDES | PyBUF_WRITABLE) == 0)
        return 0;
    array_close(array);
    return -1;
}

void array_adopt(struct array *array, void *numbers, Py_ssize_t n, enum item_format format)
{
    array_init(array);
    array->adopted = array->data = numbers;
    array->n = array->own_layout[0] = n;
    array->itemsize = array->own_layout[1] = item_size(format);
    array->ndim = 1;
    array->shape = &array->own_layout[0];
    array->strides = &array->own_layout[1];
    array->is_known = true;
    array->format = format;
    array->code = "";
}

void array_close(struct array *array)
{
    if (array->has_buffer)
        PyBuffer_Release(&array->buffer);
    struct dl_managed *managed = array->tensor;
    if (managed && managed->deleter)
        managed->deleter(managed);
    free(array->layout);
    free(array->adopted);
    Py_XDECREF(array->object);
}

/* ---- items --------------------------------------------------------------------------------------- */

static int items_of(const struct array *array, int outer, bool any_order, struct items *items)
{
    int ndim = array->ndim - outer;
    *items = (struct items){.data = array->data, .n = array->n, .format = array->format, .swapped = array->swapped};
    if (outer && array->n > 0)
        items->n = array->n / array->shape[0];
    if (ndim == 0 || items->n == 0)
        return 0;
    items->ndim = 1;
    if (ndim == 1 && (!any_order || array->strides[outer] >= 0)) {
        items->stride = array->strides[outer];
        return 0;
    }
    struct dimension *dimensions = memory_resize(NULL, (size_t)ndim * sizeof *dimensions);
    if (!dimensions) {
        PyErr_NoMemory();
        return -1;
    }
    for (int d = 0; d < ndim; d++)
        dimensions[d] = (struct dimension){array->shape[outer + d], array->strides[outer + d]};
    if (any_order)
        dimensions_sort(dimensions, ndim, &items->data);
    items->ndim = dimensions_merge(dimensions, ndim);
    if (items->ndim > 1) {
        items->dimensions = dimensions;
        return 0;
    }
    items->stride = items->ndim ? dimensions[0].stride : 0;
    free(dimensions);
    return 0;
}

int array_items(const struct array *array, bool any_order, struct items *items)
{
    return items_of(array, 0, any_order, items);
}

int array_row_items(const struct array *array, bool any_order, struct items *items)
{
    return items_of(array, 1, any_order, items);
}

bool same_shape(const struct array *a, const struct array *b)
{
    return a->ndim == b->ndim && (a->ndim == 0 || memcmp(a->shape, b->shape, (size_t)a->ndim * sizeof *a->shape) == 0);
}

PyObject *shape_of(const struct array *array)
{
    PyObject *shape = PyTuple_New(array->ndim);
    for (int d = 0; shape && d < array->ndim; d++) {
        PyObject *length = PyLong_FromSsize_t(array->shape[d]);
        if (!length || PyTuple_SetItem(shape, d, length) < 0)
            Py_CLEAR(shape);
    }
    return shape;
}
