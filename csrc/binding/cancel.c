#include "cancel.h"

typedef struct {
    PyObject_HEAD
    struct cancel *cancel;
} Cancel;

struct cancel *cancel_of(PyObject *object)
{
    return ((Cancel *)object)->cancel;
}

static PyObject *cancel_new_object(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    if (PyTuple_Size(args) > 0 || (kwargs && PyDict_Size(kwargs) > 0)) {
        PyErr_SetString(PyExc_TypeError, "Cancel() takes no arguments");
        return NULL;
    }
    allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    Cancel *self = (Cancel *)allocate(type, 0);
    if (!self)
        return NULL;
    self->cancel = cancel_new();
    if (!self->cancel) {
        Py_DECREF(self);
        return PyErr_NoMemory();
    }
    return (PyObject *)self;
}

static void cancel_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    if (cancel_of(self))
        cancel_release(cancel_of(self));
    release(self);
    Py_DECREF(type);
}

static PyObject *cancel_method_set(PyObject *self, PyObject *unused)
{
    (void)unused;
    cancel_set(cancel_of(self));
    Py_RETURN_NONE;
}

static PyObject *cancel_method_is_set(PyObject *self, PyObject *unused)
{
    (void)unused;
    return PyBool_FromLong(cancel_is_set(cancel_of(self)));
}

static PyObject *cancel_repr(PyObject *self)
{
    return PyUnicode_FromFormat("<gilfree.Cancel, %s>", cancel_is_set(cancel_of(self)) ? "set" : "not set");
}

static PyMethodDef cancel_methods[] = {
    {"set", cancel_method_set, METH_NOARGS,
     PyDoc_STR("set($self, /)\n--\n\n"
               "Stop every call that was given this object, running or yet to come. From any thread, any number of "
               "times; there is no way back.")},
    {"is_set", cancel_method_is_set, METH_NOARGS, PyDoc_STR("is_set($self, /)\n--\n\nWas set() called?")},
    {0},
};

static PyType_Slot cancel_slots[] = {
    {Py_tp_doc, (void *)PyDoc_STR("Cancel()\n--\n\n"
                                  "Stops calls from another thread.\n\n"
                                  "Pass it as cancel= to any number of calls; set() then makes each of them raise "
                                  "concurrent.futures.CancelledError within milliseconds.")},
    {Py_tp_new, (void *)cancel_new_object},
    {Py_tp_dealloc, (void *)cancel_dealloc},
    {Py_tp_repr, (void *)cancel_repr},
    {Py_tp_methods, cancel_methods},
    {0},
};

PyType_Spec cancel_spec = {
    .name = "gilfree.Cancel",
    .basicsize = sizeof(Cancel),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = cancel_slots,
};
