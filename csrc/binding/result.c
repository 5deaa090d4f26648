#include "result.h"

#include <stdlib.h>
#include <string.h>

#include "memory.h"

/* ---- new objects --------------------------------------------------------------------------------- */

/* module.name, of a module that somebody imported, if the object is an instance of it. 1, 0, or -1 with an
 * exception; at 1 with new references to module and type. */
static int is_instance(PyObject *object, const char *module_name, const char *name, PyObject **module,
                       PyObject **type)
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

static PyObject *shape_of_result(const struct arguments *arguments)
{
    const Py_buffer *model = &arguments->model->buffer;
    if (model->ndim == 1)
        return Py_BuildValue("(n)", arguments->n);
    return shape_of(model);
}

static PyObject *new_numpy_array(PyObject *numpy, const struct arguments *arguments)
{
    PyObject *shape = shape_of_result(arguments);
    PyObject *array =
        shape ? PyObject_CallMethod(numpy, "empty", "Os", shape, arguments->signature->result->name) : NULL;
    Py_XDECREF(shape);
    return array;
}

static PyObject *new_array(PyObject *module, const struct arguments *arguments)
{
    PyObject *one = PyObject_CallMethod(module, "array", "C[i]", arguments->signature->result->typecode, 0);
    PyObject *array = one ? PySequence_Repeat(one, arguments->n) : NULL;
    Py_XDECREF(one);
    return array;
}

static PyObject *new_memoryview(const struct arguments *arguments)
{
    const struct item_type *type = arguments->signature->result;
    PyObject *bytes = PyByteArray_FromStringAndSize(NULL, arguments->n * type->size);
    PyObject *view = bytes ? PyMemoryView_FromObject(bytes) : NULL;
    PyObject *shape = view ? shape_of_result(arguments) : NULL;
    PyObject *cast = NULL;
    /* memoryview.cast takes no shape with a 0 in it. */
    if (shape && arguments->n > 0)
        cast = PyObject_CallMethod(view, "cast", "sO", type->code, shape);
    else if (shape)
        cast = PyObject_CallMethod(view, "cast", "s", type->code);
    Py_XDECREF(bytes);
    Py_XDECREF(view);
    Py_XDECREF(shape);
    return cast;
}

/* A masked array's mask says which items count, and no kernel sees it. */
static int refuse_masked(const struct arguments *arguments)
{
    PyObject *module, *type;
    int is = is_instance(arguments->model_object, "numpy.ma", "MaskedArray", &module, &type);
    if (is > 0)
        PyErr_Format(PyExc_TypeError, "%s: argument %d is a masked array, and kernels see no masks; accepted: its data, "
                     "or what filled() gives", arguments->row->name, (int)(arguments->model - arguments->each) + 1);
    Py_XDECREF(module);
    Py_XDECREF(type);
    return is == 0 ? 0 : -1;
}

static PyObject *new_like_model(const struct arguments *arguments)
{
    PyObject *model = arguments->model_object, *module, *type, *object = NULL;
    int is = is_instance(model, "numpy", "ndarray", &module, &type);
    if (is > 0) {
        if ((PyObject *)Py_TYPE(model) == type || refuse_masked(arguments) == 0)
            object = new_numpy_array(module, arguments);
    } else if (is == 0) {
        is = is_instance(model, "array", "array", &module, &type);
        if (is > 0)
            object = new_array(module, arguments);
        else if (is == 0)
            object = new_memoryview(arguments);
    }
    Py_XDECREF(module);
    Py_XDECREF(type);
    return object;
}

/* ---- out ----------------------------------------------------------------------------------------- */

static bool overlaps(const Py_buffer *a, const Py_buffer *b)
{
    const char *a_begin = a->buf, *b_begin = b->buf;
    return a_begin < b_begin + b->len && b_begin < a_begin + a->len;
}

static int check_shape(const struct arguments *arguments, const Py_buffer *out)
{
    const Py_buffer *model = arguments->model ? &arguments->model->buffer : NULL;
    if (model && model->ndim > 1) {
        if (same_shape(out, model) || (arguments->n == 0 && out->len == 0))
            return 0;
        PyErr_Format(PyExc_ValueError, "%s: out has another shape than argument %d; accepted: a buffer of its shape",
                     arguments->row->name, (int)(arguments->model - arguments->each) + 1);
        return -1;
    }
    if (out->ndim == 1 && out->shape[0] == arguments->n)
        return 0;
    PyErr_Format(PyExc_ValueError, "%s: out has %d dimensions and %zd items; accepted: 1 dimension and %zd items",
                 arguments->row->name, out->ndim, out->len / out->itemsize, arguments->n);
    return -1;
}

