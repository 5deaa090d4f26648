/* Reductions through the loop: the bits of the tree, whoever works and however the items lie; errors, stops, and lack
 * of memory. */
#include "reduce.h"

#include <stdlib.h>

#include "check.h"
#include "memory.h"
#include "rows.h"

#define ARGUMENTS 2
#define NDIM 3

/* One reduction, its arrays (owned, with `dense` and `dimensions`), and what must come out. */
struct job {
    struct items items[ARGUMENTS];
    char *memory[ARGUMENTS];
    struct dimension dimensions[ARGUMENTS][NDIM];
    gilfree_number ddof;
    gilfree_error error;
    gilfree_number expected[GILFREE_RESULTS_MAX];
};

/* So many reductions, in each-mode. */
struct batch {
    struct reductions all;
    struct reduce_argument each_argument[ARGUMENTS];
    struct job *jobs;
};

static const gilfree_row *const families[] = {sums_rows, extrema_rows};

static void types_of(const gilfree_row *row, enum item_format *types)
{
    const struct row_signature signature = read_signature(row->signature);
    for (int a = 0; a < GILFREE_ARGUMENTS_MAX; a++)
        types[a] = signature.each[a < signature.arguments ? a : 0].type;
}

/* ---- jobs ------------------------------------------------------------------------------------------ */

/* Small numbers, which no sum overflows; of floats all have other last bits. */
static void fill(char *memory, int64_t n, enum item_format format)
{
    for (int64_t i = 0; i < n; i++) {
        uint64_t bits = random_bits();
        uint16_t half = (uint16_t)(bits & 0xbbff); /* less than 2 */
        if (format == ITEM_FLOAT64)
            ((double *)memory)[i] = (double)(int64_t)bits / 1e15;
        else if (format == ITEM_FLOAT32)
            ((float *)memory)[i] = (float)(int64_t)bits / 1e15f;
        else if (format == ITEM_FLOAT16)
            ((uint16_t *)memory)[i] = half;
        else if (item_size(format) == 8)
            ((uint64_t *)memory)[i] = bits % 100000;
        else if (item_size(format) == 4)
            ((uint32_t *)memory)[i] = bits % 100000;
        else if (item_size(format) == 2)
            ((uint16_t *)memory)[i] = bits % 30000;
        else
            ((uint8_t *)memory)[i] = bits % 100;
    }
}

static void swap_bytes(char *item, ptrdiff_t size)
{
    for (ptrdiff_t b = 0; b < size / 2; b++) {
        char byte = item[b];
        item[b] = item[size - 1 - b];
        item[size - 1 - b] = byte;
    }
}

enum layout { DENSE, STRIDED, TURNED, SHIFTED, SWAPPED, FOLDED, LAYOUTS };

/* Puts n items that lie side by side in `dense` into memory of another layout. */
static void lay_out(struct job *job, int a, const char *dense, int64_t n, enum item_format format, enum layout layout)
{
    ptrdiff_t size = item_size(format), stride = layout == STRIDED ? 3 * size : layout == TURNED ? -2 * size : size;
    struct items *items = &job->items[a];
    int64_t inner = 7; /* FOLDED: columns of 7, apart by one item that is not theirs */
    if (layout == FOLDED && (n % inner || n / inner < 2))
        layout = DENSE;
    job->memory[a] = malloc((size_t)(3 * n * size + 16));
    CHECK(job->memory[a]);
    *items = (struct items){.data = job->memory[a], .n = n, .format = format, .ndim = 1, .stride = stride};
    items->data += layout == SHIFTED ? 1 : layout == TURNED && n > 0 ? 2 * (n - 1) * size : 0;
    items->swapped = layout == SWAPPED;
    if (layout == FOLDED) {
        items->ndim = 2;
        items->dimensions = job->dimensions[a];
        job->dimensions[a][0] = (struct dimension){n / inner, (inner + 1) * size};
        job->dimensions[a][1] = (struct dimension){inner, size};
    }
    for (int64_t i = 0; i < n; i++) {
        char *at = items->data + (layout == FOLDED ? i / inner * (inner + 1) * size + i % inner * size : i * stride);
        memcpy(at, dense + i * size, (size_t)size);
        if (items->swapped)
            swap_bytes(at, size);
    }
}

