#include "types.h"

#include <string.h>

/* ---- int64 --------------------------------------------------------------------------------------- */

static bool is_int64(const char *code)
{
    return *code == 'q' || (*code == 'l' && sizeof(long) == 8) || (*code == 'n' && sizeof(Py_ssize_t) == 8);
}

static int int64_from_python(PyObject *value, void *item)
{
    PyObject *whole = NULL;
    if (!PyLong_Check(value)) {
        if (!PyIndex_Check(value)) {
            PyObject *name = PyType_GetName(Py_TYPE(value));
            if (name)
                PyErr_Format(PyExc_TypeError, "a whole number is accepted, not %.80R of type %U", value, name);
            Py_XDECREF(name);
            return -1;
        }
        value = whole = PyNumber_Index(value);
        if (!value)
            return -1;
    }
    int overflow;
    long long number = PyLong_AsLongLongAndOverflow(value, &overflow);
    Py_XDECREF(whole);
    if (overflow) {
        PyErr_SetString(PyExc_OverflowError, "it does not fit in int64 (-2**63 to 2**63 - 1)");
        return -1;
    }
    *(int64_t *)item = number;
    return number == -1 && PyErr_Occurred() ? -1 : 0;
}

static PyObject *int64_to_python(const void *item)
{
    return PyLong_FromLongLong(*(const int64_t *)item);
}

/* ---- float64 ------------------------------------------------------------------------------------- */

static bool is_float64(const char *code)
{
    return *code == 'd';
}

static int float64_from_python(PyObject *value, void *item)
{
    double number = PyFloat_AsDouble(value);
    *(double *)item = number;
    return number == -1 && PyErr_Occurred() ? -1 : 0;
}

static PyObject *float64_to_python(const void *item)
{
    return PyFloat_FromDouble(*(const double *)item);
}

/* ---- bool ---------------------------------------------------------------------------------------- */

static bool is_bool(const char *code)
{
    return *code == '?' || *code == 'b' || *code == 'B';
}

static int bool_from_python(PyObject *value, void *item)
{
    int truth = PyObject_IsTrue(value);
    *(uint8_t *)item = truth > 0;
    return truth < 0 ? -1 : 0;
}

static PyObject *bool_to_python(const void *item)
{
    return PyBool_FromLong(*(const uint8_t *)item);
}

static const struct item_type item_types[] = {
    {ITEM_INT64, "int64", 8, "q", 'q', "whole numbers", is_int64, int64_from_python, int64_to_python},
    {ITEM_FLOAT64, "float64", 8, "d", 'd', "real numbers", is_float64, float64_from_python, float64_to_python},
    {ITEM_BOOL, "bool", 1, "?", 'B', "truth values", is_bool, bool_from_python, bool_to_python},
};

bool buffer_has_type(const Py_buffer *buffer, const struct item_type *type)
{
    const char *format = buffer->format ? buffer->format : "B";
    if (*format == '@' || *format == '=' || *format == (PY_LITTLE_ENDIAN ? '<' : '>'))
        format++;
    /* 'l' has 4 bytes or 8, by prefix and platform: the item size tells which. */
    return *format && !format[1] && buffer->itemsize == type->size && type->has_format(format);
}

/* ---- signatures ---------------------------------------------------------------------------------- */

static const struct item_type *type_named(const char *name, size_t length)
{
    for (size_t i = 0; i < sizeof item_types / sizeof *item_types; i++)
        if (strlen(item_types[i].name) == length && strncmp(item_types[i].name, name, length) == 0)
            return &item_types[i];
    return NULL;
}

/* "RESULT(TYPE NAME, TYPE NAME)": the reader below moves over it a word at a time. */
static const char *WORD = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";

static int refuse(const char *text, const char *why)
{
    PyErr_Format(PyExc_ValueError,
                 "signature '%s': %s; accepted: a result type and one to %d arguments, each with type and name, as in "
                 "'float64(float64 x, float64 y)'; the types are int64, float64, bool",
                 text, why, GILFREE_ARGUMENTS_MAX);
    return -1;
}

int signature_parse(const char *text, struct signature *signature)
{
    const char *at = text;
    size_t length = strspn(at, WORD);
    signature->count = 0;
    signature->result = type_named(at, length);
    if (!signature->result)
        return refuse(text, "the result has no known type");
    at += length;
    for (char open = '('; *at == open; open = ',') {
        at += 1 + strspn(at + 1, " ");
        if (signature->count == GILFREE_ARGUMENTS_MAX)
            return refuse(text, "too many arguments");
        length = strspn(at, WORD);
        const struct item_type *type = type_named(at, length);
        if (!type)
            return refuse(text, "an argument has no known type");
        at += length;
        at += strspn(at, " ");
        length = strspn(at, WORD);
        if (length == 0 || length >= NAME_SIZE)
            return refuse(text, "an argument has no name, or one that is too long");
        memcpy(signature->names[signature->count], at, length);
        signature->names[signature->count][length] = '\0';
        signature->arguments[signature->count++] = type;
        at += length;
    }
    if (signature->count == 0 || strcmp(at, ")") != 0)
        return refuse(text, "it does not end as one");
    return 0;
}
