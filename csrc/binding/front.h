/* front - gilfree.parallel_map, the front door. */
#ifndef GILFREE_FRONT_H
#define GILFREE_FRONT_H

#include "state.h"

extern const char parallel_map_doc[];

PyObject *parallel_map(PyObject *module, PyObject *const *args, Py_ssize_t count, PyObject *names);

#endif
