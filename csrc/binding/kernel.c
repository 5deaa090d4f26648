#include "kernel.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "memory.h"
#include "reduction.h"

typedef struct {
    PyObject_HEAD
    const char *family;
    struct variants variants;
    _Atomic float cost; /* nanoseconds an item, or a leaf of a reduction, took in the last call */
} Kernel;

static const gilfree_row *row_of(PyObject *kernel)
{
    return ((Kernel *)kernel)->variants.rows;
}

static const struct signature *signature_of(PyObject *kernel)
{
    return ((Kernel *)kernel)->variants.signatures;
}

/* The rows of one kernel differ in types only: everything else is read from the first. */
static int check_alike(const gilfree_row *row, const struct signature *first, const struct signature *other)
{
    bool alike = first->is_reduction && other->is_reduction && first->count == other->count && first->results == other->results &&
                 first->required == other->required;
    for (int a = 0; alike && a < first->count; a++) {
        const struct parameter *p = &first->arguments[a], *q = &other->arguments[a];
        alike = p->is_array == q->is_array && p->default_value == q->default_value && (p->is_array || p->type == q->type) &&
                strcmp(p->name, q->name) == 0;
    }
    if (!alike)
        PyErr_Format(PyExc_ValueError, "%s: the row '%s' differs from the kernel's first in more than the types of its arrays",
                     row->name, row->signature);
    return alike ? 0 : -1;
}

PyObject *kernel_new(struct state *state, const gilfree_row *rows, int count, const char *family)
{
    allocfunc allocate = (allocfunc)PyType_GetSlot(state->kernel_type, Py_tp_alloc);
    Kernel *self = (Kernel *)allocate(state->kernel_type, 0);
    if (!self)
        return NULL;
    self->family = family;
    self->variants.rows = rows;
    self->variants.count = count;
    self->variants.signatures = memory_resize(NULL, (size_t)count * sizeof *self->variants.signatures);
    if (!self->variants.signatures) {
        Py_DECREF(self);
        return PyErr_NoMemory();
    }
    for (int v = 0; v < count; v++)
        if (signature_parse(rows[v].signature, &self->variants.signatures[v]) < 0 ||
            (v > 0 && check_alike(&rows[v], self->variants.signatures, &self->variants.signatures[v]) < 0)) {
            Py_DECREF(self);
            return NULL;
        }
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
    free(((Kernel *)self)->variants.signatures);
    release(self);
    Py_DECREF(type);
}

/* ---- calling ------------------------------------------------------------------------------------- */

static struct result_form form_of(const struct arguments *arguments)
{
    const struct argument *model = arguments->model;
    return (struct result_form){
        .kernel = arguments->row->name,
        .type = arguments->signature->result,
        .n = arguments->n,
        .model = model,
        .which = model ? (int)(model - arguments->each) : 0,
        .has_shape = model && model->array.ndim > 1,
    };
}

static int check_overlaps(const struct call *call)
{
    const struct arguments *arguments = &call->arguments;
    for (int i = 0; i < arguments->count; i++)
        if (arguments->each[i].source == SOURCE_ARRAY &&
            result_check_overlap(&call->result, arguments->row->name, i, &arguments->each[i].items, true) < 0)
            return -1;
    return 0;
}

/* Runs the call of a map whose arguments are open. `out` may be NULL. */
static PyObject *finish_map(Kernel *self, struct state *state, struct call *call, PyObject *out,
                            enum result_kind without_model, const struct options *options)
{
    PyObject *taken = NULL, **pending = call->arguments.pending;
    struct result_form form = form_of(&call->arguments);
    if (result_open(&call->result, &form, out, without_model) < 0)
        return NULL;
    if ((!out || check_overlaps(call) == 0) && call_run(state, call, options, &self->cost) == 0) {
        if (pending[0]) {
            PyErr_Restore(pending[0], pending[1], pending[2]);
            pending[0] = pending[1] = pending[2] = NULL;
        } else {
            taken = result_take(&call->result, call->arguments.n);
        }
    }
    result_close(&call->result);
    return taken;
}

