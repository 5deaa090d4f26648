#include "arguments.h"

#include <stdlib.h>
#include <string.h>

#include "errors.h"
#include "memory.h"
#include "sequence.h"

#define PIECE 256 /* items that are looked at in one go, of those that have to be loaded */

void arguments_init(struct arguments *arguments, const struct variants *variants)
{
    arguments->variants = variants;
    arguments->row = variants->rows;
    arguments->signature = variants->signatures;
    arguments->count = 0;
    arguments->n = 0;
    arguments->model = NULL;
    arguments->pending[0] = arguments->pending[1] = arguments->pending[2] = NULL;
}

static void argument_close(struct argument *argument)
{
    if (argument->source == SOURCE_ARRAY) {
        free(argument->items.dimensions);
        array_close(&argument->array);
    } else if (argument->source != SOURCE_NUMBER) {
        free(argument->view.data);
    }
    for (Py_ssize_t i = 0; i < argument->arrays; i++) {
        free(argument->each_array[i].items.dimensions);
        array_close(&argument->each_array[i].array);
    }
    free(argument->each_array);
    Py_XDECREF(argument->object);
}

void arguments_close(struct arguments *arguments)
{
    while (arguments->count)
        argument_close(&arguments->each[--arguments->count]);
    for (int i = 0; i < 3; i++)
        Py_CLEAR(arguments->pending[i]);
}

struct argument *argument_start(struct arguments *arguments, int which)
{
    const struct parameter *parameter = &arguments->signature->arguments[which];
    arguments->each[which] = (struct argument){
        .source = SOURCE_NUMBER,
        .parameter = parameter,
        .has_domain = parameter->type->format == ITEM_INT64 && !parameter->is_array && gilfree_has_domain(arguments->row),
    };
    arguments->count = which + 1;
    return &arguments->each[which];
}

PyObject *argument_place(const struct arguments *arguments, int which, Py_ssize_t item)
{
    const char *name = arguments->signature->arguments[which].name;
    if (item < 0)
        return PyUnicode_FromFormat("%s: argument %d (%s)", arguments->row->name, which + 1, name);
    return PyUnicode_FromFormat("%s: item %zd of argument %d (%s)", arguments->row->name, item, which + 1, name);
}

int argument_count(const struct arguments *arguments, Py_ssize_t count, const char *what)
{
    const struct signature *signature = arguments->signature;
    if (count >= signature->required && count <= signature->count)
        return 0;
    if (signature->required < signature->count)
        PyErr_Format(PyExc_TypeError, "%s takes %d to %d %s (%s), %zd given", arguments->row->name, signature->required,
                     signature->count, what, arguments->row->signature, count);
    else
        PyErr_Format(PyExc_TypeError, "%s takes %d %s (%s), %zd given", arguments->row->name, signature->count, what,
                     arguments->row->signature, count);
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
    const char *name = arguments->signature->arguments[which].name;
    PyObject *place = argument_place(arguments, which, index);
    PyObject *bounds = row->high == INT64_MAX
                           ? PyUnicode_FromFormat("%s >= %lld", name, (long long)row->low)
                           : PyUnicode_FromFormat("%lld <= %s <= %lld", (long long)row->low, name, (long long)row->high);
    if (place && bounds)
        PyErr_Format(PyExc_ValueError, "%U is %lld; accepted: %U", place, (long long)number, bounds);
    Py_XDECREF(place);
    Py_XDECREF(bounds);
    return -1;
}

int argument_check_number(const struct arguments *arguments, int which, Py_ssize_t index, const void *item)
{
    if (!arguments->each[which].has_domain || !is_outside(arguments->row, *(const int64_t *)item))
        return 0;
    return refuse_number(arguments, which, index, *(const int64_t *)item);
}

int argument_take_number(struct arguments *arguments, int which, Py_ssize_t index, PyObject *object, void *item)
{
    if (arguments->each[which].parameter->type->from_python(object, item) < 0)
        return error_at(argument_place(arguments, which, index)), -1;
    return argument_check_number(arguments, which, index, item);
}

static bool is_unchecked(const struct argument *argument)
{
    return argument->has_domain && argument->source == SOURCE_ARRAY;
}

bool arguments_are_checked(const struct arguments *arguments)
{
    for (int which = 0; which < arguments->count; which++)
        if (is_unchecked(&arguments->each[which]))
            return false;
    return true;
}

static int64_t int64_at(const struct argument *argument, int64_t i)
{
    int64_t number;
    if (!argument->is_loaded)
        return GILFREE_ITEM(const int64_t, argument->view, i);
    items_load(&argument->items, i, 1, ITEM_INT64, &number);
    return number;
}

