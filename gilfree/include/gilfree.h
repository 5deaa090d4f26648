/* gilfree.h - the public C header: what a kernel is, and what it may ask of the loop that runs it.
 *
 * A kernel is a pure function of its arguments, written as a C function over a range of items (or, for a
 * reduction, as functions that make, combine and finish partial results: see gilfree_reduce), and a row
 * that names it. It knows no Python, holds no lock and never sees the GIL: the loop that runs it
 * gives disjoint ranges of [0, n) to several threads at once. The call
 *
 *     gilfree.parallel_map(kernel, x, y)
 *
 * equals the serial loop
 *
 *     kernel->range(worker, 0, n, views);     with views[0] the result, views[1] x, views[2] y
 *
 * however the range is cut. A range function may therefore write item i of the result for every i of
 * its range, and nothing else.
 *
 * Ownership: a row and everything it points to must outlive the process's last use of it; rows are
 * normally static const. A worker and the views belong to the loop: a range function must not keep
 * them after it returns.
 */
#ifndef GILFREE_H
#define GILFREE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Why a loop ended early: code, message, Python exception. The only list of errors.
 * A kernel reports the ones above the line through gilfree_fail; the others are the loop's own. */
#define GILFREE_ERRORS(X)                                                                            \
    X(OVERFLOW, "a value does not fit in 64 bits", "builtins.OverflowError")                         \
    X(DOMAIN, "an argument is outside what the kernel is defined for", "builtins.ValueError")        \
    X(EMPTY, "an array without items has no such value", "builtins.ValueError")                      \
    X(MEMORY, "out of memory", "builtins.MemoryError")                                               \
    /* ----------------------------------------------------------------------------------------- */ \
    X(TIMEOUT, "the timeout has passed", "builtins.TimeoutError")                                        \
    X(CANCELLED, "the call was cancelled", "concurrent.futures.CancelledError")                      \
    X(INTERRUPTED, "a signal handler raised", "builtins.KeyboardInterrupt")                          \
    X(FORKED, "a signal handler forked during the call, and this is the child: only the parent's "   \
              "copy of the call goes on", "builtins.RuntimeError")                                   \
    X(EXITING, "the interpreter is exiting", "builtins.RuntimeError")

typedef enum gilfree_error {
    GILFREE_OK = 0,
#define GILFREE_ERROR_CODE(code, message, exception) GILFREE_##code,
    GILFREE_ERRORS(GILFREE_ERROR_CODE)
#undef GILFREE_ERROR_CODE
} gilfree_error;

/* One thread at work on one loop. A range function gets a worker that is its own for the length of
 * the call, and may only hand it to the two functions below. */
typedef struct gilfree_worker {
    int (*poll)(struct gilfree_worker *worker, int64_t index);
    void (*fail)(struct gilfree_worker *worker, int64_t index, gilfree_error error);
} gilfree_worker;

/* Is item `index` no longer wanted? True after Ctrl-C, a timeout, a cancellation or an error at a
 * lower index: return at once then, the result is discarded. Call it from inside any item that may
 * take longer than some tens of microseconds: it is also where a long item lets the loop wake other
 * workers. Costs about 2 ns. `index` must lie in the range being run. */
static inline int gilfree_poll(gilfree_worker *worker, int64_t index)
{
    return worker->poll(worker, index);
}

/* Item `index` has no result. Return from the range function after it: what the range holds beyond
 * `index` is not wanted any more. Of all failing items the lowest is the one the caller sees. */
static inline void gilfree_fail(gilfree_worker *worker, int64_t index, gilfree_error error)
{
    worker->fail(worker, index, error);
}

/* Items in memory: item i is at data + i * stride. A stride of 0 repeats one item. The items are
 * aligned for their type. The result of a map may be the very same view as an argument (in place),
 * and overlaps no argument otherwise. */
typedef struct gilfree_view {
    char *data;
    ptrdiff_t stride; /* in bytes */
} gilfree_view;