PyObject *kernel_map(PyObject *kernel, PyObject *const *iterables, Py_ssize_t count, bool strict, PyObject *out,
                     const struct options *options)
{
    Kernel *self = (Kernel *)kernel;
    struct state *state = state_of_type(Py_TYPE(kernel));
    struct call *call = call_new(&self->variants);
    PyObject *result = NULL;
    if (!call)
        return NULL;
    out = out == Py_None ? NULL : out;
    if (arguments_from_iterables(&call->arguments, iterables, count, strict, options) < 0)
        result = NULL;
    else if (signature_of(kernel)->is_reduction)
        result = reduction_map(state, &call->arguments, out, options, &self->cost);
    else
        result = finish_map(self, state, call, out, RESULT_LIST, options);
    call_free(call);
    return result;
}

/* What a plain call was given: one value an argument, NULL where a default stands. */
struct values {
    PyObject *each[GILFREE_ARGUMENTS_MAX];
    Py_ssize_t count;
    PyObject *workers, *out;
};

/* Of the arguments, those with a default may be given by name. */
static int parse_keyword(PyObject *kernel, PyObject *key, PyObject *value, struct values *values)
{
    const struct signature *signature = signature_of(kernel);
    if (!PyUnicode_Check(key)) {
        PyErr_Format(PyExc_TypeError, "%s: the name of a keyword argument is %.80R; accepted: a str", row_of(kernel)->name, key);
        return -1;
    }
    if (PyUnicode_CompareWithASCIIString(key, "workers") == 0) {
        values->workers = value;
        return 0;
    }
    if (!signature->is_reduction && PyUnicode_CompareWithASCIIString(key, "out") == 0) {
        values->out = value == Py_None ? NULL : value;
        return 0;
    }
    PyObject *accepted = PyUnicode_FromString(signature->is_reduction ? "workers" : "workers, out");
    for (int a = 0; accepted && a < signature->count; a++) {
        const struct parameter *parameter = &signature->arguments[a];
        if (!parameter->has_default)
            continue;
        if (PyUnicode_CompareWithASCIIString(key, parameter->name) == 0) {
            Py_DECREF(accepted);
            if (values->each[a]) {
                PyErr_Format(PyExc_TypeError, "%s got multiple values for argument '%U'; accepted: one, by position or by name",
                             row_of(kernel)->name, key);
                return -1;
            }
            values->each[a] = value;
            values->count = values->count > a ? values->count : a + 1;
            return 0;
        }
        PyObject *longer = PyUnicode_FromFormat("%U, %s", accepted, parameter->name);
        Py_DECREF(accepted);
        accepted = longer;
    }
    if (accepted)
        PyErr_Format(PyExc_TypeError, "%s got an unexpected keyword argument '%U'; accepted: %U",
                     row_of(kernel)->name, key, accepted);
    Py_XDECREF(accepted);
    return -1;
}

static int parse_values(PyObject *kernel, PyObject *args, PyObject *kwargs, struct values *values)
{
    PyObject *key, *value;
    Py_ssize_t position = 0;
    *values = (struct values){.count = PyTuple_Size(args)};
    for (Py_ssize_t i = 0; i < values->count && i < GILFREE_ARGUMENTS_MAX; i++)
        values->each[i] = PyTuple_GetItem(args, i);
    while (kwargs && PyDict_Next(kwargs, &position, &key, &value))
        if (parse_keyword(kernel, key, value, values) < 0)
            return -1;
    return 0;
}

static PyObject *call_map(Kernel *self, struct state *state, struct call *call, const struct values *values,
                          const struct options *options)
{
    struct arguments *arguments = &call->arguments;
    if (arguments_from_values(arguments, values->each, values->count) < 0)
        return NULL;
    if (values->out && !arguments->model) {
        PyErr_Format(PyExc_TypeError, "%s: out was given and every argument is a number; accepted with out: a buffer "
                     "as an argument", arguments->row->name);
        return NULL;
    }
    return finish_map(self, state, call, values->out, RESULT_NUMBER, options);
}

