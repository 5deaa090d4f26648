#include "result.h"

#include <stdlib.h>
#include <string.h>

#include "memory.h"

/* ---- new objects --------------------------------------------------------------------------------- */

static PyObject *shape_of_result(const struct result_form *form)
{
    return form->has_shape ? shape_of(&form->model->array) : Py_BuildValue("(n)", form->n);
}

static PyObject *new_numpy_array(PyObject *numpy, const struct result_form *form)
{
    PyObject *shape = shape_of_result(form);
    PyObject *array = shape ? PyObject_CallMethod(numpy, "empty", "Os", shape, form->type->name) : NULL;
    Py_XDECREF(shape);
    return array;
}

static PyObject *new_array(PyObject *module, const struct result_form *form)
{
    PyObject *one = PyObject_CallMethod(module, "array", "C[i]", form->type->typecode, 0);
    PyObject *array = one ? PySequence_Repeat(one, form->n) : NULL;
    Py_XDECREF(one);
    return array;
}

static PyObject *new_memoryview(const struct result_form *form)
{
    const struct item_type *type = form->type;
    if (form->n > PY_SSIZE_T_MAX / ITEM_SIZE_MAX)
        return PyErr_NoMemory();
    PyObject *bytes = PyByteArray_FromStringAndSize(NULL, form->n * type_size(type));
    PyObject *view = bytes ? PyMemoryView_FromObject(bytes) : NULL;
    PyObject *shape = view ? shape_of_result(form) : NULL;
    PyObject *cast = NULL;
    /* memoryview.cast takes no shape with a 0 in it. */
    if (shape && form->n > 0)
        cast = PyObject_CallMethod(view, "cast", "sO", type->code, shape);
    else if (shape)
        cast = PyObject_CallMethod(view, "cast", "s", type->code);
    Py_XDECREF(bytes);
    Py_XDECREF(view);
    Py_XDECREF(shape);
    return cast;
}

static PyObject *new_like_model(const struct result_form *form)
{
    PyObject *model = form->model->array.object, *module, *type, *object = NULL;
    int is = is_instance(model, "numpy", "ndarray", &module, &type);
    if (is > 0) {
        object = new_numpy_array(module, form);
    } else if (is == 0) {
        is = is_instance(model, "array", "array", &module, &type);
        if (is > 0)
            object = new_array(module, form);
        else if (is == 0)
            object = new_memoryview(form);
    }
    Py_XDECREF(module);
    Py_XDECREF(type);
    return object;
}

/* ---- out ----------------------------------------------------------------------------------------- */

static int check_shape(const struct result_form *form, const struct array *out)
{
    if (form->has_shape) {
        if (same_shape(out, &form->model->array) || (form->n == 0 && out->n == 0))
            return 0;
        PyErr_Format(PyExc_ValueError, "%s: out has another shape than argument %d; accepted: a buffer of its shape",
                     form->kernel, form->which + 1);
        return -1;
    }
    if (out->ndim == 1 && out->n == form->n)
        return 0;
    PyErr_Format(PyExc_ValueError, "%s: out has %d dimensions and %zd items; accepted: 1 dimension and %zd items",
                 form->kernel, out->ndim, out->n, form->n);
    return -1;
}

static int check_out(struct result *result, const struct result_form *form)
{
    const struct array *out = &result->array;
    const struct item_type *type = form->type;
    if (!out->is_known || out->swapped || !type_holds(type, out->format)) {
        PyErr_Format(PyExc_TypeError,
                     "%s: out holds items of format '%s' and %zd bytes; accepted: a buffer of %s (as numpy.%s or "
                     "array.array('%c'))",
                     form->kernel, out->code, out->itemsize, type->name, type->name, type->typecode);
        return -1;
    }
    if (check_shape(form, out) < 0 || array_items(out, false, &result->items) < 0)
        return -1;
    result->items.format = type->format;
    if (items_are_distinct(&result->items))
        return 0;
    PyErr_Format(PyExc_ValueError, "%s: items of out share memory with one another; accepted: a buffer that has room for each",
                 form->kernel);
    return -1;
}