/* From items of one format in memory; expected is what the tree makes of them, side by side and cast. */
static void make_job(struct job *job, const gilfree_row *row, int64_t n, const enum item_format *formats, enum layout layout)
{
    const struct row_signature signature = read_signature(row->signature);
    struct items dense[ARGUMENTS];
    *job = (struct job){.ddof.int64 = random_from(0, 1)};
    for (int a = 0; a < signature.arguments; a++) {
        if (!signature.each[a].is_array)
            continue;
        char *memory = malloc((size_t)(n * item_size(formats[a]) + 1));
        fill(memory, n, formats[a]);
        dense[a] = dense_items(memory, n, formats[a]);
        lay_out(job, a, memory, n, formats[a], layout);
    }
    const gilfree_number numbers[] = {{0}, job->ddof};
    job->error = reduce_serially(row, dense, numbers, job->expected);
    for (int a = 0; a < signature.arguments; a++)
        if (signature.each[a].is_array)
            free(dense[a].data);
}

static void free_job(struct job *job)
{
    for (int a = 0; a < ARGUMENTS; a++)
        free(job->memory[a]);
}

static void clear_results(struct batch *batch)
{
    memset(batch->all.results, 0x77, (size_t)batch->all.count * GILFREE_RESULTS_MAX * sizeof(gilfree_number));
}

/* Of jobs that their owner frees. Rows, if they differ, are set afterwards. */
static struct batch *make_batch(const gilfree_row *row, const enum item_format *types, struct job *jobs, int64_t count)
{
    const struct row_signature signature = read_signature(row->signature);
    struct batch *batch = calloc(1, sizeof *batch);
    CHECK(batch);
    batch->jobs = jobs;
    batch->all = (struct reductions){
        .count = count,
        .arguments = signature.arguments,
        .each_argument = batch->each_argument,
        .each = calloc((size_t)count + 1, sizeof(struct reduction)),
        .results = calloc((size_t)count * GILFREE_RESULTS_MAX + 1, sizeof(gilfree_number)),
    };
    for (int a = 0; a < signature.arguments; a++) {
        if (signature.each[a].is_array)
            batch->each_argument[a] = (struct reduce_argument){.each = (const char *)&jobs[0].items[a], .each_size = sizeof *jobs};
        else
            batch->each_argument[a] = (struct reduce_argument){.is_number = true, .numbers = {(char *)&jobs[0].ddof, sizeof *jobs}};
    }
    for (int64_t i = 0; i < count; i++)
        batch->all.each[i] = (struct reduction){.row = row, .types = types, .n = jobs[i].items[0].n};
    clear_results(batch);
    return batch;
}

static void free_batch(struct batch *batch)
{
    free(batch->all.each);
    free(batch->all.results);
    free(batch);
}

static bool same_results(const gilfree_row *row, const gilfree_number *got, const gilfree_number *expected)
{
    const struct row_signature signature = read_signature(row->signature);
    for (int r = 0; r < signature.results; r++)
        if (memcmp(&got[r], &expected[r], (size_t)item_size(signature.result)) != 0)
            return false;
    return true;
}

static const gilfree_row *row_at(const struct reductions *all, int64_t i)
{
    return all->each ? all->each[i].row : all->common.row;
}

/* As the serial loop: the lowest job that fails, and the results of all before it. */
static void check_results(const struct batch *batch, struct loop_result result)
{
    int64_t failed = 0;
    while (failed < batch->all.count && batch->jobs[failed].error == GILFREE_OK)
        failed++;
    bool fails = failed < batch->all.count;
    CHECK_EQUAL(result.error, fails ? batch->jobs[failed].error : GILFREE_OK);
    CHECK_EQUAL(result.index, fails ? failed : -1);
    for (int64_t i = 0; i < failed; i++)
        CHECK(same_results(row_at(&batch->all, i), batch->all.results + i * GILFREE_RESULTS_MAX, batch->jobs[i].expected));
}

