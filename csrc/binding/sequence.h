/* sequence - an iterable of numbers, read into an array of its own. */
#ifndef GILFREE_SEQUENCE_H
#define GILFREE_SEQUENCE_H

#include "array.h"

/* int64 if every number is whole, float64 from the first one on that is not, and if there is none at all. 1, to
 * be closed, or -1 with an exception. */
int sequence_open(PyObject *object, struct array *array);

/* An itertools.repeat without an end? 1 with a new reference to what it repeats, 0 if it is something else, -1 with
 * an exception. One that ends is left to be read, as `map` would read it. */
int endless_repeat(PyObject *object, PyObject **repeated);

#endif
