#include "reduce.h"

#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "memory.h"

#ifdef GILFREE_STRESS
#define BLOCKS_MAX 2
#else
#define BLOCKS_MAX 512 /* in one array: few enough that their partials are no memory to speak of */
#endif
#define DEPTH_MAX 64 /* of the tree over the leaves of a block */

typedef struct {
    _Alignas(16) char bytes[GILFREE_PARTIAL_MAX];
} partial;

/* ---- blocks -------------------------------------------------------------------------------------- */

static int64_t leaves_in(int64_t n)
{
    return n <= GILFREE_LEAF ? 1 : (n - 1) / GILFREE_LEAF + 1;
}

/* Leaves in one block of an array: a power of two. */
static int64_t block_leaves(int64_t n)
{
    int64_t leaves = 1;
    while ((leaves_in(n) - 1) / leaves >= BLOCKS_MAX)
        leaves *= 2;
    return leaves;
}

static int64_t blocks_in(int64_t n)
{
    return (leaves_in(n) - 1) / block_leaves(n) + 1;
}

static struct reduction reduction_at(const struct reductions *all, int64_t i)
{
    if (all->each)
        return all->each[i];
    struct reduction reduction = all->common;
    int64_t blocks = blocks_in(reduction.n);
    reduction.first_block = i * blocks;
    reduction.first_slot = blocks > 1 ? i * blocks : 0;
    return reduction;
}

/* The reduction that a block belongs to. */
static int64_t reduction_of(const struct reductions *all, int64_t block)
{
    if (!all->each)
        return block / blocks_in(all->common.n);
    int64_t low = 0, high = all->count;
    while (high - low > 1) {
        int64_t middle = low + (high - low) / 2;
        if (all->each[middle].first_block <= block)
            low = middle;
        else
            high = middle;
    }
    return low;
}

static struct items items_at(const struct reduce_argument *argument, int64_t i)
{
    if (argument->each)
        return *(const struct items *)(argument->each + (size_t)i * argument->each_size);
    struct items items = argument->first;
    items.data += i * argument->apart;
    return items;
}

/* ---- one leaf, one block ------------------------------------------------------------------------- */

/* What a worker has at hand of the reduction it is in. */
struct bench {
    const struct reductions *all;
    int64_t index; /* -1 if there is none yet */
    struct reduction reduction;
    struct items items[GILFREE_ARGUMENTS_MAX];
    bool is_dense[GILFREE_ARGUMENTS_MAX];
    char *scratch; /* a leaf of each argument that has to be loaded; NULL until it is needed */
};

#define SCRATCH_SIZE (GILFREE_LEAF * ITEM_SIZE_MAX) /* of one argument */

/* False if there is no memory. */
static bool bench_turn_to(struct bench *bench, int64_t index)
{
    const struct reductions *all = bench->all;
    if (bench->index == index)
        return true;
    bench->index = index;
    bench->reduction = reduction_at(all, index);
    bool all_dense = true;
    for (int a = 0; a < all->arguments; a++) {
        if (all->each_argument[a].is_number)
            continue;
        bench->items[a] = items_at(&all->each_argument[a], index);
        bench->is_dense[a] = items_are_dense(&bench->items[a], bench->reduction.types[a]);
        all_dense = all_dense && bench->is_dense[a];
    }
    if (!all_dense && !bench->scratch)
        bench->scratch = memory_resize(NULL, (size_t)all->arguments * SCRATCH_SIZE);
    return all_dense || bench->scratch;
}

static void run_leaf(struct bench *bench, int64_t leaf, void *result)
{
    const void *arrays[GILFREE_ARGUMENTS_MAX] = {NULL};
    const struct reduction *reduction = &bench->reduction;
    int64_t begin = leaf * GILFREE_LEAF, n = reduction->n - begin;
    n = n < GILFREE_LEAF ? n : GILFREE_LEAF;
    for (int a = 0; a < bench->all->arguments; a++) {
        if (bench->all->each_argument[a].is_number)
            continue;
        enum item_format type = reduction->types[a];
        if (bench->is_dense[a]) {
            arrays[a] = bench->items[a].data + begin * item_size(type);
        } else {
            char *block = bench->scratch + a * SCRATCH_SIZE;
            items_load(&bench->items[a], begin, n, type, block);
            arrays[a] = block;
        }
    }
    reduction->row->reduce.partial(begin, n, arrays, result);
}

