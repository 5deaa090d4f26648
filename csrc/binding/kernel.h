/* kernel - the one callable type, whatever row is behind it. */
#ifndef GILFREE_KERNEL_H
#define GILFREE_KERNEL_H

#include "call.h"

/* Of `count` rows with one name. A new reference. `family` names the table the rows stand in; both must outlive the
 * process's use of them. */
PyObject *kernel_new(struct state *state, const gilfree_row *rows, int count, const char *family);

/* parallel_map of a kernel: one iterable an argument. `out` may be None. */
PyObject *kernel_map(PyObject *kernel, PyObject *const *iterables, Py_ssize_t count, bool strict, PyObject *out,
                     const struct options *options);

#endif