/* The first of the argument's items in [begin, end) that is outside, or `end`. */
static int64_t first_outside(const gilfree_row *row, const struct argument *argument, int64_t begin, int64_t end)
{
    int64_t piece[PIECE];
    if (!argument->is_loaded) {
        while (begin < end && !is_outside(row, GILFREE_ITEM(const int64_t, argument->view, begin)))
            begin++;
        return begin;
    }
    for (; begin < end; begin += PIECE) {
        int64_t count = end - begin < PIECE ? end - begin : PIECE;
        items_load(&argument->items, begin, count, ITEM_INT64, piece);
        for (int64_t i = 0; i < count; i++)
            if (is_outside(row, piece[i]))
                return begin + i;
    }
    return end;
}

int64_t arguments_outside(const struct arguments *arguments, int64_t begin, int64_t end)
{
    int64_t first = -1;
    for (int which = 0; which < arguments->count; which++) {
        if (!is_unchecked(&arguments->each[which]))
            continue;
        int64_t i = first_outside(arguments->row, &arguments->each[which], begin, end);
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
        int64_t number = int64_at(&arguments->each[which], index);
        if (is_outside(arguments->row, number))
            return refuse_number(arguments, which, (Py_ssize_t)index, number), NULL;
    }
    PyErr_Format(PyExc_ValueError, "%s: item %lld was outside what the kernel is defined for, and was changed since",
                 arguments->row->name, (long long)index);
    return NULL;
}

/* ---- arrays -------------------------------------------------------------------------------------- */

static int refuse_type(const struct arguments *arguments, int which, Py_ssize_t index, const struct array *array)
{
    const struct parameter *parameter = &arguments->signature->arguments[which];
    const struct item_type *type = parameter->type;
    PyObject *place = argument_place(arguments, which, index);
    if (place && parameter->is_array)
        PyErr_Format(PyExc_TypeError,
                     "%U holds items of format '%s' and %zd bytes; accepted: an array of integers, of floats or of truth values, "
                     "or an iterable of numbers", place, array->code, array->itemsize);
    else if (place)
        PyErr_Format(PyExc_TypeError,
                     "%U holds items of format '%s' and %zd bytes; accepted: an array of %s (as numpy.%s or array.array('%c')) or "
                     "of a type that can be cast to it safely, or an iterable of %s",
                     place, array->code, array->itemsize, type->name, type->name, type->typecode, type->python);
    Py_XDECREF(place);
    return -1;
}

int argument_open_array(struct arguments *arguments, int which, PyObject *object)
{
    struct argument *argument = &arguments->each[which];
    const struct parameter *parameter = argument->parameter;
    int opened = array_open(object, &argument->array);
    if (opened <= 0)
        return opened < 0 ? error_at(argument_place(arguments, which, -1)), -1 : 0;
    argument->source = SOURCE_ARRAY;
    struct array *array = &argument->array;
    if (array->ndim == 0) /* a number, whatever its type: the caller's to deal with */
        return 1;
    if (!array->is_known || (!parameter->is_array && !item_casts(array->format, parameter->type->format)))
        return refuse_type(arguments, which, -1, array);
    if (parameter->is_array) {
        argument->length = array->shape[0];
        if (array_row_items(array, arguments->row->reduce.any_order, &argument->items) < 0)
            return -1;
    } else {
        argument->length = array->n;
        if (array_items(array, false, &argument->items) < 0)
            return -1;
        argument->is_loaded = !items_are_direct(&argument->items, parameter->type->format);
        argument->view = (gilfree_view){argument->items.data, argument->items.stride};
    }
    if (!arguments->model)
        arguments->model = argument;
    return 1;
}

/* Room for item i behind each_array. */
static struct array_item *new_array_item(struct argument *argument)
{
    if (argument->arrays == argument->capacity) {
        Py_ssize_t capacity = argument->arrays ? 2 * argument->arrays : 1;
        struct array_item *more = memory_resize(argument->each_array, (size_t)capacity * sizeof *more);
        if (!more) {
            PyErr_NoMemory();
            return NULL;
        }
        argument->each_array = more;
        argument->capacity = capacity;
    }
    return &argument->each_array[argument->arrays];
}

int argument_take_array(struct arguments *arguments, int which, Py_ssize_t index, PyObject *object)
{
    struct argument *argument = &arguments->each[which];
    struct array_item *item = new_array_item(argument);
    if (!item)
        return -1;
    int opened = array_open(object, &item->array);
    if (opened == 0)
        opened = sequence_open(object, &item->array);
    if (opened < 0)
        return error_at(argument_place(arguments, which, index)), -1;
    item->items.dimensions = NULL;
    argument->arrays++;
    if (!item->array.is_known)
        return refuse_type(arguments, which, index, &item->array);
    if (item->array.ndim == 0) {
        PyObject *place = argument_place(arguments, which, index);
        if (place)
            PyErr_Format(PyExc_TypeError, "%U is a number; accepted: an array of one dimension or more, or an iterable of numbers",
                         place);
        Py_XDECREF(place);
        return -1;
    }
    return array_items(&item->array, arguments->row->reduce.any_order, &item->items);
}

