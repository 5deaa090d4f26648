/* errors - how what went wrong is said in Python: what was given, where, what is accepted. */
#ifndef GILFREE_ERRORS_H
#define GILFREE_ERRORS_H

#include "gilfree.h"
#include "state.h"

/* Puts `where` in front of the exception that is set: in its message if it is one of Python's own about
 * a value, in a note otherwise, since then somebody's code raised it. Takes over `where`, which may be
 * NULL with a second exception set on top. Returns NULL. */
void *error_at(PyObject *where);

/* Sets the exception of `error`, whose text goes on with `details` (a new str, taken over; or NULL with an
 * exception set, which stays). Returns NULL. */
void *error_raise(gilfree_error error, PyObject *details);

const char *error_message(gilfree_error error);

#endif