static const int workers_tried[] = {1, 2, 3, 7, 16};
static const int64_t chunksizes[] = {0, 1, 3, 1000000};

/* With every number of workers and every chunksize, or with a part of those pairs. */
static void check_batch(struct batch *batch, int part)
{
    for (int w = 0; w < COUNT(workers_tried); w++)
        for (int c = 0; c < COUNT(chunksizes); c++) {
            if ((w + c + part) % (SLOW ? 10 : 4) != 0)
                continue;
            clear_results(batch);
            check_results(batch, reduce_run(&batch->all, OPTIONS(.workers = workers_tried[w], .chunksize = chunksizes[c])));
        }
}

/* ---- the same bits --------------------------------------------------------------------------------- */

static const int64_t lengths[] = {5, 1, 4096, 4097, 31, 12288, 20000, 8193, 1, 545, 28673, 3, 7 * 700, 7 * 2000};

/* Short ones among long ones, for each row. */
static void every_row_gives_the_bits_of_its_tree(void)
{
    int part = 0;
    for (int f = 0; f < COUNT(families); f++)
        for (const gilfree_row *row = families[f]; row->name; row++, part++) {
            struct job jobs[COUNT(lengths)];
            enum item_format types[GILFREE_ARGUMENTS_MAX];
            types_of(row, types);
            for (int i = 0; i < COUNT(lengths); i++)
                make_job(&jobs[i], row, lengths[i], types, DENSE);
            struct batch *batch = make_batch(row, types, jobs, COUNT(lengths));
            check_batch(batch, part);
            free_batch(batch);
            for (int i = 0; i < COUNT(lengths); i++)
                free_job(&jobs[i]);
        }
}

/* Each array of a batch in another layout, and of any format that can be cast. */
static void items_that_lie_otherwise_give_the_same_bits(void)
{
    int part = 0;
    for (int f = 0; f < COUNT(families); f++)
        for (const gilfree_row *row = families[f]; row->name; row++, part++) {
            struct job jobs[COUNT(lengths)];
            enum item_format types[GILFREE_ARGUMENTS_MAX], formats[GILFREE_ARGUMENTS_MAX];
            types_of(row, types);
            for (int i = 0; i < COUNT(lengths); i++) {
                for (int a = 0; a < ARGUMENTS; a++)
                    do
                        formats[a] = i % 2 ? types[a] : (enum item_format)random_from(0, ITEM_FORMAT_COUNT - 1);
                    while (!item_casts(formats[a], types[a]));
                make_job(&jobs[i], row, lengths[i], formats, (enum layout)((i + part) % LAYOUTS));
            }
            struct batch *batch = make_batch(row, types, jobs, COUNT(lengths));
            check_batch(batch, part);
            free_batch(batch);
            for (int i = 0; i < COUNT(lengths); i++)
                free_job(&jobs[i]);
        }
}

#define MANY 3000

static void many_short_arrays_are_reduced_each_by_itself(void)
{
    static struct job jobs[MANY];
    static const char *const names[] = {"sum", "mean_var", "dot"};
    for (int r = 0; r < COUNT(names); r++) {
        const gilfree_row *row = find_variant(sums_rows, names[r], ITEM_FLOAT64);
        enum item_format types[GILFREE_ARGUMENTS_MAX];
        types_of(row, types);
        for (int i = 0; i < MANY; i++)
            make_job(&jobs[i], row, i % 100 == 99 ? random_from(4000, 9000) : random_from(0, 40), types, (enum layout)(i % LAYOUTS));
        struct batch *batch = make_batch(row, types, jobs, MANY);
        check_batch(batch, r);
        batch->all.count = 0;
        check_batch(batch, r);
        free_batch(batch);
        for (int i = 0; i < MANY; i++)
            free_job(&jobs[i]);
    }
}

