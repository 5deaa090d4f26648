/* cancel - gilfree.Cancel, the flag that stops the calls it was given to. */
#ifndef GILFREE_BINDING_CANCEL_H
#define GILFREE_BINDING_CANCEL_H

#include "loop.h"
#include "state.h"

/* Of an instance of state->cancel_type; lives as long as that. */
struct cancel *cancel_of(PyObject *object);

#endif
