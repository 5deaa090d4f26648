/* park - put a thread to sleep until a word in memory changes.
 *
 *     the sleeper                              the waker
 *     publish "I may sleep" in *word           change *word (to something else than expected)
 *     park(word, expected, timeout)            unpark(word)
 *     look at *word again
 *
 * No wake-up is lost: park compares *word with `expected` and goes to sleep as one step, as seen by
 * unpark. It may return early, so the sleeper must look again. The memory of the word may be gone by
 * the time of unpark: only its address is used, and a sleeper on memory reused there just looks again.
 *
 * Linux: a futex. Elsewhere, or with GILFREE_NO_FUTEX: a table of mutexes and condition variables.
 */
#ifndef GILFREE_PARK_H
#define GILFREE_PARK_H

#include <stdatomic.h>
#include <stdint.h>

/* timeout in nanoseconds; NEVER sleeps until woken. */
void park(_Atomic uint32_t *word, uint32_t expected, int64_t timeout);

/* Wakes every thread parked on this word. */
void unpark(_Atomic uint32_t *word);

/* In the child of a fork: no one is parked. */
void park_after_fork(void);

#endif
