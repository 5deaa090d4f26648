/* module - gilfree._core: what Python sees of the core. */
#include <string.h>

#include "cpus.h"
#include "front.h"
#include "kernel.h"
#include "kernels.h"
#include "memory.h"
#include "parent.h"
#include "pool.h"

/* ---- functions ----------------------------------------------------------------------------------- */

static PyObject *module_check_options(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    struct options options;
    if (count != 4)
        return PyErr_Format(PyExc_TypeError, "_core.check_options takes 4 arguments, %zd given", count);
    if (options_parse(&options, state_of_module(module), args[0], args[1], args[2], args[3]) < 0)
        return NULL;
    return PyLong_FromLong(options.workers);
}

static PyObject *module_cpus(PyObject *module, PyObject *unused)
{
    (void)module, (void)unused;
    struct cpus cpus = cpus_here();
    return Py_BuildValue("{s:i,s:i,s:i,s:d}", "count", cpus.count, "online", cpus.online, "affinity", cpus.affinity,
                         "quota", cpus.quota);
}

static PyObject *module_set_workers(PyObject *module, PyObject *workers)
{
    struct options options;
    if (workers != Py_None && options_parse(&options, state_of_module(module), workers, NULL, NULL, NULL) < 0)
        return NULL;
    int before;
    Py_BEGIN_ALLOW_THREADS
    before = pool_resize(workers == Py_None ? 0 : options.workers);
    Py_END_ALLOW_THREADS
    if (before == 0)
        Py_RETURN_NONE;
    return PyLong_FromLong(before);
}

static PyObject *module_pool(PyObject *module, PyObject *unused)
{
    struct options options;
    (void)unused;
    if (options_parse(&options, state_of_module(module), NULL, NULL, NULL, NULL) < 0)
        return NULL;
    struct pool_facts facts = pool_facts();
    return Py_BuildValue("{s:i,s:i,s:i,s:i,s:L}", "workers", options.workers, "helpers", facts.helpers, "busy",
                         facts.busy, "create_error", facts.create_error, "wake_ns", (long long)pool_wake_cost());
}

/* Called by atexit: what daemon threads still run ends now, and never comes back for the GIL. */
static PyObject *module_stop(PyObject *module, PyObject *unused)
{
    (void)unused;
    loop_stop_all(state_of_module(module));
    Py_RETURN_NONE;
}

#ifdef GILFREE_STRESS
static PyObject *module_fail_allocations_after(PyObject *module, PyObject *count)
{
    (void)module;
    long after = PyLong_AsLong(count);
    if (after == -1 && PyErr_Occurred())
        return NULL;
    memory_fail_after(after);
    Py_RETURN_NONE;
}
#endif

/* Between the steps of a `with` statement a signal handler may run, and what it raises can leave the lock held for
 * ever; in here none runs but inside `function`. */
static PyObject *module_call_locked(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    (void)module;
    if (count < 2)
        return PyErr_Format(PyExc_TypeError, "_core.call_locked takes a lock and a function at least, %zd given", count);
    PyObject *arguments = PyTuple_New(count - 2);
    if (!arguments)
        return NULL;
    for (Py_ssize_t i = 2; i < count; i++)
        PyTuple_SetItem(arguments, i - 2, Py_NewRef(args[i]));
    PyObject *result = NULL, *acquired = PyObject_CallMethod(args[0], "acquire", NULL);
    if (acquired) {
        result = PyObject_Call(args[1], arguments, NULL);
        PyObject *type, *error, *trace, *handled = NULL;
        PyErr_Fetch(&type, &error, &trace);
        if (type) { /* the context of what release() may raise, as in a `with` statement */
            PyErr_NormalizeException(&type, &error, &trace);
            if (trace)
                PyException_SetTraceback(error, trace);
            handled = PyErr_GetHandledException();
            PyErr_SetHandledException(error);
        }
        PyObject *released = PyObject_CallMethod(args[0], "release", NULL);
        if (type)
            PyErr_SetHandledException(handled);
        if (released) {
            PyErr_Restore(type, error, trace);
        } else {
            Py_CLEAR(result);
            Py_XDECREF(type);
            Py_XDECREF(error);
            Py_XDECREF(trace);
        }
        Py_XDECREF(handled);
        Py_XDECREF(released);
        Py_DECREF(acquired);
    }
    Py_DECREF(arguments);
    return result;
}

