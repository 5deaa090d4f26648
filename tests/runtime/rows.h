/* rows - what the tests of kernels share: what a signature says, and a reduction by the tree that gilfree.h promises. */
#ifndef ROWS_H
#define ROWS_H

#include <math.h>
#include <stdlib.h>

#include "check.h"
#include "items.h"
#include "kernels.h"

/* ---- random numbers: the same ones with every C library -------------------------------------------- */

static uint64_t random_state = 1;

static inline uint64_t random_bits(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state * UINT64_C(0x2545f4914f6cdd1d);
}

/* From low to high, both included. */
static inline int64_t random_from(int64_t low, int64_t high)
{
    return low + (int64_t)(random_bits() % ((uint64_t)(high - low) + 1));
}

/* ---- signatures ------------------------------------------------------------------------------------ */

/* The types a signature may name: name, format. */
static const struct {
    const char *name;
    enum item_format format;
} row_types[] = {
    {"int64", ITEM_INT64},     {"uint64", ITEM_UINT64},   {"int32", ITEM_INT32}, {"uint8", ITEM_UINT8},
    {"float64", ITEM_FLOAT64}, {"float32", ITEM_FLOAT32}, {"bool", ITEM_BOOL},
};

struct row_argument {
    enum item_format type;
    bool is_array, has_default;
    long long default_value;
    const char *name;
    size_t name_length;
};

struct row_signature {
    enum item_format result;
    int results, arguments, arrays;
    struct row_argument each[GILFREE_ARGUMENTS_MAX];
};

static inline enum item_format read_type(const char **at)
{
    size_t length = strspn(*at, "abcdefghijklmnopqrstuvwxyz0123456789");
    for (int i = 0; i < COUNT(row_types); i++)
        if (strlen(row_types[i].name) == length && strncmp(row_types[i].name, *at, length) == 0) {
            *at += length;
            return row_types[i].format;
        }
    fprintf(stderr, "no type: %s\n", *at);
    CHECK(!"a type is one of the list");
    return ITEM_FORMAT_COUNT;
}

static inline bool skip(const char **at, const char *token)
{
    bool is_there = strncmp(*at, token, strlen(token)) == 0;
    *at += is_there ? strlen(token) : 0;
    return is_there;
}

static inline void read_argument(const char **at, struct row_argument *argument)
{
    argument->type = read_type(at);
    argument->is_array = skip(at, "[]");
    CHECK(skip(at, " "));
    argument->name = *at;
    argument->name_length = strspn(*at, "abcdefghijklmnopqrstuvwxyz_0123456789");
    CHECK(argument->name_length > 0);
    *at += argument->name_length;
    argument->has_default = skip(at, "=");
    if (argument->has_default) {
        char *end;
        CHECK(argument->type == ITEM_INT64 && !argument->is_array);
        argument->default_value = strtoll(*at, &end, 10);
        CHECK(end > *at);
        *at = end;
    }
}

/* "result(type name, type[] name, int64 name=default)" or "(type, type)(...)", and nothing else. */
static inline struct row_signature read_signature(const char *text)
{
    struct row_signature signature = {.results = 1};
    const char *at = text;
    bool are_several = skip(&at, "(");
    signature.result = read_type(&at);
    for (; are_several && skip(&at, ", "); signature.results++)
        CHECK_EQUAL(read_type(&at), signature.result);
    CHECK(signature.results <= GILFREE_RESULTS_MAX);
    CHECK(!are_several || (signature.results > 1 && skip(&at, ")")));
    CHECK(skip(&at, "("));
    do {
        CHECK(signature.arguments < GILFREE_ARGUMENTS_MAX);
        struct row_argument *argument = &signature.each[signature.arguments++];
        read_argument(&at, argument);
        signature.arrays += argument->is_array;
        CHECK(signature.arguments == 1 || argument->has_default >= argument[-1].has_default);
    } while (skip(&at, ", "));
    CHECK(strcmp(at, ")") == 0);
    return signature;
}

