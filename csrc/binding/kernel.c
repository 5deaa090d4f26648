#include "kernel.h"

#include <stddef.h>
#include <string.h>

typedef struct {
    PyObject_HEAD
    const gilfree_row *row;
    const char *family;
    struct signature signature;
    _Atomic float cost; /* nanoseconds an item took in the last call */
} Kernel;

PyObject *kernel_new(struct state *state, const gilfree_row *row, const char *family)
{
    allocfunc allocate = (allocfunc)PyType_GetSlot(state->kernel_type, Py_tp_alloc);
    Kernel *self = (Kernel *)allocate(state->kernel_type, 0);
    if (!self)
        return NULL;
    self->row = row;
    self->family = family;
    if (signature_parse(row->signature, &self->signature) < 0)
        Py_CLEAR(self);
    return (PyObject *)self;
}

static int kernel_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    return 0;
}

static void kernel_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    PyObject_GC_UnTrack(self);
    release(self);
    Py_DECREF(type);
}

/* ---- calling ------------------------------------------------------------------------------------- */

/* Runs a call whose arguments are open, and frees it. `out` may be NULL. */
static PyObject *finish_call(Kernel *self, struct state *state, struct call *call, PyObject *out,
                             enum result_kind without_buffer, const struct options *options)
{
    PyObject *taken = NULL, **pending = call->arguments.pending;
    if (result_open(&call->result, &call->arguments, out, without_buffer) == 0) {
        if (call_run(state, call, options, &self->cost) == 0) {
            if (pending[0]) {
                PyErr_Restore(pending[0], pending[1], pending[2]);
                pending[0] = pending[1] = pending[2] = NULL;
            } else {
                taken = result_take(&call->result, call->arguments.n);
            }
        }
        result_close(&call->result);
    }
    call_free(call);
    return taken;
}

PyObject *kernel_map(PyObject *kernel, PyObject *const *iterables, Py_ssize_t count, bool strict, PyObject *out,
                     const struct options *options)
{
    Kernel *self = (Kernel *)kernel;
    struct state *state = state_of_type(Py_TYPE(kernel));
    struct call *call = call_new(self->row, &self->signature);
    if (!call)
        return NULL;
    if (arguments_from_iterables(&call->arguments, iterables, count, strict, options) < 0) {
        call_free(call);
        return NULL;
    }
    return finish_call(self, state, call, out == Py_None ? NULL : out, RESULT_LIST, options);
}

/* workers= and out= of a plain call. */
static int parse_keywords(Kernel *self, PyObject *kwargs, PyObject **workers, PyObject **out)
{
    PyObject *key, *value;
    Py_ssize_t position = 0;
    *workers = *out = NULL;
    while (kwargs && PyDict_Next(kwargs, &position, &key, &value)) {
        if (PyUnicode_CompareWithASCIIString(key, "workers") == 0) {
            *workers = value;
        } else if (PyUnicode_CompareWithASCIIString(key, "out") == 0) {
            *out = value == Py_None ? NULL : value;
        } else {
            PyErr_Format(PyExc_TypeError, "%s got an unexpected keyword argument '%U'; accepted: workers, out",
                         self->row->name, key);
            return -1;
        }
    }
    return 0;
}

static PyObject *kernel_call(PyObject *kernel, PyObject *args, PyObject *kwargs)
{
    Kernel *self = (Kernel *)kernel;
    struct state *state = state_of_type(Py_TYPE(kernel));
    PyObject *workers, *out, *values[GILFREE_ARGUMENTS_MAX];
    struct options options;
    if (parse_keywords(self, kwargs, &workers, &out) < 0 ||
        options_parse(&options, state, workers, NULL, NULL, NULL) < 0)
        return NULL;
    Py_ssize_t count = PyTuple_Size(args);
    for (Py_ssize_t i = 0; i < count && i < GILFREE_ARGUMENTS_MAX; i++)
        values[i] = PyTuple_GetItem(args, i);
    struct call *call = call_new(self->row, &self->signature);
    if (!call)
        return NULL;
    if (arguments_from_values(&call->arguments, values, count) < 0) {
        call_free(call);
        return NULL;
    }
    if (out && !call->arguments.model) {
        PyErr_Format(PyExc_TypeError, "%s: out was given and every argument is a number; accepted with out: a buffer "
                     "as an argument", self->row->name);
        call_free(call);
        return NULL;
    }
    return finish_call(self, state, call, out, RESULT_NUMBER, &options);
}

/* ---- facts --------------------------------------------------------------------------------------- */

static PyObject *kernel_repr(PyObject *self)
{
    return PyUnicode_FromFormat("<kernel %s: %s>", ((Kernel *)self)->row->name, ((Kernel *)self)->row->signature);
}

/* Pickled by name: as gilfree.kernels.NAME. */
static PyObject *kernel_reduce(PyObject *self, PyObject *unused)
{
    (void)unused;
    return PyUnicode_FromString(((Kernel *)self)->row->name);
}

static PyObject *get_name(PyObject *self, void *closure)
{
    (void)closure;
    return PyUnicode_FromString(((Kernel *)self)->row->name);
}

static PyObject *get_module(PyObject *self, void *closure)
{
    (void)self, (void)closure;
    return PyUnicode_FromString("gilfree.kernels");
}

static PyObject *get_signature(PyObject *self, void *closure)
{
    (void)closure;
    return PyUnicode_FromString(((Kernel *)self)->row->signature);
}

static PyObject *get_family(PyObject *self, void *closure)
{
    (void)closure;
    return PyUnicode_FromString(((Kernel *)self)->family);
}

static PyObject *get_domain(PyObject *self, void *closure)
{
    const gilfree_row *row = ((Kernel *)self)->row;
    (void)closure;
    if (!gilfree_has_domain(row))
        Py_RETURN_NONE;
    return Py_BuildValue("LL", (long long)row->low, (long long)row->high);
}

static PyObject *get_doc(PyObject *self, void *closure)
{
    (void)closure;
    return PyUnicode_FromString(((Kernel *)self)->row->doc);
}

static PyGetSetDef kernel_getset[] = {
    {"__name__", get_name, NULL, NULL, NULL},
    {"__qualname__", get_name, NULL, NULL, NULL},
    {"__module__", get_module, NULL, NULL, NULL},
    {"__doc__", get_doc, NULL, NULL, NULL},
    {"signature", get_signature, NULL, PyDoc_STR("Result type, then type and name of each argument."), NULL},
    {"family", get_family, NULL, PyDoc_STR("The table, and file, the kernel stands in."), NULL},
    {"domain", get_domain, NULL,
     PyDoc_STR("The least and the greatest int64 argument the kernel is defined for; None if it is defined for all."), NULL},
    {0},
};

static PyMethodDef kernel_methods[] = {
    {"__reduce__", kernel_reduce, METH_NOARGS, NULL},
    {0},
};

static PyType_Slot kernel_slots[] = {
    {Py_tp_traverse, (void *)kernel_traverse},
    {Py_tp_dealloc, (void *)kernel_dealloc},
    {Py_tp_call, (void *)kernel_call},
    {Py_tp_repr, (void *)kernel_repr},
    {Py_tp_getset, kernel_getset},
    {Py_tp_methods, kernel_methods},
    {0},
};

PyType_Spec kernel_spec = {
    .name = "gilfree.Kernel",
    .basicsize = sizeof(Kernel),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = kernel_slots,
};
