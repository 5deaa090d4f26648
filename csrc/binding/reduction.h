/* reduction - a call of a kernel that makes numbers of arrays.
 *
 * Such a kernel is several rows with one name. For each array the first row is taken that its items can be cast to
 * safely, integers never to floats where there is a row for integers. */
#ifndef GILFREE_REDUCTION_H
#define GILFREE_REDUCTION_H

#include "arguments.h"
#include "options.h"

/* Is there a row for item `index` (-1: the only one), and are its arrays of one length? 0, or -1 with an exception. */
int reduction_check_item(const struct arguments *arguments, Py_ssize_t index);

/* The one result of arguments_from_item, or NULL with an exception. Takes over the arguments' memory, `call`. */
PyObject *reduction_call(struct state *state, const struct arguments *arguments, const struct options *options,
                         _Atomic float *cost);

/* The results of all items: in `out` unless that is NULL, as an array if the arguments were one, otherwise a list. */
PyObject *reduction_map(struct state *state, struct arguments *arguments, PyObject *out, const struct options *options,
                        _Atomic float *cost);

#endif
