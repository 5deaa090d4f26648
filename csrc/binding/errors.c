#include "errors.h"

#include <string.h>

static const struct {
    const char *message, *exception;
} errors[] = {
    [GILFREE_OK] = {"", ""},
#define ERROR_ENTRY(code, message, exception) [GILFREE_##code] = {message, exception},
    GILFREE_ERRORS(ERROR_ENTRY)
#undef ERROR_ENTRY
};

static bool is_known(gilfree_error error)
{
    return error > GILFREE_OK && (size_t)error < sizeof errors / sizeof *errors;
}

const char *error_message(gilfree_error error)
{
    return is_known(error) ? errors[error].message : "the kernel failed with a code that is none of gilfree.h's";
}

/* "module.Name", imported only now: an exception that is never raised costs no import. */
static PyObject *exception_named(const char *dotted)
{
    const char *dot = strrchr(dotted, '.');
    PyObject *name = PyUnicode_FromStringAndSize(dotted, dot - dotted);
    PyObject *module = name ? PyImport_Import(name) : NULL;
    PyObject *exception = module ? PyObject_GetAttrString(module, dot + 1) : NULL;
    Py_XDECREF(name);
    Py_XDECREF(module);
    return exception;
}

void *error_raise(gilfree_error error, PyObject *details)
{
    if (!details)
        return NULL;
    PyObject *exception = exception_named(is_known(error) ? errors[error].exception : "builtins.RuntimeError");
    if (exception)
        PyErr_SetObject(exception, details);
    Py_XDECREF(exception);
    Py_DECREF(details);
    return NULL;
}

void *error_at(PyObject *where)
{
    PyObject *type, *value, *traceback;
    if (!where)
        return NULL;
    PyErr_Fetch(&type, &value, &traceback);
    PyErr_NormalizeException(&type, &value, &traceback);
    /* What has a traceback came from a function in Python. */
    if (!traceback && (type == PyExc_TypeError || type == PyExc_OverflowError)) {
        PyErr_Format(type, "%U: %S", where, value);
        Py_XDECREF(type);
        Py_XDECREF(value);
    } else if (PyErr_GivenExceptionMatches(type, PyExc_StopIteration)) {
        /* Whoever iterates over the results would take it for their end. */
        PyObject *outer_type, *outer, *outer_traceback;
        PyErr_Format(PyExc_RuntimeError, "%U: converting it raised StopIteration", where);
        PyErr_Fetch(&outer_type, &outer, &outer_traceback);
        PyErr_NormalizeException(&outer_type, &outer, &outer_traceback);
        PyException_SetCause(outer, value);
        PyErr_Restore(outer_type, outer, outer_traceback);
        Py_XDECREF(type);
        Py_XDECREF(traceback);
    } else {
        PyObject *noted = PyObject_CallMethod(value, "add_note", "O", where);
        if (noted)
            PyErr_Restore(type, value, traceback);
        else
            Py_XDECREF(type), Py_XDECREF(value), Py_XDECREF(traceback);
        Py_XDECREF(noted);
    }
    Py_DECREF(where);
    return NULL;
}