/* Rows of a matrix against one vector that is the same for all, with one ddof for all. */
static void check_uniform(const gilfree_row *row, int64_t count, int64_t n, ptrdiff_t step, int part)
{
    enum item_format types[GILFREE_ARGUMENTS_MAX];
    types_of(row, types);
    ptrdiff_t size = item_size(types[0]), apart = n * step * size;
    char *matrix = malloc((size_t)(count * apart + 1)), *vector = malloc((size_t)(n * size + 1));
    struct job *jobs = calloc((size_t)count + 1, sizeof *jobs);
    gilfree_number one = {.int64 = 1};
    fill(matrix, count * n * step, types[0]);
    fill(vector, n, types[0]);
    struct items first = dense_items(matrix, n, types[0]);
    first.stride *= step;
    for (int64_t i = 0; i < count; i++) {
        struct items arrays[] = {first, dense_items(vector, n, types[0])};
        arrays[0].data += i * apart;
        jobs[i].error = reduce_serially(row, arrays, (const gilfree_number[]){{0}, one}, jobs[i].expected);
    }
    struct batch *batch = make_batch(row, types, jobs, count);
    free(batch->all.each);
    batch->all.each = NULL;
    batch->all.common = (struct reduction){.row = row, .types = types, .n = n};
    batch->each_argument[0] = (struct reduce_argument){.first = first, .apart = apart};
    if (batch->each_argument[1].is_number)
        batch->each_argument[1].numbers = (gilfree_view){(char *)&one, 0};
    else
        batch->each_argument[1] = (struct reduce_argument){.first = dense_items(vector, n, types[0]), .apart = 0};
    check_batch(batch, part);
    free_batch(batch);
    free(jobs);
    free(matrix);
    free(vector);
}

static void uniform_rows_are_reduced_each_by_itself(void)
{
    static const char *const names[] = {"sum", "dot", "var", "mean_var"};
    static const int64_t shapes[][2] = {{1, 20000}, {300, 17}, {5, 4096}, {7, 4097}, {3, 20481}, {0, 100}, {4, 0}};
    for (int r = 0; r < COUNT(names); r++)
        for (int s = 0; s < COUNT(shapes); s++)
            for (ptrdiff_t step = 1; step <= 2; step++) {
                check_uniform(find_variant(sums_rows, names[r], ITEM_FLOAT64), shapes[s][0], shapes[s][1], step, r + s);
                check_uniform(find_variant(sums_rows, names[r], ITEM_UINT8), shapes[s][0], shapes[s][1], step, r + s);
            }
    for (int s = 0; s < COUNT(shapes); s++)
        check_uniform(find_variant(extrema_rows, "minmax", ITEM_INT32), shapes[s][0], shapes[s][1], 1, s);
}

/* So long that a block holds several leaves, of memory that is read again and again. */
static void blocks_of_many_leaves_give_the_bits_of_the_tree(void)
{
    const int64_t inner = GILFREE_LEAF + 5, outer = SLOW ? 1030 : 2050;
    static const char *const names[] = {"sum", "var"};
    double *memory = malloc((size_t)inner * sizeof *memory);
    struct dimension dimensions[] = {{outer, 0}, {inner, 8}};
    fill((char *)memory, inner, ITEM_FLOAT64);
    for (int r = 0; r < COUNT(names); r++) {
        const gilfree_row *row = find_variant(sums_rows, names[r], ITEM_FLOAT64);
        enum item_format types[GILFREE_ARGUMENTS_MAX];
        types_of(row, types);
        struct job job = {.items = {{.data = (char *)memory, .n = inner * outer, .format = ITEM_FLOAT64, .ndim = 2,
                                     .dimensions = dimensions}}};
        job.error = reduce_serially(row, job.items, (const gilfree_number[]){{0}, job.ddof}, job.expected);
        struct batch *batch = make_batch(row, types, &job, 1);
        for (int workers = 1; workers <= 3; workers += 2) {
            clear_results(batch);
            check_results(batch, reduce_run(&batch->all, OPTIONS(.workers = workers)));
        }
        free_batch(batch);
    }
    free(memory);
}

