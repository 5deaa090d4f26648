/* check - what the tests of the runtime share.
 *
 * A test is a function without arguments; main runs them in order. A failed check says where and ends the
 * program. Threads meet through atomics, waited for with WAIT_FOR: no test sleeps, and none asserts a duration. */
#ifndef CHECK_H
#define CHECK_H

#include <dirent.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "loop.h"
#include "pool.h"

/* _exit, since other threads may be at work, and this may be the child of a fork. */
#define CHECK(condition)                                                       \
    do {                                                                       \
        if (!(condition)) {                                                    \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);    \
            _exit(1);                                                          \
        }                                                                      \
    } while (0)

#define CHECK_EQUAL(actual, expected)                                                                        \
    do {                                                                                                     \
        long long actual_ = (long long)(actual), expected_ = (long long)(expected);                          \
        if (actual_ != expected_) {                                                                          \
            fprintf(stderr, "%s:%d: %s is %lld, not %lld\n", __FILE__, __LINE__, #actual, actual_, expected_); \
            _exit(1);                                                                                        \
        }                                                                                                    \
    } while (0)

/* For what another thread is bound to bring about; the limit only keeps a failing test from hanging. */
#define WAIT_FOR(condition)                                             \
    do {                                                                \
        int64_t until_ = clock_now() + 20 * SECOND;                     \
        while (!(condition)) {                                          \
            CHECK(clock_now() < until_ && "waited for: " #condition);   \
            sched_yield();                                              \
        }                                                               \
    } while (0)

#define RUN(test) run_test(test, #test)

static inline void run_test(void (*test)(void), const char *name)
{
    int64_t began = clock_now();
    printf("%s ...", name);
    fflush(stdout);
    test();
    printf(" %d ms\n", (int)((clock_now() - began) / MILLISECOND));
    fflush(stdout);
}

/* In the stress build a chunk, if no chunksize is named, holds three items at most, and it may hold the last two; and
 * there are two helpers at most. */
#ifdef GILFREE_STRESS
#define STRESS 1
#else
#define STRESS 0
#endif

/* A loop is many times as expensive. */
#if defined(GILFREE_STRESS) || defined(__SANITIZE_THREAD__)
#define SLOW 1
#else
#define SLOW 0
#endif

#define COUNT(array) ((int)(sizeof(array) / sizeof *(array)))

static const gilfree_item_cost item_costs[] __attribute__((unused)) = {GILFREE_UNKNOWN, GILFREE_POLLS, GILFREE_BRIEF,
                                                                       GILFREE_FLAT};

#define OPTIONS(...) (&(struct loop_options){.timeout = NEVER, __VA_ARGS__})

/* ---- threads and children ------------------------------------------------------------------------- */

static inline pthread_t start_thread(void *(*run)(void *), void *argument)
{
    pthread_t thread;
    CHECK_EQUAL(pthread_create(&thread, NULL, run, argument), 0);
    return thread;
}

static inline void join_thread(pthread_t thread)
{
    CHECK_EQUAL(pthread_join(thread, NULL), 0);
}

static inline void join_child(pid_t child)
{
    int status = -1;
    CHECK(child > 0);
    CHECK_EQUAL(waitpid(child, &status, 0), child);
    CHECK_EQUAL(status, 0);
}

static inline void run_in_child(void (*body)(void))
{
    pid_t child = fork();
    if (child == 0) {
        body();
        _exit(0);
    }
    join_child(child);
}

/* ---- kernels --------------------------------------------------------------------------------------- */

static inline const gilfree_row *find_row(const gilfree_row *rows, const char *name)
{
    while (rows->name && strcmp(rows->name, name) != 0)
        rows++;
    CHECK(rows->name);
    return rows;
}

/* ---- meeting: proof that so many workers are at work at once -------------------------------------- */

struct meeting {
    int workers;
    bool polls;
    atomic_int arrived;
};

static inline void meeting_body(gilfree_worker *worker, int64_t begin, int64_t end, const void *context)
{
    struct meeting *meeting = (struct meeting *)context;
    CHECK_EQUAL(end, begin + 1);
    atomic_fetch_add(&meeting->arrived, 1);
    WAIT_FOR(((void)(meeting->polls && gilfree_poll(worker, begin)),
              atomic_load(&meeting->arrived) == meeting->workers));
}

/* A loop of one item for each worker, none of which ends before all have begun. At most three can meet in any build. */
static inline void meet(int workers)
{
    struct meeting meeting = {.workers = workers, .polls = true};
    struct loop_result result = loop_run(meeting_body, workers, &meeting,
                                         OPTIONS(.workers = workers, .chunksize = 1, .item_cost = GILFREE_POLLS));
    CHECK_EQUAL(result.error, GILFREE_OK);
    CHECK_EQUAL(result.finished, workers);
}

/* ---- tally: how often every item has run ---------------------------------------------------------- */

#define TALLY_MAX 1000000

struct tally {
    int64_t n;
    atomic_uchar runs[TALLY_MAX];
};

static inline void tally_body(gilfree_worker *worker, int64_t begin, int64_t end, const void *context)
{
    struct tally *tally = (struct tally *)context;
    (void)worker;
    CHECK(0 <= begin && begin < end && end <= tally->n);
    for (int64_t i = begin; i < end; i++)
        atomic_fetch_add_explicit(&tally->runs[i], 1, memory_order_relaxed);
}

static inline void tally_clear(struct tally *tally, int64_t n)
{
    tally->n = n;
    memset((void *)tally->runs, 0, (size_t)n);
}

/* Items [begin, end) have each run once. */
static inline void check_ran_once(struct tally *tally, int64_t begin, int64_t end)
{
    for (int64_t i = begin; i < end; i++)
        if (atomic_load_explicit(&tally->runs[i], memory_order_relaxed) != 1) {
            fprintf(stderr, "item %lld ran %d times\n", (long long)i, atomic_load(&tally->runs[i]));
            CHECK(!"every item runs once");
        }
}

static inline void check_loop(struct tally *tally, int64_t n, const struct loop_options *options)
{
    tally_clear(tally, n);
    struct loop_result result = loop_run(tally_body, n, tally, options);
    CHECK_EQUAL(result.error, GILFREE_OK);
    CHECK_EQUAL(result.index, -1);
    CHECK_EQUAL(result.finished, n);
    check_ran_once(tally, 0, n);
}

/* ---- helpers, as the system sees them ------------------------------------------------------------- */

#ifdef __linux__
/* Reads /proc/self/task/TID/FILE into `text`; false if the thread is gone. */
static inline bool read_task_file(const char *tid, const char *file, char *text, size_t size)
{
    char path[300];
    snprintf(path, sizeof path, "/proc/self/task/%s/%s", tid, file);
    FILE *stream = fopen(path, "r");
    if (!stream)
        return false;
    size_t length = fread(text, 1, size - 1, stream);
    fclose(stream);
    text[length] = '\0';
    return length > 0;
}

/* Calls visit(tid, comm) for every thread named gilfree-...; returns how many there are. */
static inline int each_helper(void (*visit)(const char *tid, const char *comm))
{
    int count = 0;
    DIR *tasks = opendir("/proc/self/task");
    CHECK(tasks);
    for (struct dirent *task; (task = readdir(tasks));) {
        char comm[32];
        if (task->d_name[0] == '.' || !read_task_file(task->d_name, "comm", comm, sizeof comm) ||
            strncmp(comm, "gilfree-", 8) != 0)
            continue;
        count++;
        if (visit)
            visit(task->d_name, comm);
    }
    closedir(tasks);
    return count;
}
#endif

/* The pool has so many helpers, by its own account and by the system's. */
static inline void check_helpers(int helpers)
{
    CHECK_EQUAL(pool_facts().helpers, helpers);
#ifdef __linux__
    CHECK_EQUAL(each_helper(NULL), helpers);
#endif
}

#endif