int result_check_overlap(const struct result *result, const char *kernel, int which, const struct items *items,
                         bool in_place)
{
    /* Item i of the result is written after item i of the argument was read, and no other. */
    if ((in_place && items_are_same(items, &result->items)) || !items_overlap(items, &result->items))
        return 0;
    PyErr_Format(PyExc_ValueError,
                 in_place ? "%s: out overlaps argument %d; accepted: the argument itself (in place), or memory that no "
                            "argument uses"
                          : "%s: out overlaps argument %d; accepted: memory that no argument uses",
                 kernel, which + 1);
    return -1;
}

/* ---- open, take, close --------------------------------------------------------------------------- */

static int open_list(struct result *result, Py_ssize_t n)
{
    char *data = NULL;
    if (n <= PY_SSIZE_T_MAX / ITEM_SIZE_MAX)
        data = memory_resize(NULL, (size_t)(n * type_size(result->type)));
    if (!data) {
        PyErr_NoMemory();
        return -1;
    }
    result->view = (gilfree_view){data, type_size(result->type)};
    return 0;
}

/* NumPy raises ValueError, others BufferError. */
static int refuse_unwritable(const struct result_form *form)
{
    PyObject *type, *value, *traceback;
    if (!PyErr_ExceptionMatches(PyExc_BufferError) && !PyErr_ExceptionMatches(PyExc_ValueError))
        return -1;
    PyErr_Fetch(&type, &value, &traceback);
    PyErr_Format(PyExc_ValueError, "%s: out is read-only (%S); accepted: a writable buffer", form->kernel,
                 value ? value : Py_None);
    Py_XDECREF(type);
    Py_XDECREF(value);
    Py_XDECREF(traceback);
    return -1;
}

int result_open(struct result *result, const struct result_form *form, PyObject *out, enum result_kind without_model)
{
    result->kind = without_model;
    result->type = form->type;
    result->is_stored = false;
    if (!out && !form->model) {
        if (without_model == RESULT_LIST)
            return open_list(result, form->n);
        result->view = (gilfree_view){(char *)&result->number, 0};
        return 0;
    }
    if (out && !PyObject_CheckBuffer(out)) {
        PyObject *name = PyType_GetName(Py_TYPE(out));
        if (name)
            PyErr_Format(PyExc_TypeError, "%s: out is a %U; accepted: a writable buffer of %s", form->kernel, name,
                         form->type->name);
        Py_XDECREF(name);
        return -1;
    }
    PyObject *object = out ? Py_NewRef(out) : new_like_model(form);
    if (!object)
        return -1;
    int failed = array_open_writable(object, &result->array);
    Py_DECREF(object);
    if (failed)
        return refuse_unwritable(form);
    /* What somebody else's constructor made is looked at like what somebody passed. */
    result->kind = RESULT_ARRAY;
    result->items.dimensions = NULL;
    if (check_out(result, form) < 0) {
        result_close(result);
        return -1;
    }
    result->is_stored = !items_are_direct(&result->items, form->type->format);
    result->view = (gilfree_view){result->items.data, result->items.stride};
    return 0;
}

PyObject *result_take(struct result *result, Py_ssize_t n)
{
    if (result->kind == RESULT_NUMBER)
        return result->type->to_python(&result->number);
    if (result->kind == RESULT_ARRAY)
        return Py_NewRef(result->array.object);
    PyObject *list = PyList_New(n);
    for (Py_ssize_t i = 0; list && i < n; i++) {
        PyObject *item = result->type->to_python(result->view.data + i * result->view.stride);
        if (!item || PyList_SetItem(list, i, item) < 0)
            Py_CLEAR(list);
    }
    return list;
}

void result_close(struct result *result)
{
    if (result->kind == RESULT_ARRAY) {
        free(result->items.dimensions);
        array_close(&result->array);
    } else if (result->kind == RESULT_LIST) {
        free(result->view.data);
    }
}
