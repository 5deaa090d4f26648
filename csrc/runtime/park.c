#include "park.h"

#include "clock.h"

#if defined(__linux__) && !defined(GILFREE_NO_FUTEX)

#include <linux/futex.h>
#include <limits.h>
#include <sys/syscall.h>
#include <unistd.h>

void park(_Atomic uint32_t *word, uint32_t expected, int64_t timeout)
{
    struct timespec relative = {.tv_sec = timeout / SECOND, .tv_nsec = timeout % SECOND};
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, expected, timeout == NEVER ? NULL : &relative, NULL, 0);
}

void unpark(_Atomic uint32_t *word)
{
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

void park_after_fork(void) {}

#else

#include <pthread.h>

/* A sleeper checks the word under the bucket's mutex, and a waker takes that mutex after changing the
 * word: so either the sleeper sees the change, or it already waits when the waker broadcasts. */
#define BUCKETS 64

static struct bucket {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
} buckets[BUCKETS];

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void make_buckets(void)
{
    for (int i = 0; i < BUCKETS; i++) {
        pthread_mutex_init(&buckets[i].mutex, NULL);
        pthread_cond_init(&buckets[i].changed, NULL);
    }
}

static struct bucket *bucket_of(_Atomic uint32_t *word)
{
    pthread_once(&once, make_buckets);
    return &buckets[((uintptr_t)word >> 4) % BUCKETS];
}

void park(_Atomic uint32_t *word, uint32_t expected, int64_t timeout)
{
    struct bucket *bucket = bucket_of(word);
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    /* A change of the wall clock can end the sleep late: a day is the longest anyone waits for that. */
    int64_t nanoseconds = until.tv_nsec + (timeout < 86400 * SECOND ? timeout : 86400 * SECOND);
    until.tv_sec += nanoseconds / SECOND;
    until.tv_nsec = nanoseconds % SECOND;
    pthread_mutex_lock(&bucket->mutex);
    if (atomic_load(word) == expected)
        pthread_cond_timedwait(&bucket->changed, &bucket->mutex, &until);
    pthread_mutex_unlock(&bucket->mutex);
}

void unpark(_Atomic uint32_t *word)
{
    struct bucket *bucket = bucket_of(word);
    pthread_mutex_lock(&bucket->mutex);
    pthread_cond_broadcast(&bucket->changed);
    pthread_mutex_unlock(&bucket->mutex);
}

void park_after_fork(void)
{
    pthread_once(&once, make_buckets);
    make_buckets();
}

#endif