static PyObject *kernel_call(PyObject *kernel, PyObject *args, PyObject *kwargs)
{
    Kernel *self = (Kernel *)kernel;
    struct state *state = state_of_type(Py_TYPE(kernel));
    struct values values;
    struct options options;
    PyObject *result;
    if (parse_values(kernel, args, kwargs, &values) < 0 ||
        options_parse(&options, state, values.workers, NULL, NULL, NULL) < 0)
        return NULL;
    struct call *call = call_new(&self->variants);
    if (!call)
        return NULL;
    if (!signature_of(kernel)->is_reduction)
        result = call_map(self, state, call, &values, &options);
    else if (arguments_from_item(&call->arguments, values.each, values.count) < 0)
        result = NULL;
    else
        result = reduction_call(state, &call->arguments, &options, &self->cost);
    call_free(call);
    return result;
}

/* ---- facts --------------------------------------------------------------------------------------- */

static PyObject *kernel_repr(PyObject *self)
{
    const struct variants *variants = &((Kernel *)self)->variants;
    if (variants->count == 1)
        return PyUnicode_FromFormat("<kernel %s: %s>", variants->rows->name, variants->rows->signature);
    return PyUnicode_FromFormat("<kernel %s: %s and %d more>", variants->rows->name, variants->rows->signature,
                                variants->count - 1);
}

/* Pickled by name: as gilfree.kernels.NAME. */
static PyObject *kernel_reduce(PyObject *self, PyObject *unused)
{
    (void)unused;
    return PyUnicode_FromString(row_of(self)->name);
}

static PyObject *get_name(PyObject *self, void *closure)
{
    (void)closure;
    return PyUnicode_FromString(row_of(self)->name);
}

static PyObject *get_module(PyObject *self, void *closure)
{
    (void)self, (void)closure;
    return PyUnicode_FromString("gilfree.kernels");
}

static PyObject *get_signatures(PyObject *self, void *closure)
{
    const struct variants *variants = &((Kernel *)self)->variants;
    PyObject *signatures = PyTuple_New(variants->count);
    (void)closure;
    for (int v = 0; signatures && v < variants->count; v++) {
        PyObject *signature = PyUnicode_FromString(variants->rows[v].signature);
        if (!signature || PyTuple_SetItem(signatures, v, signature) < 0)
            Py_CLEAR(signatures);
    }
    return signatures;
}

static PyObject *get_pattern(PyObject *self, void *closure)
{
    (void)closure;
    return PyUnicode_FromString(signature_of(self)->is_reduction ? "reduce" : "map");
}

static PyObject *get_family(PyObject *self, void *closure)
{
    (void)closure;
    return PyUnicode_FromString(((Kernel *)self)->family);
}

static PyObject *get_domain(PyObject *self, void *closure)
{
    const gilfree_row *row = row_of(self);
    (void)closure;
    if (!gilfree_has_domain(row))
        Py_RETURN_NONE;
    return Py_BuildValue("LL", (long long)row->low, (long long)row->high);
}

static PyObject *get_doc(PyObject *self, void *closure)
{
    (void)closure;
    return PyUnicode_FromString(row_of(self)->doc);
}

static PyGetSetDef kernel_getset[] = {
    {"__name__", get_name, NULL, NULL, NULL},
    {"__qualname__", get_name, NULL, NULL, NULL},
    {"__module__", get_module, NULL, NULL, NULL},
    {"__doc__", get_doc, NULL, NULL, NULL},
    {"signatures", get_signatures, NULL,
     PyDoc_STR("Of each row: the result type, then type and name of each argument. The first that fits is used."), NULL},
    {"pattern", get_pattern, NULL,
     PyDoc_STR("'map': a number for each item; 'reduce': a number for an array."), NULL},
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