/* ---- shapes -------------------------------------------------------------------------------------- */

int arguments_check_shapes(const struct arguments *arguments)
{
    const struct argument *model = arguments->model;
    for (int i = 0; model && i < arguments->count; i++) {
        const struct argument *argument = &arguments->each[i];
        bool is_array = argument->source == SOURCE_ARRAY;
        bool flat = model->array.ndim == 1 && (!is_array || argument->array.ndim == 1);
        if (flat || argument->source == SOURCE_NUMBER || (is_array && same_shape(&model->array, &argument->array)))
            continue;
        PyObject *wanted = shape_of(&model->array);
        PyObject *given = is_array ? shape_of(&argument->array) : PyUnicode_FromString("no shape");
        if (wanted && given)
            PyErr_Format(PyExc_ValueError,
                         "%s: argument %d (%s) has %s%S and argument %d has shape %S; accepted: arrays of one shape",
                         arguments->row->name, i + 1, argument->parameter->name, is_array ? "shape " : "", given,
                         (int)(model - arguments->each) + 1, wanted);
        Py_XDECREF(wanted);
        Py_XDECREF(given);
        return -1;
    }
    return 0;
}

/* ---- values -------------------------------------------------------------------------------------- */

static int open_number(struct arguments *arguments, int which, PyObject *object)
{
    struct argument *argument = &arguments->each[which];
    argument->source = SOURCE_NUMBER;
    argument->view = (gilfree_view){(char *)&argument->number, 0};
    if (argument_take_number(arguments, which, -1, object, &argument->number) == 0)
        return 0;
    if (PySequence_Check(object) && PyErr_ExceptionMatches(PyExc_TypeError)) {
        PyObject *name = PyType_GetName(Py_TYPE(object));
        if (name)
            PyErr_Format(PyExc_TypeError,
                         "%s: argument %d (%s) is a %U; accepted: a number or an array; for an iterable call "
                         "gilfree.parallel_map(kernels.%s, ...)",
                         arguments->row->name, which + 1, argument->parameter->name, name, arguments->row->name);
        Py_XDECREF(name);
    }
    return -1;
}

static int open_value(struct arguments *arguments, int which, PyObject *object)
{
    struct argument *argument = argument_start(arguments, which);
    /* bytes are text to most: what is meant as an array of integers is a memoryview or a bytearray. */
    if (PyLong_CheckExact(object) || PyFloat_CheckExact(object) || PyBytes_Check(object))
        return open_number(arguments, which, object);
    int opened = argument_open_array(arguments, which, object);
    if (opened < 0)
        return -1;
    if (opened && argument->array.ndim > 0)
        return 0;
    if (opened) /* as a NumPy scalar is */
        array_close(&argument->array);
    return open_number(arguments, which, object);
}

int arguments_from_values(struct arguments *arguments, PyObject *const *values, Py_ssize_t count)
{
    if (argument_count(arguments, count, "arguments") < 0)
        return -1;
    for (int which = 0; which < count; which++)
        if (open_value(arguments, which, values[which]) < 0)
            return -1;
    if (arguments_check_shapes(arguments) < 0)
        return -1;
    arguments->n = arguments->model ? arguments->model->length : 1;
    for (int which = 0; which < count; which++) {
        const struct argument *argument = &arguments->each[which];
        if (argument->source == SOURCE_ARRAY && argument->length != arguments->n) {
            PyErr_Format(PyExc_ValueError, "%s: argument %d (%s) holds %zd items and argument %d holds %zd; accepted: "
                         "arrays of one length", arguments->row->name, which + 1, argument->parameter->name,
                         argument->length, (int)(arguments->model - arguments->each) + 1, arguments->n);
            return -1;
        }
    }
    return 0;
}

int arguments_from_item(struct arguments *arguments, PyObject *const *values, Py_ssize_t count)
{
    const struct signature *signature = arguments->signature;
    if (argument_count(arguments, count, "arguments") < 0)
        return -1;
    arguments->n = 1;
    for (int which = 0; which < signature->count; which++) {
        const struct parameter *parameter = &signature->arguments[which];
        struct argument *argument = argument_start(arguments, which);
        PyObject *value = which < count ? values[which] : NULL;
        if (!value && !parameter->has_default) {
            PyErr_Format(PyExc_TypeError, "%s: argument %d (%s) was not given; it is called as %s", arguments->row->name,
                         which + 1, parameter->name, arguments->row->signature);
            return -1;
        }
        argument->number.int64 = parameter->default_value;
        argument->view = (gilfree_view){(char *)&argument->number, 0};
        int failed = parameter->is_array ? argument_take_array(arguments, which, -1, value)
                     : value             ? argument_take_number(arguments, which, -1, value, &argument->number)
                                         : 0;
        if (failed)
            return -1;
    }
    return 0;
}