static void a_short_reduction_is_had_at_once(void)
{
    for (int f = 0; f < COUNT(families); f++)
        for (const gilfree_row *row = families[f]; row->name; row++) {
            enum item_format types[GILFREE_ARGUMENTS_MAX];
            types_of(row, types);
            for (int64_t n = 0; n <= GILFREE_LEAF + 1; n += n < 2 ? 1 : n == 2 ? 500 : n == 502 ? GILFREE_LEAF - 502 : 1)
                for (int layout = 0; layout < 3; layout++) {
                    struct job job;
                    make_job(&job, row, n, types, (enum layout)layout);
                    struct batch *batch = make_batch(row, types, &job, 1);
                    CHECK_EQUAL(reduce_is_short(&batch->all), n <= GILFREE_LEAF);
                    if (n <= GILFREE_LEAF) {
                        gilfree_error error = reduce_at_once(&batch->all);
                        check_results(batch, (struct loop_result){error, error ? 0 : -1, 1});
                    }
                    batch->all.count = 2;
                    CHECK(!reduce_is_short(&batch->all));
                    free_batch(batch);
                    free_job(&job);
                }
        }
}

/* ---- the tree -------------------------------------------------------------------------------------- */

#define NOWHERE ((intptr_t)1 << 40) /* items that nothing reads */

/* A partial that knows of which items it is. */
struct span {
    int64_t begin, end;
};

static void span_partial(int64_t begin, int64_t n, const void *const *arrays, void *partial)
{
    CHECK(begin % GILFREE_LEAF == 0 && 0 <= n && n <= GILFREE_LEAF);
    CHECK_EQUAL((intptr_t)arrays[0], NOWHERE + begin);
    *(struct span *)partial = (struct span){begin, begin + n};
}

static void span_combine(void *left, const void *right)
{
    struct span *a = left;
    const struct span *b = right;
    int64_t items = a->end - a->begin;
    CHECK(a->end == b->begin && b->end > b->begin);
    /* The left one is whole: a power of two of leaves, at a multiple of twice its length. */
    CHECK(items % GILFREE_LEAF == 0 && (items & (items - 1)) == 0 && a->begin % (2 * items) == 0);
    CHECK(b->end - b->begin <= items);
    a->end = b->end;
}

static gilfree_error span_finish(const void *partial, int64_t n, const gilfree_number *arguments, gilfree_number *results)
{
    const struct span *span = partial;
    (void)arguments;
    CHECK(span->begin == 0 && span->end == n);
    results[0].int64 = n;
    results[1].int64++; /* once for each reduction */
    return n % 10 == 7 ? GILFREE_DOMAIN : GILFREE_OK;
}

static const gilfree_row span_row = {
    .name = "span",
    .signature = "(int64, int64)(uint8[] x)",
    .reduce = {sizeof(struct span), span_partial, span_combine, span_finish, 0},
};
static const enum item_format span_types[] = {ITEM_UINT8};

static struct job span_job(int64_t n)
{
    return (struct job){.items = {dense_items((char *)NOWHERE, n, ITEM_UINT8)},
                        .error = n % 10 == 7 ? GILFREE_DOMAIN : GILFREE_OK,
                        .expected = {{.int64 = n}, {.int64 = 1}}};
}

static void every_leaf_is_in_the_tree_once(void)
{
    static struct job jobs[200];
    for (int round = 0; round < (SLOW ? 20 : 150); round++) {
        int64_t count = random_from(1, COUNT(jobs));
        for (int64_t i = 0; i < count; i++) {
            int64_t n = random_from(0, 1) ? random_from(0, 5000) : random_from(0, 40) * GILFREE_LEAF + random_from(-1, 1);
            n = i % 50 == 0 ? random_from(0, INT64_C(1) << (STRESS ? 24 : 27)) : n < 0 ? 0 : n;
            n -= n % 10 == 7; /* that would be an error */
            jobs[i] = span_job(n);
        }
        struct batch *batch = make_batch(&span_row, span_types, jobs, count);
        memset(batch->all.results, 0, (size_t)count * GILFREE_RESULTS_MAX * sizeof *batch->all.results);
        check_results(batch, reduce_run(&batch->all, OPTIONS(.workers = 1 + round % 4, .chunksize = random_from(0, 3) * 5)));
        free_batch(batch);
    }
}

/* ---- errors ---------------------------------------------------------------------------------------- */

static int64_t large[5 * GILFREE_LEAF]; /* whose sum fits while they are few */

