#include "arguments.h"

#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "errors.h"
#include "memory.h"

#define ITEMS_FIRST 64
#define ITEMS_BETWEEN_SIGNALS 65536
#define ITEMS_BETWEEN_LOOKS 64

void arguments_init(struct arguments *arguments, const gilfree_row *row, const struct signature *signature)
{
    arguments->row = row;
    arguments->signature = signature;
    arguments->count = 0;
    arguments->n = 0;
    arguments->model = NULL;
    arguments->model_object = NULL;
    arguments->pending[0] = arguments->pending[1] = arguments->pending[2] = NULL;
}

static void argument_close(struct argument *argument)
{
    if (argument->source == SOURCE_BUFFER)
        PyBuffer_Release(&argument->buffer);
    else if (argument->source != SOURCE_NUMBER)
        free(argument->view.data);
    Py_XDECREF(argument->object);
}

void arguments_close(struct arguments *arguments)
{
    while (arguments->count)
        argument_close(&arguments->each[--arguments->count]);
    for (int i = 0; i < 3; i++)
        Py_CLEAR(arguments->pending[i]);
}

static PyObject *place_of(const struct arguments *arguments, int which, Py_ssize_t item)
{
    if (item < 0)
        return PyUnicode_FromFormat("%s: argument %d (%s)", arguments->row->name, which + 1,
                                    arguments->signature->names[which]);
    return PyUnicode_FromFormat("%s: item %zd of argument %d (%s)", arguments->row->name, item, which + 1,
                                arguments->signature->names[which]);
}

static int check_count(const struct arguments *arguments, Py_ssize_t count, const char *what)
{
    if (count == arguments->signature->count)
        return 0;
    PyErr_Format(PyExc_TypeError, "%s takes %d %s (%s), %zd given", arguments->row->name,
                 arguments->signature->count, what, arguments->row->signature, count);
    return -1;
}

/* ---- domain -------------------------------------------------------------------------------------- */

static bool is_outside(const gilfree_row *row, int64_t number)
{
    return number < row->low || number > row->high;
}

/* ValueError about item `index` of an argument, or about the argument itself if that is -1. Returns -1. */
static int refuse_number(const struct arguments *arguments, int which, Py_ssize_t index, int64_t number)
{
    const gilfree_row *row = arguments->row;
    const char *name = arguments->signature->names[which];
    PyObject *place = place_of(arguments, which, index);
    PyObject *bounds = row->high == INT64_MAX
                           ? PyUnicode_FromFormat("%s >= %lld", name, (long long)row->low)
                           : PyUnicode_FromFormat("%lld <= %s <= %lld", (long long)row->low, name, (long long)row->high);
    if (place && bounds)
        PyErr_Format(PyExc_ValueError, "%U is %lld; accepted: %U", place, (long long)number, bounds);
    Py_XDECREF(place);
    Py_XDECREF(bounds);
    return -1;
}

/* A value that was converted just now, as item `index` or, if that is -1, alone. 0, or -1 with ValueError. */
static int check_number(const struct arguments *arguments, int which, Py_ssize_t index, const void *item)
{
    const struct argument *argument = &arguments->each[which];
    if (!argument->has_domain || !is_outside(arguments->row, *(const int64_t *)item))
        return 0;
    return refuse_number(arguments, which, index, *(const int64_t *)item);
}

static bool is_unchecked(const struct argument *argument)
{
    return argument->has_domain && argument->source == SOURCE_BUFFER;
}

bool arguments_are_checked(const struct arguments *arguments)
{
    for (int which = 0; which < arguments->count; which++)
        if (is_unchecked(&arguments->each[which]))
            return false;
    return true;
}

int64_t arguments_outside(const struct arguments *arguments, int64_t begin, int64_t end)
{
    int64_t first = -1;
    for (int which = 0; which < arguments->count; which++) {
        if (!is_unchecked(&arguments->each[which]))
            continue;
        gilfree_view view = arguments->each[which].view;
        int64_t i = begin;
        while (i < end && !is_outside(arguments->row, GILFREE_ITEM(const int64_t, view, i)))
            i++;
        if (i < end)
            end = first = i;
    }
    return first;
}

void *arguments_refuse(const struct arguments *arguments, int64_t index)
{
    for (int which = 0; which < arguments->count; which++) {
        if (!is_unchecked(&arguments->each[which]))
            continue;
        int64_t number = GILFREE_ITEM(const int64_t, arguments->each[which].view, index);
        if (is_outside(arguments->row, number))
            return refuse_number(arguments, which, (Py_ssize_t)index, number), NULL;
    }
    PyErr_Format(PyExc_ValueError, "%s: item %lld was outside what the kernel is defined for, and was changed since",
                 arguments->row->name, (long long)index);
    return NULL;
}

