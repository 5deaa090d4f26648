/* Parking: no wake-up is lost, a changed word keeps no one asleep, a timeout ends. */
#include "check.h"
#include "park.h"

static _Atomic uint32_t word;

static void a_changed_word_is_not_slept_on(void)
{
    atomic_store(&word, 1);
    park(&word, 0, NEVER);
}

static void a_timeout_ends_the_sleep(void)
{
    atomic_store(&word, 0);
    park(&word, 0, 0);
    park(&word, 0, 1);
    park(&word, 0, 2 * MILLISECOND);
}

static void waking_no_one_is_harmless(void)
{
    atomic_store(&word, 0);
    for (int i = 0; i < 1000; i++)
        unpark(&word);
    park(&word, 1, NEVER);
}

/* Each waits for its turn, and gives it to the other: one lost wake-up, and both wait for good. */
#define TURNS (SLOW ? 5000 : 10000)

static void take_turns(uint32_t mine, bool parks)
{
    for (int turn = 0; turn < TURNS; turn++) {
        for (uint32_t now, looks = 0; (now = atomic_load(&word)) != mine; looks++)
            if (parks)
                park(&word, now, NEVER);
            else if (looks % 1000 == 999)
                sched_yield();
        atomic_store(&word, !mine);
        unpark(&word);
    }
}

static void *take_odd_turns(void *argument)
{
    take_turns(1, *(bool *)argument);
    return NULL;
}

/* A partner that sleeps wakes the other long after it went to sleep; one that never does, just when it is about to. */
static void no_wake_up_is_lost(void)
{
    for (int parks = 0; parks <= 1; parks++) {
        bool other_parks = parks;
        atomic_store(&word, 0);
        pthread_t other = start_thread(take_odd_turns, &other_parks);
        take_turns(0, true);
        join_thread(other);
    }
}

/* Many words at once, some of them in one bucket of the table. */
#define SLEEPERS 200

static _Atomic uint32_t words[SLEEPERS], together;
static atomic_int awake;

static void *sleep_on_one(void *argument)
{
    _Atomic uint32_t *own = argument;
    while (atomic_load(own) == 0)
        park(own, 0, NEVER);
    atomic_fetch_add(&awake, 1);
    return NULL;
}

static void every_word_wakes_its_own(void)
{
    pthread_t sleepers[SLEEPERS];
    atomic_store(&awake, 0);
    for (int i = 0; i < SLEEPERS; i++)
        sleepers[i] = start_thread(sleep_on_one, &words[i]);
    for (int i = 0; i < SLEEPERS; i++) {
        atomic_store(&words[i], 1);
        unpark(&words[i]);
        WAIT_FOR(atomic_load(&awake) == i + 1);
    }
    for (int i = 0; i < SLEEPERS; i++)
        join_thread(sleepers[i]);
}

static void one_word_wakes_all(void)
{
    pthread_t sleepers[SLEEPERS];
    atomic_store(&awake, 0);
    for (int i = 0; i < SLEEPERS; i++)
        sleepers[i] = start_thread(sleep_on_one, &together);
    atomic_store(&together, 1);
    unpark(&together);
    WAIT_FOR(atomic_load(&awake) == SLEEPERS);
    for (int i = 0; i < SLEEPERS; i++)
        join_thread(sleepers[i]);
}

int main(void)
{
    RUN(a_changed_word_is_not_slept_on);
    RUN(a_timeout_ends_the_sleep);
    RUN(waking_no_one_is_harmless);
    RUN(no_wake_up_is_lost);
    RUN(every_word_wakes_its_own);
    RUN(one_word_wakes_all);
    return 0;
}