static PyMethodDef module_methods[] = {
    {"parallel_map", (PyCFunction)(void (*)(void))parallel_map, METH_FASTCALL | METH_KEYWORDS, parallel_map_doc},
    {"check_options", (PyCFunction)(void (*)(void))module_check_options, METH_FASTCALL,
     PyDoc_STR("check_options($module, workers, chunksize, timeout, cancel, /)\n--\n\n"
               "Raise if an option of parallel_map is not acceptable; return the number of workers it means.")},
    {"call_locked", (PyCFunction)(void (*)(void))module_call_locked, METH_FASTCALL,
     PyDoc_STR("call_locked($module, lock, function, /, *args)\n--\n\n"
               "`with lock: return function(*args)`, which releases the lock whenever Ctrl-C comes.")},
    {"end_with_parent", parent_end_with, METH_O,
     PyDoc_STR("end_with_parent($module, fd, /)\n--\n\n"
               "End this process when nobody is left to write to the pipe `fd`, even while the GIL is held: at once "
               "if it is at work, else after a second.")},
    {"set_at_work", parent_set_at_work, METH_O,
     PyDoc_STR("set_at_work($module, is_at_work, /)\n--\n\nIs this process, a worker, at work?")},
    {"cpus", module_cpus, METH_NOARGS,
     PyDoc_STR("cpus($module, /)\n--\n\nThe CPUs this process may use, and what limits them; quota 0 is none.")},
    {"set_workers", module_set_workers, METH_O,
     PyDoc_STR("set_workers($module, workers, /)\n--\n\nSet the pool's size; return what was set before, or None.")},
    {"pool", module_pool, METH_NOARGS, PyDoc_STR("pool($module, /)\n--\n\nThe state of the pool.")},
    {"stop", module_stop, METH_NOARGS,
     PyDoc_STR("stop($module, /)\n--\n\nStop every running call of this interpreter.")},
#ifdef GILFREE_STRESS
    {"fail_allocations_after", module_fail_allocations_after, METH_O,
     PyDoc_STR("fail_allocations_after($module, count, /)\n--\n\n"
               "Let so many allocations succeed and fail the next; negative: fail none.")},
#endif
    {0},
};

/* ---- the module ---------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    const gilfree_row *rows;
} families[] = {
#define FAMILY_ENTRY(family) {#family, family##_rows},
    GILFREE_FAMILIES(FAMILY_ENTRY)
#undef FAMILY_ENTRY
};

/* A tuple of the kernels of all families, in the order of the tables. */
static int add_kernels(PyObject *module)
{
    PyObject *list = PyList_New(0), *kernels = NULL;
    if (!list)
        return -1;
    for (size_t f = 0; f < sizeof families / sizeof *families; f++) {
        for (const gilfree_row *row = families[f].rows, *next; row->name; row = next) {
            for (next = row + 1; next->name && strcmp(next->name, row->name) == 0;)
                next++;
            PyObject *kernel = kernel_new(state_of_module(module), row, (int)(next - row), families[f].name);
            int failed = kernel ? PyList_Append(list, kernel) : -1;
            Py_XDECREF(kernel);
            if (failed)
                goto done;
        }
    }
    kernels = PyList_AsTuple(list);
done:
    Py_DECREF(list);
    int failed = kernels ? PyModule_AddObjectRef(module, "kernels", kernels) : -1;
    Py_XDECREF(kernels);
    return failed;
}

static PyTypeObject *add_type(PyObject *module, PyType_Spec *spec)
{
    PyTypeObject *type = (PyTypeObject *)PyType_FromModuleAndSpec(module, spec, NULL);
    if (type && PyModule_AddType(module, type) < 0)
        Py_CLEAR(type);
    return type;
}

