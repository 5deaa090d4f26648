/* Reading iterables in step: see arguments.h. */
#include <stdlib.h>

#include "arguments.h"
#include "clock.h"
#include "errors.h"
#include "memory.h"
#include "reduction.h"
#include "sequence.h"

#define ITEMS_FIRST 64
#define ITEMS_BETWEEN_SIGNALS 65536
#define ITEMS_BETWEEN_LOOKS 64

/* ---- opening ------------------------------------------------------------------------------------- */

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
    if (Py_TYPE(object) != &PyRange_Type || argument->parameter->is_array ||
        argument->parameter->type->format != ITEM_INT64)
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
    struct argument *argument = argument_start(arguments, which);
    bool is_list = PyList_CheckExact(object);
    if (is_list || PyTuple_CheckExact(object)) {
        argument->source = is_list ? SOURCE_LIST : SOURCE_TUPLE;
        argument->object = Py_NewRef(object);
        argument->expected = is_list ? PyList_Size(object) : PyTuple_Size(object);
        return 0;
    }
    int known = argument_open_array(arguments, which, object);
    if (known == 0)
        known = open_range(argument, object);
    if (known == 0 && !argument->parameter->is_array) {
        PyObject *repeated = NULL;
        known = endless_repeat(object, &repeated);
        if (known > 0) {
            argument->view = (gilfree_view){(char *)&argument->number, 0};
            known = argument_take_number(arguments, which, 0, repeated, &argument->number) < 0 ? -1 : 1;
            Py_DECREF(repeated);
        }
    }
    if (known != 0)
        return known < 0 ? -1 : 0;
    argument->object = PyObject_GetIter(object);
    if (!argument->object)
        return error_at(argument_place(arguments, which, -1)), -1;
    argument->source = SOURCE_ITERATOR;
    return 0;
}

/* ---- reading ------------------------------------------------------------------------------------- */