/* Sums of int64 that overflow or not, and minima of nothing, short and long ones. */
static void the_lowest_failing_reduction_is_reported(void)
{
    static struct job jobs[300];
    static const enum item_format types[] = {ITEM_INT64};
    const gilfree_row *sum = find_variant(sums_rows, "sum", ITEM_INT64), *min = find_variant(extrema_rows, "min", ITEM_INT64);
    for (int64_t i = 0; i < COUNT(large); i++)
        large[i] = INT64_MAX / GILFREE_LEAF - i;
    int64_t failures = 0;
    for (int round = 0; round < (SLOW ? 100 : 400); round++) {
        int64_t count = random_from(1, COUNT(jobs)), rarity = random_from(1, 200);
        struct batch *batch = make_batch(sum, types, jobs, count);
        for (int64_t i = 0; i < count; i++) {
            bool fails = random_from(0, rarity) == 0, is_long = random_from(0, 9) == 0, is_sum = random_from(0, 1);
            /* A sum of a leaf and more overflows; a minimum of as many does not. */
            int64_t n = is_sum ? (fails ? GILFREE_LEAF + 100 : 100) : fails ? 0 : 100;
            if (is_long && !(fails && !is_sum))
                n = is_sum && !fails ? n : random_from(2 * GILFREE_LEAF, COUNT(large));
            batch->all.each[i].row = is_sum ? sum : min;
            batch->all.each[i].n = n;
            jobs[i] = (struct job){.items = {dense_items(large, n, ITEM_INT64)}};
            jobs[i].error = reduce_serially(batch->all.each[i].row, jobs[i].items, NULL, jobs[i].expected);
            CHECK_EQUAL(jobs[i].error != GILFREE_OK, fails);
            failures += fails;
        }
        check_results(batch, reduce_run(&batch->all, OPTIONS(.workers = 1 + round % 4, .chunksize = random_from(0, 2) * 7)));
        free_batch(batch);
    }
    CHECK(failures > 100);
}

#define ENDLESS (INT64_C(1) << 53)

/* What comes after a failing reduction is not waited for. */
static void an_error_stops_what_comes_after_it(void)
{
    for (int workers = 1; workers <= 3; workers++)
        for (int64_t n = 7; n <= 10000007; n += 10000000) {
            struct job jobs[] = {span_job(5), span_job(100000), span_job(n), span_job(ENDLESS)};
            struct batch *batch = make_batch(&span_row, span_types, jobs, COUNT(jobs));
            memset(batch->all.results, 0, COUNT(jobs) * GILFREE_RESULTS_MAX * sizeof *batch->all.results);
            /* A long one fails only at the end, when all its blocks are there: then it must not be followed by one
             * without an end. */
            batch->all.count = n > GILFREE_LEAF ? 3 : 4;
            check_results(batch, reduce_run(&batch->all, OPTIONS(.workers = workers, .chunksize = 1)));
            free_batch(batch);
        }
}

/* ---- stopping -------------------------------------------------------------------------------------- */

static atomic_int started;

static void noting_partial(int64_t begin, int64_t n, const void *const *arrays, void *partial)
{
    atomic_store(&started, 1);
    span_partial(begin, n, arrays, partial);
}

static const gilfree_row noting_row = {
    .name = "span",
    .signature = "(int64, int64)(uint8[] x)",
    .reduce = {sizeof(struct span), noting_partial, span_combine, span_finish, 0},
};

static void a_timeout_stops_a_reduction(void)
{
    struct job jobs[] = {span_job(ENDLESS), span_job(5)};
    struct batch *batch = make_batch(&span_row, span_types, jobs, COUNT(jobs));
    for (int workers = 1; workers <= 3; workers++) {
        const struct loop_options options = {.workers = workers, .timeout = MILLISECOND};
        struct loop_result result = reduce_run(&batch->all, &options);
        CHECK_EQUAL(result.error, GILFREE_TIMEOUT);
        CHECK_EQUAL(result.index, -1);
    }
    free_batch(batch);
}

static void *cancel_when_started(void *cancel)
{
    WAIT_FOR(atomic_load(&started));
    cancel_set(cancel);
    return NULL;
}