#define GILFREE_ITEM(type, view, i) (*(type *)((view).data + (i) * (view).stride))

/* Runs items [begin, end): views[0] is the result, views[1], views[2], ... the arguments. */
typedef void gilfree_range(gilfree_worker *worker, int64_t begin, int64_t end, const gilfree_view *views);

/* What is known of the time one item takes. It decides when other workers are woken, never the result. */
typedef enum gilfree_item_cost {
    GILFREE_UNKNOWN = 0, /* may be long, and does not poll: workers are woken at once */
    GILFREE_POLLS,       /* may be long, and polls */
    GILFREE_BRIEF,       /* a few microseconds at most, differing from item to item */
    GILFREE_FLAT         /* short, and the same for every item */
} gilfree_item_cost;

/* One number, as a row's signature names its type. Its bytes are at the address of the union. */
typedef union gilfree_number {
    int64_t int64;
    uint64_t uint64;
    int32_t int32;
    uint8_t uint8;
    double float64;
    float float32;
} gilfree_number;

#define GILFREE_ARGUMENTS_MAX 8
#define GILFREE_RESULTS_MAX 2

/* How an array becomes a number. The array is cut into leaves of GILFREE_LEAF items (the last may be shorter),
 * each leaf becomes a partial, and the partials are combined in a binary tree whose shape depends on n alone:
 * the result has the same bits for any number of workers.
 *
 * partial: n items, 0 <= n <= GILFREE_LEAF, of each array into a fresh partial. arrays[k] holds the items of
 *   argument k next to one another, in its type (NULL for an argument that is no array). `begin` is the index
 *   of the first one. It is called with n = 0 only for an array without items.
 * combine: into `left` what both hold, `left` being of the items before those of `right`.
 * finish: the results from the partial of all n items; arguments[k] is the value of an argument that is no array.
 * any_order: the items may be visited in another order than that of their indices, always the same for the same
 *   layout in memory. */
typedef void gilfree_partial(int64_t begin, int64_t n, const void *const *arrays, void *partial);
typedef void gilfree_combine(void *left, const void *right);
typedef gilfree_error gilfree_finish(const void *partial, int64_t n, const gilfree_number *arguments,
                                     gilfree_number *results);

#define GILFREE_LEAF 4096
#define GILFREE_PARTIAL_MAX 64 /* bytes */

typedef struct gilfree_reduce {
    size_t size; /* of a partial, in bytes: GILFREE_PARTIAL_MAX at most, of which it is aligned to 16 */
    gilfree_partial *partial;
    gilfree_combine *combine;
    gilfree_finish *finish;
    int any_order;
} gilfree_reduce;

/* One kernel, or one of several next to one another with one name, of which the first that can take the
 * arguments is used.
 * signature: result type, then type and name of each argument, as in "float64(float64 x, float64 y)";
 *   the types are int64, uint64, int32, uint8, float64, float32 and bool (one byte, 0 or 1). An argument of type
 *   "float64[]" is an array, and makes the row a reduction: it then has `reduce`, and no `range`. Several results
 *   of one type stand in parentheses: "(float64, float64)(float64[] x)". "int64 ddof=0" gives an argument that is
 *   no array a default.
 * low, high: for int64 arguments, the least and the greatest value the kernel is defined for; both 0: it is
 *   defined for all. They are checked before any work starts; the range function must still be safe outside
 *   them, since another thread may write to a buffer while it is read. */
typedef struct gilfree_row {
    const char *name;
    const char *signature;
    gilfree_range *range;
    gilfree_item_cost item_cost;
    int64_t low, high;
    const char *doc; /* one line */
    gilfree_reduce reduce;
} gilfree_row;

static inline int gilfree_has_domain(const gilfree_row *row)
{
    return row->low != 0 || row->high != 0;
}

#ifdef __cplusplus
}
#endif
#endif