/* The row of this name whose first argument is of this type. */
static inline const gilfree_row *find_variant(const gilfree_row *rows, const char *name, enum item_format type)
{
    for (; rows->name; rows++)
        if (strcmp(rows->name, name) == 0 && read_signature(rows->signature).each[0].type == type)
            return rows;
    fprintf(stderr, "no %s\n", name);
    CHECK(!"the row is there");
    return NULL;
}

/* ---- reducing -------------------------------------------------------------------------------------- */

typedef struct {
    _Alignas(16) char bytes[GILFREE_PARTIAL_MAX];
} row_partial;

#define FRESH 0xa5 /* what a fresh partial holds is not clear */

/* Nothing was written beyond the size the row names. */
static inline void check_beyond(const gilfree_row *row, const row_partial *partial)
{
    for (size_t i = row->reduce.size; i < sizeof *partial; i++)
        CHECK_EQUAL((unsigned char)partial->bytes[i], FRESH);
}

/* Leaves [first, first + leaves): a leaf, or the two halves of a tree, of which the left one is as large a power of
 * two as there is. */
static inline void reduce_leaves(const gilfree_row *row, const struct items *arrays, int64_t first, int64_t leaves,
                                 row_partial *partial)
{
    memset(partial, FRESH, sizeof *partial);
    if (leaves > 1) {
        row_partial right;
        int64_t half = 1;
        while (2 * half < leaves)
            half *= 2;
        reduce_leaves(row, arrays, first, half, partial);
        reduce_leaves(row, arrays, first + half, leaves - half, &right);
        row->reduce.combine(partial, &right);
        check_beyond(row, partial);
        return;
    }
    const struct row_signature signature = read_signature(row->signature);
    const void *blocks[GILFREE_ARGUMENTS_MAX] = {NULL};
    int64_t begin = first * GILFREE_LEAF, n = 0;
    for (int a = 0; a < signature.arguments; a++) {
        if (!signature.each[a].is_array)
            continue;
        n = arrays[a].n - begin < GILFREE_LEAF ? arrays[a].n - begin : GILFREE_LEAF;
        /* No byte more than there are items, so that AddressSanitizer sees what reads on. */
        void *block = malloc((size_t)(n * item_size(signature.each[a].type)));
        items_load(&arrays[a], begin, n, signature.each[a].type, block);
        blocks[a] = block;
    }
    row->reduce.partial(begin, n, blocks, partial);
    check_beyond(row, partial);
    for (int a = 0; a < signature.arguments; a++)
        free((void *)blocks[a]);
}

/* A reduction without a loop. arrays[0] is an array. */
static inline gilfree_error reduce_serially(const gilfree_row *row, const struct items *arrays,
                                            const gilfree_number *numbers, gilfree_number *results)
{
    row_partial whole;
    int64_t n = arrays[0].n;
    reduce_leaves(row, arrays, 0, n <= GILFREE_LEAF ? 1 : (n - 1) / GILFREE_LEAF + 1, &whole);
    return row->reduce.finish(&whole, n, numbers, results);
}

static inline struct items dense_items(const void *data, int64_t n, enum item_format format)
{
    return (struct items){.data = (char *)data, .n = n, .format = format, .ndim = 1, .stride = item_size(format)};
}

/* Lengths about the borders of lanes, runs and leaves. */
static const int64_t border_lengths[] __attribute__((unused)) = {
    0,    1,    2,    3,    7,    31,   32,   33,   63,   64,   65,   96,   100,   511,   512,   513,
    543,  544,  545,  1000, 1023, 1024, 1025, 1535, 1536, 1537, 2047, 2048, 2049,  2560,  3071,  3583,
    3584, 3585, 4063, 4064, 4065, 4095, 4096, 4097, 4128, 8191, 8192, 8193, 12288, 12289, 20480, 28673,
};
#define LENGTH_MAX 28673

#endif