static void a_cancel_stops_a_reduction(void)
{
    struct job jobs[] = {span_job(5), span_job(ENDLESS), span_job(ENDLESS)};
    struct batch *batch = make_batch(&noting_row, span_types, jobs, COUNT(jobs));
    for (int workers = 1; workers <= 3; workers++) {
        struct cancel *cancel = cancel_new();
        atomic_store(&started, 0);
        pthread_t thread = start_thread(cancel_when_started, cancel);
        struct loop_result result = reduce_run(&batch->all, OPTIONS(.workers = workers, .cancel = cancel));
        CHECK_EQUAL(result.error, GILFREE_CANCELLED);
        CHECK_EQUAL(result.index, -1);
        join_thread(thread);
        /* And none starts that was cancelled before. */
        atomic_store(&started, 0);
        result = reduce_run(&batch->all, OPTIONS(.workers = workers, .cancel = cancel));
        CHECK_EQUAL(result.error, GILFREE_CANCELLED);
        CHECK_EQUAL(atomic_load(&started), 0);
        cancel_release(cancel);
    }
    free_batch(batch);
}

/* ---- inside one another ---------------------------------------------------------------------------- */

#define INNER 20000
static double inner_items[INNER];
static gilfree_number inner_sum;

static void run_inner(int workers)
{
    const gilfree_row *row = find_variant(sums_rows, "sum", ITEM_FLOAT64);
    enum item_format types[GILFREE_ARGUMENTS_MAX];
    types_of(row, types);
    struct job jobs[3];
    for (int i = 0; i < COUNT(jobs); i++)
        jobs[i] = (struct job){.items = {dense_items(inner_items, INNER, ITEM_FLOAT64)}, .expected = {inner_sum}};
    struct batch *batch = make_batch(row, types, jobs, COUNT(jobs));
    check_results(batch, reduce_run(&batch->all, OPTIONS(.workers = workers, .chunksize = 1)));
    free_batch(batch);
}

static void nesting_partial(int64_t begin, int64_t n, const void *const *arrays, void *partial)
{
    run_inner(3);
    span_partial(begin, n, arrays, partial);
}

static const gilfree_row nesting_row = {
    .name = "span",
    .signature = "(int64, int64)(uint8[] x)",
    .reduce = {sizeof(struct span), nesting_partial, span_combine, span_finish, 0},
};

static void *run_nested(void *unused)
{
    struct job jobs[] = {span_job(9), span_job(20000), span_job(60), span_job(40000)};
    struct batch *batch = make_batch(&nesting_row, span_types, jobs, COUNT(jobs));
    for (int round = 0; round < 5; round++) {
        memset(batch->all.results, 0, COUNT(jobs) * GILFREE_RESULTS_MAX * sizeof *batch->all.results);
        check_results(batch, reduce_run(&batch->all, OPTIONS(.workers = 3, .chunksize = 1)));
    }
    free_batch(batch);
    return unused;
}

/* And from several threads at once. */
static void reductions_may_nest(void)
{
    pthread_t threads[3];
    struct items items = dense_items(inner_items, INNER, ITEM_FLOAT64);
    fill((char *)inner_items, INNER, ITEM_FLOAT64);
    reduce_serially(find_variant(sums_rows, "sum", ITEM_FLOAT64), &items, NULL, &inner_sum);
    for (int t = 0; t < COUNT(threads); t++)
        threads[t] = start_thread(run_nested, NULL);
    for (int t = 0; t < COUNT(threads); t++)
        join_thread(threads[t]);
}

/* ---- cost ------------------------------------------------------------------------------------------ */

static void the_cost_is_that_of_full_leaves(void)
{
    _Atomic float cost = 0;
    struct job jobs[] = {span_job(100), span_job(3000), span_job(64 * GILFREE_LEAF)};
    struct batch *batch = make_batch(&span_row, span_types, jobs, COUNT(jobs));
    batch->all.count = 2;
    CHECK_EQUAL(reduce_run(&batch->all, OPTIONS(.workers = 2, .cost = &cost)).error, GILFREE_OK);
    CHECK(atomic_load(&cost) == 0);
    batch->all.each += 2;
    batch->all.count = 1;
    batch->each_argument[0].each += sizeof *jobs * 2;
    CHECK_EQUAL(reduce_run(&batch->all, OPTIONS(.workers = 2, .cost = &cost)).error, GILFREE_OK);
    CHECK(atomic_load(&cost) > 0);
    CHECK_EQUAL(reduce_run(&batch->all, OPTIONS(.workers = 2, .cost = &cost)).error, GILFREE_OK);
    batch->all.each -= 2;
    free_batch(batch);
}