static void open_argument(struct arguments *arguments, int which)
{
    const struct item_type *type = arguments->signature->arguments[which];
    arguments->each[which] = (struct argument){
        .source = SOURCE_NUMBER,
        .type = type,
        .has_domain = type->kind == ITEM_INT64 && gilfree_has_domain(arguments->row),
    };
    arguments->count = which + 1;
}

/* ---- buffers ------------------------------------------------------------------------------------- */

static int open_buffer(struct arguments *arguments, int which, PyObject *object)
{
    struct argument *argument = &arguments->each[which];
    const struct item_type *type = argument->type;
    if (PyObject_GetBuffer(object, &argument->buffer, PyBUF_FORMAT | PyBUF_STRIDES) < 0)
        return -1;
    argument->source = SOURCE_BUFFER;
    const Py_buffer *buffer = &argument->buffer;
    if (!buffer_has_type(buffer, type)) {
        PyErr_Format(PyExc_TypeError,
                     "%s: argument %d (%s) holds items of format '%s' and %zd bytes; accepted: a buffer of %s "
                     "(as numpy.%s or array.array('%c')), or an iterable of %s",
                     arguments->row->name, which + 1, arguments->signature->names[which],
                     buffer->format ? buffer->format : "B", buffer->itemsize, type->name, type->name, type->typecode,
                     type->python);
        return -1;
    }
    if (!PyBuffer_IsContiguous(buffer, 'C')) {
        PyErr_Format(PyExc_ValueError,
                     "%s: argument %d (%s) is not contiguous; accepted: a C-contiguous buffer: pass a copy, as "
                     "numpy.ascontiguousarray makes",
                     arguments->row->name, which + 1, arguments->signature->names[which]);
        return -1;
    }
    if (buffer->len > 0 && (uintptr_t)buffer->buf % (size_t)type->size != 0) {
        PyErr_Format(PyExc_ValueError, "%s: argument %d (%s) is not aligned; accepted: a buffer at a multiple of %zd "
                     "bytes: pass a copy", arguments->row->name, which + 1, arguments->signature->names[which],
                     type->size);
        return -1;
    }
    argument->view = (gilfree_view){buffer->buf, type->size};
    argument->length = buffer->len / type->size;
    if (!arguments->model) {
        arguments->model = argument;
        arguments->model_object = object;
    }
    return 0;
}

bool same_shape(const Py_buffer *a, const Py_buffer *b)
{
    return a->ndim == b->ndim && memcmp(a->shape, b->shape, (size_t)a->ndim * sizeof *a->shape) == 0;
}

PyObject *shape_of(const Py_buffer *buffer)
{
    PyObject *shape = PyTuple_New(buffer->ndim);
    for (int i = 0; shape && i < buffer->ndim; i++) {
        PyObject *length = PyLong_FromSsize_t(buffer->shape[i]);
        if (!length || PyTuple_SetItem(shape, i, length) < 0)
            Py_CLEAR(shape);
    }
    return shape;
}

/* Items correspond by position, so arrays of more than one dimension must agree in all of them. */
static int check_shapes(const struct arguments *arguments)
{
    const struct argument *model = arguments->model;
    for (int i = 0; model && i < arguments->count; i++) {
        const struct argument *argument = &arguments->each[i];
        bool has_buffer = argument->source == SOURCE_BUFFER;
        bool flat = model->buffer.ndim == 1 && (!has_buffer || argument->buffer.ndim == 1);
        if (flat || argument->source == SOURCE_NUMBER || (has_buffer && same_shape(&model->buffer, &argument->buffer)))
            continue;
        PyObject *wanted = shape_of(&model->buffer);
        PyObject *given = has_buffer ? shape_of(&argument->buffer) : PyUnicode_FromString("no shape");
        if (wanted && given)
            PyErr_Format(PyExc_ValueError,
                         "%s: argument %d (%s) has %s%S and argument %d has shape %S; accepted: buffers of one shape",
                         arguments->row->name, i + 1, arguments->signature->names[i], has_buffer ? "shape " : "", given,
                         (int)(model - arguments->each) + 1, wanted);
        Py_XDECREF(wanted);
        Py_XDECREF(given);
        return -1;
    }
    return 0;
}

/* ---- iterables ----------------------------------------------------------------------------------- */

