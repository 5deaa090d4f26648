/* parent - a worker process ends when its parent does, whatever runs in it. */
#ifndef GILFREE_BINDING_PARENT_H
#define GILFREE_BINDING_PARENT_H

#include "state.h"

/* The functions of that name of gilfree._core. */
PyObject *parent_end_with(PyObject *module, PyObject *fd);
PyObject *parent_set_at_work(PyObject *module, PyObject *is_at_work);

#endif