/* ---- memory ---------------------------------------------------------------------------------------- */

#ifdef GILFREE_STRESS
/* Items that lie otherwise are the ones that need memory in mid-loop. */
static void lack_of_memory_is_an_error_and_nothing_leaks(void)
{
    const gilfree_row *row = find_variant(sums_rows, "sum", ITEM_FLOAT64);
    enum item_format types[GILFREE_ARGUMENTS_MAX];
    struct job jobs[12];
    types_of(row, types);
    int64_t outcomes[3] = {0}; /* right; no memory at all; none for a reduction */
    for (int i = 0; i < COUNT(jobs); i++)
        make_job(&jobs[i], row, i % 3 ? 100 * i : 30000, types, i < 4 ? DENSE : STRIDED);
    struct batch *batch = make_batch(row, types, jobs, COUNT(jobs));
    for (int round = 0; round < 10; round++)
        for (int workers = 1; workers <= 3; workers++)
            for (long count = 0; count < 12; count++) {
                pool_resize(1); /* so that there are no helpers yet */
                pool_resize(4);
                clear_results(batch);
                memory_fail_after(count);
                struct loop_result result = reduce_run(&batch->all, OPTIONS(.workers = workers));
                memory_fail_after(-1);
                CHECK_EQUAL(pool_facts().busy, 0);
                if (result.error == GILFREE_OK) {
                    check_results(batch, result);
                    outcomes[0]++;
                    continue;
                }
                CHECK_EQUAL(result.error, GILFREE_MEMORY);
                CHECK(result.index == -1 || (4 <= result.index && result.index < COUNT(jobs)));
                CHECK(result.index == -1 || count >= 3); /* its own, the partials', the loop's */
                outcomes[result.index < 0 ? 1 : 2]++;
                for (int64_t i = 0; i < result.index; i++)
                    CHECK(same_results(row, batch->all.results + i * GILFREE_RESULTS_MAX, jobs[i].expected));
            }
    CHECK(outcomes[0] > 0 && outcomes[2] > 0);
    CHECK_EQUAL(outcomes[1], 10 * 3 * 3);
    free_batch(batch);

    batch = make_batch(row, types, &jobs[4], 1);
    memory_fail_after(0);
    CHECK_EQUAL(reduce_at_once(&batch->all), GILFREE_MEMORY);
    memory_fail_after(-1);
    CHECK_EQUAL(reduce_at_once(&batch->all), GILFREE_OK);
    CHECK(same_results(row, batch->all.results, jobs[4].expected));
    free_batch(batch);
    for (int i = 0; i < COUNT(jobs); i++)
        free_job(&jobs[i]);
}
#endif

int main(void)
{
    pool_resize(4);
    RUN(every_row_gives_the_bits_of_its_tree);
    RUN(items_that_lie_otherwise_give_the_same_bits);
    RUN(many_short_arrays_are_reduced_each_by_itself);
    RUN(uniform_rows_are_reduced_each_by_itself);
    RUN(blocks_of_many_leaves_give_the_bits_of_the_tree);
    RUN(a_short_reduction_is_had_at_once);
    RUN(every_leaf_is_in_the_tree_once);
    RUN(the_lowest_failing_reduction_is_reported);
    RUN(an_error_stops_what_comes_after_it);
    RUN(a_timeout_stops_a_reduction);
    RUN(a_cancel_stops_a_reduction);
    RUN(reductions_may_nest);
    RUN(the_cost_is_that_of_full_leaves);
#ifdef GILFREE_STRESS
    RUN(lack_of_memory_is_an_error_and_nothing_leaks);
#endif
    return 0;
}