static int stop_at_exit(PyObject *module)
{
    PyObject *atexit = PyImport_ImportModule("atexit");
    PyObject *stop = atexit ? PyObject_GetAttrString(module, "stop") : NULL;
    PyObject *registered = stop ? PyObject_CallMethod(atexit, "register", "O", stop) : NULL;
    int failed = registered ? 0 : -1;
    Py_XDECREF(atexit);
    Py_XDECREF(stop);
    Py_XDECREF(registered);
    return failed;
}

static int module_exec(PyObject *module)
{
    struct state *state = state_of_module(module);
    state->is_main_interpreter = PyInterpreterState_GetID(PyInterpreterState_Get()) == 0;
    state->kernel_type = add_type(module, &kernel_spec);
    state->cancel_type = state->kernel_type ? add_type(module, &cancel_spec) : NULL;
    if (!state->cancel_type || add_kernels(module) < 0 || stop_at_exit(module) < 0)
        return -1;
#ifdef GILFREE_STRESS
    return PyModule_AddIntConstant(module, "stress", 1);
#else
    return PyModule_AddIntConstant(module, "stress", 0);
#endif
}

static int module_traverse(PyObject *module, visitproc visit, void *arg)
{
    struct state *state = state_of_module(module);
    Py_VISIT(state->kernel_type);
    Py_VISIT(state->cancel_type);
    return 0;
}

static int module_clear(PyObject *module)
{
    struct state *state = state_of_module(module);
    Py_CLEAR(state->kernel_type);
    Py_CLEAR(state->cancel_type);
    return 0;
}

static void module_free(void *module)
{
    module_clear(module);
}

/* Names of later versions than the limited API this is written to. An interpreter refuses a slot it does
 * not know, so each gets its own list. */
#define SLOT_MULTIPLE_INTERPRETERS 3          /* 3.12: Py_mod_multiple_interpreters */
#define PER_INTERPRETER_GIL ((void *)2)       /* Py_MOD_PER_INTERPRETER_GIL_SUPPORTED */
#define SLOT_GIL 4                            /* 3.13: Py_mod_gil */
#define GIL_NOT_USED ((void *)1)              /* Py_MOD_GIL_NOT_USED */

static PyModuleDef_Slot slots_3_11[] = {
    {Py_mod_exec, (void *)module_exec},
    {0, NULL},
};

static PyModuleDef_Slot slots_3_12[] = {
    {Py_mod_exec, (void *)module_exec},
    {SLOT_MULTIPLE_INTERPRETERS, PER_INTERPRETER_GIL},
    {0, NULL},
};

static PyModuleDef_Slot slots_3_13[] = {
    {Py_mod_exec, (void *)module_exec},
    {SLOT_MULTIPLE_INTERPRETERS, PER_INTERPRETER_GIL},
    {SLOT_GIL, GIL_NOT_USED},
    {0, NULL},
};

#define MODULE_DEFINITION(slots)                                                                              \
    {                                                                                                         \
        PyModuleDef_HEAD_INIT, .m_name = "gilfree._core",                                                     \
        .m_doc = PyDoc_STR("The C core of gilfree: kernels, the loop that runs them, and its workers."),      \
        .m_size = sizeof(struct state), .m_methods = module_methods, .m_slots = slots,                        \
        .m_traverse = module_traverse, .m_clear = module_clear, .m_free = module_free,                        \
    }

static PyModuleDef module_3_11 = MODULE_DEFINITION(slots_3_11);
static PyModuleDef module_3_12 = MODULE_DEFINITION(slots_3_12);
static PyModuleDef module_3_13 = MODULE_DEFINITION(slots_3_13);

PyMODINIT_FUNC PyInit__core(void)
{
    if (Py_Version >= 0x030D0000)
        return PyModuleDef_Init(&module_3_13);
    return PyModuleDef_Init(Py_Version >= 0x030C0000 ? &module_3_12 : &module_3_11);
}
