#include "parent.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdint.h>
#include <unistd.h>

#include "thread.h"

#define GRACE_SECONDS 1

/* Of the process, as its parent is. */
static atomic_bool at_work;

/* A function in C can hold the GIL for hours: this thread never asks for it. */
static void *end_with(void *context)
{
    struct pollfd pipe = {.fd = (int)(intptr_t)context}; /* no events: nothing but the end of its writers */
    while (poll(&pipe, 1, -1) < 0 && errno == EINTR)
        ;
    if (!atomic_load(&at_work))
        sleep(GRACE_SECONDS); /* for the main thread to find that out, and to end as a program does */
    _exit(1);
}

PyObject *parent_end_with(PyObject *module, PyObject *fd)
{
    (void)module;
    int number = PyObject_AsFileDescriptor(fd);
    if (number < 0)
        return NULL;
    pthread_t thread;
    errno = thread_start(&thread, end_with, (void *)(intptr_t)number);
    if (errno)
        return PyErr_SetFromErrno(PyExc_OSError);
    pthread_detach(thread);
    Py_RETURN_NONE;
}

PyObject *parent_set_at_work(PyObject *module, PyObject *is_at_work)
{
    (void)module;
    int is = PyObject_IsTrue(is_at_work);
    if (is < 0)
        return NULL;
    atomic_store(&at_work, is);
    Py_RETURN_NONE;
}
