/* state - Python.h as this folder uses it, and everything the module owns.
 *
 * Written to the limited API of 3.11 (a free-threaded build has none). There is no global PyObject: each
 * interpreter that imports the module has a state of its own. */
#ifndef GILFREE_STATE_H
#define GILFREE_STATE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdbool.h>

struct state {
    PyTypeObject *kernel_type;
    PyTypeObject *cancel_type;
    bool is_main_interpreter; /* the one whose main thread gets signals */
};

/* Of a module, and of a type that was made for it. */
static inline struct state *state_of_module(PyObject *module)
{
    return PyModule_GetState(module);
}

static inline struct state *state_of_type(PyTypeObject *type)
{
    return PyType_GetModuleState(type);
}

extern PyType_Spec kernel_spec;
extern PyType_Spec cancel_spec;

#endif
