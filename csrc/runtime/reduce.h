/* reduce - a loop over the blocks of arrays, each array becoming one number.
 *
 * reduce_run(all) equals the serial loop
 *
 *     for each reduction: results = finish(combination of the partials of its leaves)
 *
 * The tree of combinations is fixed by the length of the array alone: leaves of GILFREE_LEAF items; blocks of
 * 2**k leaves, k growing with the length so that there are never many; a binary tree over the leaves of a block,
 * and one over the blocks. A loop claims blocks, of all reductions in one row: a few long arrays are shared among
 * workers as well as many short ones, and a chunk may lie in several.
 */
#ifndef GILFREE_REDUCE_H
#define GILFREE_REDUCE_H

#include "gilfree.h"
#include "items.h"
#include "loop.h"

/* One argument of every reduction: arrays, or numbers. */
struct reduce_argument {
    bool is_number;
    gilfree_view numbers; /* the value for reduction i is item i */
    const char *each;     /* the array for reduction i is the struct items at each + i * each_size; or NULL: */
    size_t each_size;
    struct items first; /* that of reduction 0; all are alike, and `apart` bytes from one another */
    ptrdiff_t apart;
};

struct reduction {
    const gilfree_row *row;
    const enum item_format *types; /* of its arguments */
    int64_t n;                     /* items in each of its arrays */
    int64_t first_block, first_slot;
};

struct reductions {
    int64_t count;
    int arguments;
    const struct reduce_argument *each_argument;
    struct reduction *each; /* or NULL: all are as `common`. The first_... members are reduce_run's own. */
    struct reduction common;
    gilfree_number *results; /* GILFREE_RESULTS_MAX for each reduction */
};

/* Errors are those of a reduction: result.index says which, and the results of all before it are there. The
 * cost in the options is that of a leaf. MEMORY with index -1 if there is none for the partials. The memory that
 * `all` leads to must not lie on the calling stack: see loop.h. */
struct loop_result reduce_run(struct reductions *all, const struct loop_options *options);

/* The indices that the loop of reduce_run has. */
int64_t reduce_steps(const struct reductions *all);

/* Would a loop do nothing but run one leaf? Then reduce_at_once is the shorter way. */
bool reduce_is_short(const struct reductions *all);
gilfree_error reduce_at_once(const struct reductions *all);

#endif
