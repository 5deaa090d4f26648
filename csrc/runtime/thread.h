/* thread - a thread that Python does not know of. */
#ifndef GILFREE_THREAD_H
#define GILFREE_THREAD_H

#include <pthread.h>
#include <signal.h>

/* All signals are blocked in it: their handlers are Python's. Returns 0 or an errno. */
static inline int thread_start(pthread_t *thread, void *(*body)(void *), void *context)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(thread, NULL, body, context);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error;
}

#endif