static int attribute_as_long_long(PyObject *object, const char *name, long long *number)
{
    PyObject *attribute = PyObject_GetAttrString(object, name);
    if (!attribute)
        return -1;
    int overflow;
    *number = PyLong_AsLongLongAndOverflow(attribute, &overflow);
    Py_DECREF(attribute);
    return overflow ? 1 : *number == -1 && PyErr_Occurred() ? -1 : 0;
}

/* 1 if it is a range whose every item is a long long, 0 if not, -1 with an exception. */
static int open_range(struct argument *argument, PyObject *object)
{
    long long stop;
    if (Py_TYPE(object) != &PyRange_Type || argument->type->kind != ITEM_INT64)
        return 0;
    int start_state = attribute_as_long_long(object, "start", &argument->start);
    int stop_state = start_state ? 0 : attribute_as_long_long(object, "stop", &stop);
    int step_state = start_state || stop_state ? 0 : attribute_as_long_long(object, "step", &argument->step);
    if (start_state || stop_state || step_state)
        return start_state < 0 || stop_state < 0 || step_state < 0 ? -1 : 0;
    argument->length = PyObject_Size(object);
    if (argument->length < 0) { /* more items than memory: to be read, and refused, like any other iterable */
        PyErr_Clear();
        return 0;
    }
    argument->source = SOURCE_RANGE;
    return 1;
}

static int open_iterable(struct arguments *arguments, int which, PyObject *object)
{
    struct argument *argument = &arguments->each[which];
    open_argument(arguments, which);
    bool is_list = PyList_CheckExact(object);
    if (is_list || PyTuple_CheckExact(object)) {
        argument->source = is_list ? SOURCE_LIST : SOURCE_TUPLE;
        argument->object = Py_NewRef(object);
        argument->capacity = is_list ? PyList_Size(object) : PyTuple_Size(object);
    } else if (PyObject_CheckBuffer(object)) {
        return open_buffer(arguments, which, object);
    } else {
        int is_range = open_range(argument, object);
        if (is_range)
            return is_range < 0 ? -1 : 0;
        argument->object = PyObject_GetIter(object);
        if (!argument->object)
            return error_at(place_of(arguments, which, -1)), -1;
        argument->source = SOURCE_ITERATOR;
    }
    return 0;
}

static int reserve(struct argument *argument, Py_ssize_t i)
{
    if (argument->view.data && i < argument->capacity)
        return 0;
    Py_ssize_t capacity = argument->capacity > i ? argument->capacity : i < ITEMS_FIRST ? ITEMS_FIRST : i + i / 2;
    char *data = capacity > PY_SSIZE_T_MAX / ITEM_SIZE_MAX
                     ? NULL
                     : memory_resize(argument->view.data, (size_t)(capacity * argument->type->size));
    if (!data) {
        PyErr_NoMemory();
        return -1;
    }
    argument->view = (gilfree_view){data, argument->type->size};
    argument->capacity = capacity;
    return 0;
}

/* A new reference to item i, or NULL at the end. */
static PyObject *list_item(PyObject *list, Py_ssize_t i)
{
#ifdef Py_GIL_DISABLED
    PyObject *item = PyList_GetItemRef(list, i);
    if (!item)
        PyErr_Clear();
    return item;
#else
    return i < PyList_Size(list) ? Py_XNewRef(PyList_GetItem(list, i)) : NULL;
#endif
}

enum step { STEP_FAILED = -1, STEP_END = 0, STEP_ITEM = 1, STEP_RAISED = 2 /* the iterable itself */ };

/* Reads item i of an argument, the items before it having been read. */
static enum step read_item(struct arguments *arguments, int which, Py_ssize_t i)
{
    struct argument *argument = &arguments->each[which];
    PyObject *item;
    switch (argument->source) {
    case SOURCE_NUMBER:
        return STEP_ITEM;
    case SOURCE_BUFFER:
        return i < argument->length ? STEP_ITEM : STEP_END;
    case SOURCE_RANGE:
        if (i >= argument->length)
            return STEP_END;
        if (reserve(argument, i) < 0)
            return STEP_FAILED;
        ((int64_t *)argument->view.data)[i] = argument->start + i * argument->step;
        return check_number(arguments, which, i, &((int64_t *)argument->view.data)[i]) < 0 ? STEP_FAILED : STEP_ITEM;
    case SOURCE_LIST:
        item = list_item(argument->object, i);
        break;
    case SOURCE_TUPLE:
        item = i < PyTuple_Size(argument->object) ? Py_XNewRef(PyTuple_GetItem(argument->object, i)) : NULL;
        break;
    default:
        item = PyIter_Next(argument->object);
        if (!item && PyErr_Occurred())
            return PyErr_ExceptionMatches(PyExc_Exception) ? STEP_RAISED : STEP_FAILED;
    }
    if (!item)
        return STEP_END;
    int failed = reserve(argument, i);
    if (!failed) {
        failed = argument->type->from_python(item, argument->view.data + i * argument->type->size);
        if (failed)
            error_at(place_of(arguments, which, i));
        else
            failed = check_number(arguments, which, i, argument->view.data + i * argument->type->size);
    }
    Py_DECREF(item);
    return failed ? STEP_FAILED : STEP_ITEM;
}