static int check_out(const struct arguments *arguments, const Py_buffer *out)
{
    const char *name = arguments->row->name;
    const struct item_type *type = arguments->signature->result;
    if (!buffer_has_type(out, type)) {
        PyErr_Format(PyExc_TypeError,
                     "%s: out holds items of format '%s' and %zd bytes; accepted: a buffer of %s (as numpy.%s or "
                     "array.array('%c'))",
                     name, out->format ? out->format : "B", out->itemsize, type->name, type->name, type->typecode);
        return -1;
    }
    if (!PyBuffer_IsContiguous(out, 'C')) {
        PyErr_Format(PyExc_ValueError, "%s: out is not contiguous; accepted: a C-contiguous buffer", name);
        return -1;
    }
    if (out->len > 0 && (uintptr_t)out->buf % (size_t)type->size != 0) {
        PyErr_Format(PyExc_ValueError, "%s: out is not aligned; accepted: a buffer at a multiple of %zd bytes", name,
                     type->size);
        return -1;
    }
    if (check_shape(arguments, out) < 0)
        return -1;
    for (int i = 0; i < arguments->count; i++) {
        const struct argument *argument = &arguments->each[i];
        if (argument->source != SOURCE_BUFFER || !overlaps(&argument->buffer, out))
            continue;
        /* Item i of the result is written after item i of the argument was read, and no other. */
        if (argument->buffer.buf == out->buf && argument->buffer.itemsize == out->itemsize)
            continue;
        PyErr_Format(PyExc_ValueError,
                     "%s: out overlaps argument %d; accepted: the argument itself (in place), or memory that no "
                     "argument uses",
                     name, i + 1);
        return -1;
    }
    return 0;
}

/* ---- open, take, close --------------------------------------------------------------------------- */

static int open_list(struct result *result, const struct arguments *arguments)
{
    char *data = NULL;
    if (arguments->n <= PY_SSIZE_T_MAX / ITEM_SIZE_MAX)
        data = memory_resize(NULL, (size_t)(arguments->n * result->type->size));
    if (!data) {
        PyErr_NoMemory();
        return -1;
    }
    result->view = (gilfree_view){data, result->type->size};
    return 0;
}

/* NumPy raises ValueError, others BufferError. */
static int refuse_unwritable(const struct arguments *arguments)
{
    PyObject *type, *value, *traceback;
    if (!PyErr_ExceptionMatches(PyExc_BufferError) && !PyErr_ExceptionMatches(PyExc_ValueError))
        return -1;
    PyErr_Fetch(&type, &value, &traceback);
    PyErr_Format(PyExc_ValueError, "%s: out is read-only (%S); accepted: a writable buffer", arguments->row->name,
                 value ? value : Py_None);
    Py_XDECREF(type);
    Py_XDECREF(value);
    Py_XDECREF(traceback);
    return -1;
}

int result_open(struct result *result, const struct arguments *arguments, PyObject *out, enum result_kind without_buffer)
{
    result->kind = without_buffer;
    result->type = arguments->signature->result;
    if (!out && !arguments->model) {
        if (without_buffer == RESULT_LIST)
            return open_list(result, arguments);
        result->view = (gilfree_view){(char *)&result->number, 0};
        return 0;
    }
    if (out && !PyObject_CheckBuffer(out)) {
        PyObject *name = PyType_GetName(Py_TYPE(out));
        if (name)
            PyErr_Format(PyExc_TypeError, "%s: out is a %U; accepted: a writable buffer of %s", arguments->row->name,
                         name, result->type->name);
        Py_XDECREF(name);
        return -1;
    }
    result->kind = RESULT_BUFFER;
    result->object = out ? Py_NewRef(out) : new_like_model(arguments);
    if (!result->object)
        return -1;
    if (PyObject_GetBuffer(result->object, &result->buffer, PyBUF_FORMAT | PyBUF_STRIDES | PyBUF_WRITABLE) < 0) {
        Py_DECREF(result->object);
        return refuse_unwritable(arguments);
    }
    /* What somebody else's constructor made is looked at like what somebody passed. */
    if (check_out(arguments, &result->buffer) < 0) {
        result_close(result);
        return -1;
    }
    result->view = (gilfree_view){result->buffer.buf, result->type->size};
    return 0;
}

PyObject *result_take(struct result *result, Py_ssize_t n)
{
    if (result->kind == RESULT_NUMBER)
        return result->type->to_python(&result->number);
    if (result->kind == RESULT_BUFFER)
        return Py_NewRef(result->object);
    PyObject *list = PyList_New(n);
    for (Py_ssize_t i = 0; list && i < n; i++) {
        PyObject *item = result->type->to_python(result->view.data + i * result->type->size);
        if (!item || PyList_SetItem(list, i, item) < 0)
            Py_CLEAR(list);
    }
    return list;
}

void result_close(struct result *result)
{
    if (result->kind == RESULT_BUFFER) {
        PyBuffer_Release(&result->buffer);
        Py_DECREF(result->object);
    } else if (result->kind == RESULT_LIST) {
        free(result->view.data);
    }
}