static int reserve(struct argument *argument, Py_ssize_t i)
{
    if (argument->view.data && i < argument->capacity)
        return 0;
    Py_ssize_t capacity = argument->expected > i ? argument->expected : i < ITEMS_FIRST ? ITEMS_FIRST : i + i / 2;
    char *data = capacity > PY_SSIZE_T_MAX / ITEM_SIZE_MAX
                     ? NULL
                     : memory_resize(argument->view.data, (size_t)(capacity * type_size(argument->parameter->type)));
    if (!data) {
        PyErr_NoMemory();
        return -1;
    }
    argument->view = (gilfree_view){data, type_size(argument->parameter->type)};
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

static int take_item(struct arguments *arguments, int which, Py_ssize_t i, PyObject *item)
{
    struct argument *argument = &arguments->each[which];
    if (argument->parameter->is_array)
        return argument_take_array(arguments, which, i, item);
    if (reserve(argument, i) < 0)
        return -1;
    return argument_take_number(arguments, which, i, item, argument->view.data + i * argument->view.stride);
}

/* Reads item i of an argument, the items before it having been read. */
static enum step read_item(struct arguments *arguments, int which, Py_ssize_t i)
{
    struct argument *argument = &arguments->each[which];
    PyObject *item;
    switch (argument->source) {
    case SOURCE_NUMBER:
        return STEP_ITEM;
    case SOURCE_ARRAY:
        return i < argument->length ? STEP_ITEM : STEP_END;
    case SOURCE_RANGE:
        if (i >= argument->length)
            return STEP_END;
        if (reserve(argument, i) < 0)
            return STEP_FAILED;
        ((int64_t *)argument->view.data)[i] = (int64_t)((uint64_t)argument->start + (uint64_t)i * (uint64_t)argument->step);
        return argument_check_number(arguments, which, i, &((int64_t *)argument->view.data)[i]) < 0 ? STEP_FAILED : STEP_ITEM;
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
    int failed = take_item(arguments, which, i, item);
    Py_DECREF(item);
    return failed ? STEP_FAILED : STEP_ITEM;
}

static int raise_unequal(const struct arguments *arguments, int shorter, int longer, Py_ssize_t i)
{
    PyErr_Format(PyExc_ValueError,
                 "%s: argument %d (%s) ended after %zd items and argument %d (%s) goes on; strict=True accepts "
                 "iterables of one length",
                 arguments->row->name, shorter + 1, arguments->signature->arguments[shorter].name, i, longer + 1,
                 arguments->signature->arguments[longer].name);
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
        bool is_fatal = next == STEP_FAILED && !PyErr_ExceptionMatches(PyExc_Exception); /* as Ctrl-C */
        if (next == STEP_ITEM || (next == STEP_FAILED && failure[0] && !is_fatal)) {
            PyErr_Clear();
            continue;
        }
        step = next;
        *ended = which;
        if (is_fatal) {
            for (int part = 0; part < 3; part++)
                Py_CLEAR(failure[part]);
            return STEP_FAILED;
        }
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

/* Item i could not be converted. If an array holds an unacceptable item before it, that one is to blame. */
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
        if (arguments->signature->is_reduction && reduction_check_item(arguments, i) < 0)
            return -1;
        if (has_limits && check_options(arguments, options, i) < 0)
            return -1;
    }
}

/* Arrays and repeated numbers need no reading: their lengths are known. */
static int measure(struct arguments *arguments, bool strict)
{
    int shortest = -1;
    for (int which = 0; which < arguments->count; which++) {
        const struct argument *argument = &arguments->each[which];
        if (argument->source != SOURCE_NUMBER && (shortest < 0 || argument->length < arguments->each[shortest].length))
            shortest = which;
    }
    arguments->n = arguments->each[shortest].length;
    for (int which = 0; strict && which < arguments->count; which++)
        if (arguments->each[which].source == SOURCE_NUMBER || arguments->each[which].length != arguments->n)
            return raise_unequal(arguments, shortest, which, arguments->n);
    return 0;
}

/* Sub-arrays are all alike: what holds for one holds for each. */
static int measure_rows(struct arguments *arguments, bool strict)
{
    if (measure(arguments, strict) < 0)
        return -1;
    return arguments->n > 0 ? reduction_check_item(arguments, 0) : 0;
}

static int check_dimensions(const struct arguments *arguments, int which)
{
    const struct argument *argument = &arguments->each[which];
    int least = argument->parameter->is_array ? 2 : 1;
    if (argument->source != SOURCE_ARRAY || argument->array.ndim >= least)
        return 0;
    PyObject *place = argument_place(arguments, which, -1);
    if (place && argument->array.ndim == 0)
        PyErr_Format(PyExc_TypeError, "%U has no dimensions; accepted: an iterable", place);
    else if (place)
        PyErr_Format(PyExc_TypeError, "%U is an array of numbers; accepted: an iterable of arrays, or an array of two dimensions "
                     "or more; for the one number call kernels.%s(x)", place, arguments->row->name);
    Py_XDECREF(place);
    return -1;
}

int arguments_from_iterables(struct arguments *arguments, PyObject *const *iterables, Py_ssize_t count,
                             bool strict, const struct options *options)
{
    if (argument_count(arguments, count, "iterables") < 0)
        return -1;
    bool any_array = false, any_read = false;
    for (int which = 0; which < count; which++) {
        if (open_iterable(arguments, which, iterables[which]) < 0 || check_dimensions(arguments, which) < 0)
            return -1;
        enum source source = arguments->each[which].source;
        any_array = any_array || source == SOURCE_ARRAY;
        any_read = any_read || (source != SOURCE_ARRAY && source != SOURCE_NUMBER);
    }
    if (!any_array && !any_read) {
        PyErr_Format(PyExc_ValueError, "%s: every iterable repeats without end; accepted: at least one that ends",
                     arguments->row->name);
        return -1;
    }
    if (!arguments->signature->is_reduction && arguments_check_shapes(arguments) < 0)
        return -1;
    int failed = any_read                            ? read_in_step(arguments, strict, options)
                 : arguments->signature->is_reduction ? measure_rows(arguments, strict)
                                                      : measure(arguments, strict);
    for (int which = (int)count; !failed && which < arguments->signature->count; which++) {
        struct argument *argument = argument_start(arguments, which);
        argument->number.int64 = argument->parameter->default_value;
        argument->view = (gilfree_view){(char *)&argument->number, 0};
    }
    return failed;
}