static int raise_unequal(const struct arguments *arguments, int shorter, int longer, Py_ssize_t i)
{
    PyErr_Format(PyExc_ValueError,
                 "%s: argument %d (%s) ended after %zd items and argument %d (%s) goes on; strict=True accepts "
                 "iterables of one length",
                 arguments->row->name, shorter + 1, arguments->signature->names[shorter], i, longer + 1,
                 arguments->signature->names[longer]);
    return -1;
}

/* Argument `ended` has no item i: has another one? Those before it do; those after it were not asked. */
static int check_others_end(struct arguments *arguments, int ended, Py_ssize_t i)
{
    if (ended > 0)
        return raise_unequal(arguments, ended, 0, i);
    for (int which = 1; which < arguments->count; which++) {
        enum step step = read_item(arguments, which, i);
        if (step == STEP_ITEM)
            return raise_unequal(arguments, ended, which, i);
        if (step != STEP_END)
            return -1;
    }
    return 0;
}

/* Reads item i of every argument. One that can't be converted fails the call only if there is an item i of
 * the others too: `map` asks them first, and calls nothing if one has ended. */
static enum step read_items(struct arguments *arguments, Py_ssize_t i, int *ended)
{
    PyObject *failure[3] = {NULL, NULL, NULL};
    enum step step = STEP_ITEM;
    for (int which = 0; which < arguments->count && (step == STEP_ITEM || step == STEP_FAILED); which++) {
        enum step next = read_item(arguments, which, i);
        if (next == STEP_ITEM || (next == STEP_FAILED && failure[0])) {
            PyErr_Clear();
            continue;
        }
        step = next;
        *ended = which;
        if (step == STEP_FAILED && !PyErr_ExceptionMatches(PyExc_Exception))
            break;
        if (step == STEP_FAILED)
            PyErr_Fetch(&failure[0], &failure[1], &failure[2]);
    }
    if (step == STEP_FAILED && failure[0]) {
        PyErr_Restore(failure[0], failure[1], failure[2]);
    } else {
        for (int part = 0; part < 3; part++)
            Py_XDECREF(failure[part]);
    }
    return step;
}

/* Item i could not be converted. If a buffer holds an unacceptable item before it, that one is to blame. */
static int blame_lowest(const struct arguments *arguments, Py_ssize_t i)
{
    int64_t index = PyErr_ExceptionMatches(PyExc_Exception) ? arguments_outside(arguments, 0, i) : -1;
    if (index >= 0) {
        PyErr_Clear();
        arguments_refuse(arguments, index);
    }
    return -1;
}

/* An item may take any time to come from an iterator; others are read too fast to look each time. */
static int check_options(const struct arguments *arguments, const struct options *options, Py_ssize_t i)
{
    bool any_iterator = false;
    for (int which = 0; which < arguments->count; which++)
        any_iterator = any_iterator || arguments->each[which].source == SOURCE_ITERATOR;
    gilfree_error error = any_iterator || i % ITEMS_BETWEEN_LOOKS == 0 ? options_check(options) : GILFREE_OK;
    if (error)
        error_raise(error, PyUnicode_FromFormat("%s: %s; the arguments were still being read, at item %zd",
                                                arguments->row->name, error_message(error), i));
    return error ? -1 : 0;
}

static int read_in_step(struct arguments *arguments, bool strict, const struct options *options)
{
    bool has_limits = options->deadline != NEVER || options->cancel;
    for (Py_ssize_t i = 0;; i++) {
        if (i % ITEMS_BETWEEN_SIGNALS == ITEMS_BETWEEN_SIGNALS - 1 && PyErr_CheckSignals() < 0)
            return -1;
        arguments->n = i;
        int ended = 0;
        enum step step = read_items(arguments, i, &ended);
        if (step == STEP_FAILED)
            return blame_lowest(arguments, i);
        if (step == STEP_RAISED) {
            PyErr_Fetch(&arguments->pending[0], &arguments->pending[1], &arguments->pending[2]);
            return 0;
        }
        if (step == STEP_END)
            return strict ? check_others_end(arguments, ended, i) : 0;
        if (has_limits && check_options(arguments, options, i) < 0)
            return -1;
    }
}