/* Into result; false if the block is not wanted any more. */
static bool run_block(struct bench *bench, gilfree_worker *worker, int64_t block, partial *result)
{
    const struct reduction *reduction = &bench->reduction;
    int64_t leaves = block_leaves(reduction->n), all_leaves = leaves_in(reduction->n);
    int64_t first = (block - reduction->first_block) * leaves;
    int64_t count = all_leaves - first < leaves ? all_leaves - first : leaves;
    gilfree_combine *combine = reduction->row->reduce.combine;
    /* A binary counter: stack[d] holds 2**k leaves for each bit k that is set in the number of leaves so far. */
    partial stack[DEPTH_MAX];
    int depth = 0;
    for (int64_t leaf = 0; leaf < count; leaf++) {
        if (leaf && gilfree_poll(worker, block))
            return false;
        run_leaf(bench, first + leaf, &stack[depth++]);
        for (int64_t done = leaf + 1; done % 2 == 0; done /= 2, depth--)
            combine(&stack[depth - 2], &stack[depth - 1]);
    }
    for (; depth > 1; depth--)
        combine(&stack[depth - 2], &stack[depth - 1]);
    *result = stack[0];
    return true;
}

/* ---- finishing ----------------------------------------------------------------------------------- */

static gilfree_error finish(const struct reductions *all, int64_t index, const struct reduction *reduction,
                            const void *whole)
{
    gilfree_number arguments[GILFREE_ARGUMENTS_MAX];
    for (int a = 0; a < all->arguments; a++) {
        gilfree_view numbers = all->each_argument[a].numbers;
        if (all->each_argument[a].is_number)
            memcpy(&arguments[a], numbers.data + index * numbers.stride, (size_t)item_size(reduction->types[a]));
    }
    return reduction->row->reduce.finish(whole, reduction->n, arguments, all->results + index * GILFREE_RESULTS_MAX);
}

/* The partials of a reduction's blocks become one, in a binary tree over them. */
static void *combine_slots(char *slots, int64_t count, const gilfree_reduce *reduce)
{
    for (int64_t apart = 1; apart < count; apart *= 2)
        for (int64_t i = 0; i + apart < count; i += 2 * apart)
            reduce->combine(slots + i * GILFREE_PARTIAL_MAX, slots + (i + apart) * GILFREE_PARTIAL_MAX);
    return slots;
}

/* ---- the loop ------------------------------------------------------------------------------------ */

struct reducing {
    const struct reductions *all;
    partial *slots;      /* of the blocks of all reductions that have more than one */
    _Atomic float cost; /* of a block */
};

static void reduce_body(gilfree_worker *worker, int64_t begin, int64_t end, const void *context)
{
    const struct reducing *reducing = context;
    struct bench bench = {.all = reducing->all, .index = -1};
    int64_t index = reduction_of(reducing->all, begin);
    for (int64_t block = begin; block < end; block++) {
        if (bench.index >= 0 && block - bench.reduction.first_block == blocks_in(bench.reduction.n))
            index++;
        if (!bench_turn_to(&bench, index)) {
            gilfree_fail(worker, block, GILFREE_MEMORY);
            break;
        }
        partial result;
        if ((block > begin && gilfree_poll(worker, block)) || !run_block(&bench, worker, block, &result))
            break;
        const struct reduction *reduction = &bench.reduction;
        if (blocks_in(reduction->n) > 1) {
            reducing->slots[reduction->first_slot + block - reduction->first_block] = result;
            continue;
        }
        gilfree_error error = finish(reducing->all, index, reduction, &result);
        if (error) {
            gilfree_fail(worker, block, error);
            break;
        }
    }
    free(bench.scratch);
}

