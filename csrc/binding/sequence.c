#include "sequence.h"

#include <stdlib.h>

#include "errors.h"
#include "memory.h"

#define ITEMS_FIRST 64
#define ITEMS_BETWEEN_SIGNALS 65536

struct reading {
    union {
        int64_t int64;
        double float64;
    } *numbers;
    Py_ssize_t count, capacity;
    bool is_whole;
};

static int reserve(struct reading *reading)
{
    if (reading->count < reading->capacity)
        return 0;
    Py_ssize_t capacity = reading->capacity ? reading->capacity + reading->capacity / 2 : ITEMS_FIRST;
    void *more = capacity > PY_SSIZE_T_MAX / 8 ? NULL : memory_resize(reading->numbers, (size_t)capacity * 8);
    if (!more) {
        PyErr_NoMemory();
        return -1;
    }
    reading->numbers = more;
    reading->capacity = capacity;
    return 0;
}

static int take(struct reading *reading, PyObject *number)
{
    if (reserve(reading) < 0)
        return -1;
    if (reading->is_whole && !PyIndex_Check(number)) {
        for (Py_ssize_t i = 0; i < reading->count; i++)
            reading->numbers[i].float64 = (double)reading->numbers[i].int64;
        reading->is_whole = false;
    }
    if (!reading->is_whole) {
        double value = PyFloat_AsDouble(number);
        reading->numbers[reading->count].float64 = value;
        return value == -1 && PyErr_Occurred() ? -1 : 0;
    }
    PyObject *whole = PyNumber_Index(number);
    if (!whole)
        return -1;
    int overflow;
    reading->numbers[reading->count].int64 = PyLong_AsLongLongAndOverflow(whole, &overflow);
    Py_DECREF(whole);
    if (overflow)
        PyErr_SetString(PyExc_OverflowError, "it does not fit in int64 (-2**63 to 2**63 - 1); floats are accepted");
    return PyErr_Occurred() ? -1 : 0;
}

static int read_all(struct reading *reading, PyObject *iterator)
{
    PyObject *number;
    while ((number = PyIter_Next(iterator))) {
        int failed = take(reading, number);
        Py_DECREF(number);
        if (failed)
            return error_at(PyUnicode_FromFormat("number %zd", reading->count)), -1;
        if (++reading->count % ITEMS_BETWEEN_SIGNALS == 0 && PyErr_CheckSignals() < 0)
            return -1;
    }
    return PyErr_Occurred() ? -1 : 0;
}

int endless_repeat(PyObject *object, PyObject **repeated)
{
    PyObject *name = PyUnicode_FromString("itertools"), *module = name ? PyImport_GetModule(name) : NULL;
    PyObject *type = module ? PyObject_GetAttrString(module, "repeat") : NULL;
    bool is_repeat = type && (PyObject *)Py_TYPE(object) == type;
    Py_XDECREF(name);
    Py_XDECREF(module);
    Py_XDECREF(type);
    if (!is_repeat)
        return PyErr_Occurred() ? -1 : 0;
    PyObject *hint = PyObject_CallMethod(object, "__length_hint__", NULL);
    if (hint || !PyErr_ExceptionMatches(PyExc_TypeError)) {
        Py_XDECREF(hint);
        return hint ? 0 : -1;
    }
    PyErr_Clear();
    *repeated = PyIter_Next(object);
    return *repeated ? 1 : -1;
}

int sequence_open(PyObject *object, struct array *array)
{
    struct reading reading = {.is_whole = true};
    PyObject *repeated = NULL;
    int is_endless = endless_repeat(object, &repeated);
    Py_XDECREF(repeated);
    if (is_endless != 0) {
        if (is_endless > 0)
            PyErr_SetString(PyExc_ValueError, "it repeats a number without end; accepted: an iterable that ends");
        return -1;
    }
    PyObject *iterator = PyObject_GetIter(object);
    if (!iterator)
        return -1;
    int failed = read_all(&reading, iterator);
    Py_DECREF(iterator);
    if (failed) {
        free(reading.numbers);
        return -1;
    }
    array_adopt(array, reading.numbers, reading.count, reading.is_whole && reading.count ? ITEM_INT64 : ITEM_FLOAT64);
    return 1;
}
