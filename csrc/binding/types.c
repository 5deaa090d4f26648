#include "types.h"

#include <stdlib.h>
#include <string.h>

/* ---- integers ------------------------------------------------------------------------------------ */

/* `value` itself if it is an int, else what its __index__ returns: a new reference, or NULL with TypeError. */
static PyObject *whole_number(PyObject *value)
{
    if (PyLong_Check(value))
        return Py_NewRef(value);
    if (PyIndex_Check(value))
        return PyNumber_Index(value);
    PyObject *name = PyType_GetName(Py_TYPE(value));
    if (name)
        PyErr_Format(PyExc_TypeError, "a whole number is accepted, not %.80R of type %U", value, name);
    Py_XDECREF(name);
    return NULL;
}

static int int64_from_python(PyObject *value, void *item)
{
    int overflow;
    PyObject *whole = whole_number(value);
    if (!whole)
        return -1;
    long long number = PyLong_AsLongLongAndOverflow(whole, &overflow);
    Py_DECREF(whole);
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

static int uint64_from_python(PyObject *value, void *item)
{
    PyObject *whole = whole_number(value);
    if (!whole)
        return -1;
    unsigned long long number = PyLong_AsUnsignedLongLong(whole);
    Py_DECREF(whole);
    if (number == (unsigned long long)-1 && PyErr_ExceptionMatches(PyExc_OverflowError))
        PyErr_SetString(PyExc_OverflowError, "it does not fit in uint64 (0 to 2**64 - 1)");
    *(uint64_t *)item = number;
    return number == (unsigned long long)-1 && PyErr_Occurred() ? -1 : 0;
}

static PyObject *uint64_to_python(const void *item)
{
    return PyLong_FromUnsignedLongLong(*(const uint64_t *)item);
}

#define DEFINE_SMALL_INTEGER(name, type, low, high, bounds)                                       \
    static int name##_from_python(PyObject *value, void *item)                                    \
    {                                                                                             \
        int64_t number;                                                                           \
        if (int64_from_python(value, &number) < 0)                                                \
            return -1;                                                                            \
        if (number < low || number > high) {                                                      \
            PyErr_SetString(PyExc_OverflowError, "it does not fit in " #name " (" bounds ")");    \
            return -1;                                                                            \
        }                                                                                         \
        *(type *)item = (type)number;                                                             \
        return 0;                                                                                 \
    }                                                                                             \
    static PyObject *name##_to_python(const void *item)                                           \
    {                                                                                             \
        return PyLong_FromLong(*(const type *)item);                                              \
    }
DEFINE_SMALL_INTEGER(int32, int32_t, INT32_MIN, INT32_MAX, "-2**31 to 2**31 - 1")
DEFINE_SMALL_INTEGER(uint8, uint8_t, 0, UINT8_MAX, "0 to 255")

/* ---- floats -------------------------------------------------------------------------------------- */

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

static int float32_from_python(PyObject *value, void *item)
{
    double number = PyFloat_AsDouble(value);
    *(float *)item = (float)number;
    return number == -1 && PyErr_Occurred() ? -1 : 0;
}

static PyObject *float32_to_python(const void *item)
{
    return PyFloat_FromDouble((double)*(const float *)item);
}

/* ---- truth values -------------------------------------------------------------------------------- */

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
    {ITEM_INT64, "int64", "q", 'q', "whole numbers", int64_from_python, int64_to_python},
    {ITEM_UINT64, "uint64", "Q", 'Q', "whole numbers", uint64_from_python, uint64_to_python},
    {ITEM_INT32, "int32", "i", 'i', "whole numbers", int32_from_python, int32_to_python},
    {ITEM_UINT8, "uint8", "B", 'B', "whole numbers", uint8_from_python, uint8_to_python},
    {ITEM_FLOAT64, "float64", "d", 'd', "real numbers", float64_from_python, float64_to_python},
    {ITEM_FLOAT32, "float32", "f", 'f', "real numbers", float32_from_python, float32_to_python},
    {ITEM_BOOL, "bool", "?", 'B', "truth values", bool_from_python, bool_to_python},
};

/* ---- formats ------------------------------------------------------------------------------------- */

bool format_of_kind(char kind, Py_ssize_t size, enum item_format *format)
{
    static const struct {
        char kind;
        enum item_format format;
    } formats[] = {
        {'b', ITEM_BOOL},   {'i', ITEM_INT8},   {'u', ITEM_UINT8},  {'i', ITEM_INT16},   {'u', ITEM_UINT16},  {'i', ITEM_INT32},
        {'u', ITEM_UINT32}, {'i', ITEM_INT64},  {'u', ITEM_UINT64}, {'f', ITEM_FLOAT16}, {'f', ITEM_FLOAT32}, {'f', ITEM_FLOAT64},
    };
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
        if (formats[i].kind == kind && item_size(formats[i].format) == size) {
            *format = formats[i].format;
            return true;
        }
    return false;
}

bool format_of_code(const char *code, Py_ssize_t size, enum item_format *format, bool *swapped)
{
    const char *order = "@=<>!";
    *swapped = false;
    if (*code && strchr(order, *code)) {
        bool little = *code == '<', big = *code == '>' || *code == '!';
        *swapped = size > 1 && (PY_LITTLE_ENDIAN ? big : little);
        code++;
    }
    if (!*code || code[1])
        return false;
    /* 'l' has 4 bytes or 8, by prefix and platform: the item size tells which. */
    char kind = strchr("bhilqn", *code) ? 'i' : strchr("BHILQN", *code) ? 'u' : strchr("efd", *code) ? 'f' : *code == '?' ? 'b' : 0;
    return kind && format_of_kind(kind, size, format);
}

bool type_holds(const struct item_type *type, enum item_format format)
{
    return format == type->format || (type->format == ITEM_BOOL && (format == ITEM_INT8 || format == ITEM_UINT8));
}

/* ---- signatures ---------------------------------------------------------------------------------- */

static const struct item_type *type_named(const char *name, size_t length)
{
    for (size_t i = 0; i < sizeof item_types / sizeof *item_types; i++)
        if (strlen(item_types[i].name) == length && strncmp(item_types[i].name, name, length) == 0)
            return &item_types[i];
    return NULL;
}

/* What is left to read of "RESULT(TYPE NAME, TYPE[] NAME, TYPE NAME=DEFAULT)". */
struct reader {
    const char *text, *at;
};

static int refuse(const struct reader *reader, const char *why)
{
    PyErr_Format(PyExc_ValueError,
                 "signature '%s': %s; accepted: a result type (or two of one type in parentheses) and one to %d arguments, "
                 "each with type and name, as in 'float64(float64 x, float64 y)' or 'float64(float64[] x, int64 ddof=0)'; "
                 "the types are int64, uint64, int32, uint8, float64, float32, bool",
                 reader->text, why, GILFREE_ARGUMENTS_MAX);
    return -1;
}

static bool skip(struct reader *reader, const char *token)
{
    size_t length = strlen(token);
    if (strncmp(reader->at, token, length) != 0)
        return false;
    reader->at += length;
    reader->at += strspn(reader->at, " ");
    return true;
}

/* The length of the word that begins here; `at` moves behind it. */
static size_t read_word(struct reader *reader, const char **word)
{
    *word = reader->at;
    size_t length = strspn(reader->at, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");
    reader->at += length;
    reader->at += strspn(reader->at, " ");
    return length;
}

static const struct item_type *read_type(struct reader *reader)
{
    const char *word;
    size_t length = read_word(reader, &word);
    return type_named(word, length);
}

static int read_results(struct reader *reader, struct signature *signature)
{
    bool are_several = skip(reader, "(");
    signature->results = 0;
    do {
        const struct item_type *type = read_type(reader);
        if (!type || (signature->results && type != signature->result))
            return refuse(reader, "the result has no known type, or two results differ in it");
        signature->result = type;
        if (++signature->results > GILFREE_RESULTS_MAX)
            return refuse(reader, "there are too many results");
    } while (are_several && skip(reader, ","));
    if (are_several && (signature->results == 1 || !skip(reader, ")")))
        return refuse(reader, "the results do not end as such");
    return 0;
}

static int read_argument(struct reader *reader, struct signature *signature)
{
    if (signature->count == GILFREE_ARGUMENTS_MAX)
        return refuse(reader, "there are too many arguments");
    struct parameter *argument = &signature->arguments[signature->count];
    const char *word;
    argument->type = read_type(reader);
    if (!argument->type)
        return refuse(reader, "an argument has no known type");
    signature->formats[signature->count] = argument->type->format;
    argument->is_array = skip(reader, "[]");
    signature->is_reduction = signature->is_reduction || argument->is_array;
    size_t length = read_word(reader, &word);
    if (length == 0 || length >= NAME_SIZE)
        return refuse(reader, "an argument has no name, or one that is too long");
    memcpy(argument->name, word, length);
    argument->name[length] = '\0';
    argument->has_default = skip(reader, "=");
    if (argument->has_default) {
        char *end;
        argument->default_value = strtoll(reader->at, &end, 10);
        if (end == reader->at || argument->is_array || argument->type->format != ITEM_INT64)
            return refuse(reader, "a default is no whole number, or not that of an int64");
        reader->at = end;
    } else if (signature->required++ < signature->count) {
        return refuse(reader, "an argument without a default follows one that has one");
    }
    signature->count++;
    return 0;
}

int signature_parse(const char *text, struct signature *signature)
{
    struct reader reader = {text, text};
    *signature = (struct signature){0};
    if (read_results(&reader, signature) < 0)
        return -1;
    for (const char *open = "("; skip(&reader, open); open = ",")
        if (read_argument(&reader, signature) < 0)
            return -1;
    if (signature->count == 0 || strcmp(reader.at, ")") != 0)
        return refuse(&reader, "it does not end as one");
    return 0;
}