/* The number of blocks, and of those that need a slot; `items` are all arrays' together. */
static int64_t count_blocks(struct reductions *all, int64_t *slots, int64_t *items)
{
    int64_t blocks = 0;
    *slots = *items = 0;
    if (!all->each) {
        blocks = all->count * blocks_in(all->common.n);
        *slots = blocks_in(all->common.n) > 1 ? blocks : 0;
        *items = all->count * all->common.n;
        return blocks;
    }
    for (int64_t i = 0; i < all->count; i++) {
        struct reduction *reduction = &all->each[i];
        int64_t own = blocks_in(reduction->n);
        reduction->first_block = blocks;
        reduction->first_slot = *slots;
        blocks += own;
        *slots += own > 1 ? own : 0;
        *items += reduction->n;
    }
    return blocks;
}

/* Finishes those before `end` that have more than one block; returns the lowest that fails, or -1. */
static int64_t finish_long_ones(const struct reducing *reducing, int64_t end, gilfree_error *error)
{
    for (int64_t i = 0; i < end; i++) {
        struct reduction reduction = reduction_at(reducing->all, i);
        int64_t blocks = blocks_in(reduction.n);
        if (blocks == 1)
            continue;
        char *slots = reducing->slots[reduction.first_slot].bytes;
        *error = finish(reducing->all, i, &reduction, combine_slots(slots, blocks, &reduction.row->reduce));
        if (*error)
            return i;
    }
    return -1;
}

struct loop_result reduce_run(struct reductions *all, const struct loop_options *options)
{
    int64_t slots, items, blocks = count_blocks(all, &slots, &items);
    struct reducing *reducing = memory_resize(NULL, sizeof *reducing);
    partial *memory = slots ? memory_resize(NULL, (size_t)slots * sizeof *memory) : NULL;
    if (!reducing || (slots && !memory)) {
        free(reducing);
        free(memory);
        return (struct loop_result){GILFREE_MEMORY, -1, 0};
    }
    reducing->all = all;
    reducing->slots = memory;

    /* What a leaf costs is known only from calls whose leaves were full. */
    struct loop_options running = *options;
    double leaves = (double)items / GILFREE_LEAF / (double)(blocks ? blocks : 1); /* in a block */
    bool are_full = options->cost && leaves >= 1;
    float cost = are_full ? (float)(atomic_load_explicit(options->cost, memory_order_relaxed) * leaves) : 0;
    atomic_init(&reducing->cost, cost);
    running.cost = are_full ? &reducing->cost : NULL;
    running.item_cost = cost > 0 ? GILFREE_FLAT : GILFREE_BRIEF;
    struct loop_result result = loop_run(reduce_body, blocks, reducing, &running);
    cost = atomic_load_explicit(&reducing->cost, memory_order_relaxed);
    if (are_full && cost > 0)
        atomic_store_explicit(options->cost, (float)(cost / leaves), memory_order_relaxed);

    if (!result.error || result.index >= 0) {
        int64_t end = result.index < 0 ? all->count : reduction_of(all, result.index);
        gilfree_error error = GILFREE_OK;
        int64_t failed = finish_long_ones(reducing, end, &error);
        result.index = failed >= 0 ? failed : result.error ? end : -1;
        result.error = failed >= 0 ? error : result.error;
    }
    free(memory);
    free(reducing);
    return result;
}

int64_t reduce_steps(const struct reductions *all)
{
    int64_t steps = all->each ? 0 : all->count * blocks_in(all->common.n);
    for (int64_t i = 0; all->each && i < all->count; i++)
        steps += blocks_in(all->each[i].n);
    return steps;
}

bool reduce_is_short(const struct reductions *all)
{
    return all->count == 1 && (all->each ? all->each[0].n : all->common.n) <= GILFREE_LEAF;
}

gilfree_error reduce_at_once(const struct reductions *all)
{
    partial result;
    struct bench bench = {.all = all, .index = -1};
    if (!bench_turn_to(&bench, 0))
        return GILFREE_MEMORY;
    run_leaf(&bench, 0, &result);
    free(bench.scratch);
    return finish(all, 0, &bench.reduction, &result);
}