/* Buffers alone need no reading: their lengths are known. */
static int measure_buffers(struct arguments *arguments, bool strict)
{
    int shortest = 0;
    for (int which = 1; which < arguments->count; which++)
        if (arguments->each[which].length < arguments->each[shortest].length)
            shortest = which;
    arguments->n = arguments->each[shortest].length;
    for (int which = 0; strict && which < arguments->count; which++)
        if (arguments->each[which].length != arguments->n)
            return raise_unequal(arguments, shortest, which, arguments->n);
    return 0;
}

int arguments_from_iterables(struct arguments *arguments, PyObject *const *iterables, Py_ssize_t count,
                             bool strict, const struct options *options)
{
    if (check_count(arguments, count, "iterables") < 0)
        return -1;
    bool all_buffers = true;
    for (int which = 0; which < count; which++) {
        if (open_iterable(arguments, which, iterables[which]) < 0)
            return -1;
        const struct argument *argument = &arguments->each[which];
        all_buffers = all_buffers && argument->source == SOURCE_BUFFER;
        if (argument->source == SOURCE_BUFFER && argument->buffer.ndim == 0) {
            PyErr_Format(PyExc_TypeError, "%s: argument %d (%s) has no dimensions; accepted: an iterable",
                         arguments->row->name, which + 1, arguments->signature->names[which]);
            return -1;
        }
    }
    if (check_shapes(arguments) < 0)
        return -1;
    return all_buffers ? measure_buffers(arguments, strict) : read_in_step(arguments, strict, options);
}

/* ---- values -------------------------------------------------------------------------------------- */

static int open_number(struct arguments *arguments, int which, PyObject *object)
{
    struct argument *argument = &arguments->each[which];
    argument->source = SOURCE_NUMBER;
    argument->view = (gilfree_view){(char *)&argument->number, 0};
    if (argument->type->from_python(object, &argument->number) == 0)
        return check_number(arguments, which, -1, &argument->number);
    if (PySequence_Check(object) && PyErr_ExceptionMatches(PyExc_TypeError)) {
        PyObject *name = PyType_GetName(Py_TYPE(object));
        if (name)
            PyErr_Format(PyExc_TypeError,
                         "%s: argument %d (%s) is a %U; accepted: a number or a buffer; for an iterable call "
                         "gilfree.parallel_map(kernels.%s, ...)",
                         arguments->row->name, which + 1, arguments->signature->names[which], name, arguments->row->name);
        Py_XDECREF(name);
        return -1;
    }
    error_at(place_of(arguments, which, -1));
    return -1;
}

static int open_value(struct arguments *arguments, int which, PyObject *object)
{
    open_argument(arguments, which);
    /* A NumPy scalar has a buffer too, of no dimension: it is a number. */
    if (!PyLong_CheckExact(object) && !PyFloat_CheckExact(object) && PyObject_CheckBuffer(object)) {
        Py_buffer probe;
        if (PyObject_GetBuffer(object, &probe, PyBUF_FORMAT | PyBUF_STRIDES) < 0)
            return -1;
        int dimensions = probe.ndim;
        PyBuffer_Release(&probe);
        if (dimensions > 0)
            return open_buffer(arguments, which, object);
    }
    return open_number(arguments, which, object);
}

int arguments_from_values(struct arguments *arguments, PyObject *const *values, Py_ssize_t count)
{
    if (check_count(arguments, count, "arguments") < 0)
        return -1;
    for (int which = 0; which < count; which++)
        if (open_value(arguments, which, values[which]) < 0)
            return -1;
    if (check_shapes(arguments) < 0)
        return -1;
    arguments->n = arguments->model ? arguments->model->length : 1;
    for (int which = 0; which < count; which++) {
        const struct argument *argument = &arguments->each[which];
        if (argument->source == SOURCE_BUFFER && argument->length != arguments->n) {
            PyErr_Format(PyExc_ValueError, "%s: argument %d (%s) holds %zd items and argument %d holds %zd; accepted: "
                         "buffers of one length", arguments->row->name, which + 1, arguments->signature->names[which],
                         argument->length, (int)(arguments->model - arguments->each) + 1, arguments->n);
            return -1;
        }
    }
    return 0;
}
