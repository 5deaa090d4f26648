/* The tables of kernels: what every row must say. */
#include "check.h"
#include "kernels.h"
#include "rows.h"

#define NAME_ROWS(family) family##_rows,
static const gilfree_row *const families[] = {GILFREE_FAMILIES(NAME_ROWS)};
#undef NAME_ROWS

#define FAMILIES (sizeof families / sizeof *families)

static void check_range(const gilfree_row *row, const struct row_signature *signature)
{
    CHECK(row->range && !row->reduce.partial && !row->reduce.combine && !row->reduce.finish);
    CHECK_EQUAL(signature->results, 1);
    CHECK(row->low <= row->high);
    CHECK(GILFREE_UNKNOWN <= row->item_cost && row->item_cost <= GILFREE_FLAT);
    for (int a = 0; a < signature->arguments; a++)
        CHECK(!gilfree_has_domain(row) || signature->each[a].type == ITEM_INT64);
}

static void check_reduce(const gilfree_row *row)
{
    CHECK(!row->range && row->reduce.partial && row->reduce.combine && row->reduce.finish);
    CHECK(row->reduce.size > 0 && row->reduce.size <= GILFREE_PARTIAL_MAX);
    CHECK(row->reduce.any_order == 0 || row->reduce.any_order == 1);
    CHECK(!gilfree_has_domain(row));
}

static void every_row_is_whole(void)
{
    for (size_t family = 0; family < FAMILIES; family++) {
        CHECK(families[family]->name);
        for (const gilfree_row *row = families[family]; row->name; row++) {
            CHECK(row->name[0]);
            CHECK(row->doc && row->doc[0] && !strchr(row->doc, '\n') && row->doc[strlen(row->doc) - 1] == '.');
            const struct row_signature signature = read_signature(row->signature);
            if (signature.arrays)
                check_reduce(row);
            else
                check_range(row, &signature);
        }
    }
}

/* Nothing but the types: the caller sees one kernel. */
static void check_variants(const gilfree_row *one, const gilfree_row *other)
{
    const struct row_signature a = read_signature(one->signature), b = read_signature(other->signature);
    CHECK(a.arrays && b.arrays);
    CHECK_EQUAL(a.results, b.results);
    CHECK_EQUAL(a.arguments, b.arguments);
    CHECK(strcmp(one->doc, other->doc) == 0);
    bool differ = false;
    for (int i = 0; i < a.arguments; i++) {
        const struct row_argument *x = &a.each[i], *y = &b.each[i];
        CHECK(x->name_length == y->name_length && memcmp(x->name, y->name, x->name_length) == 0);
        CHECK(x->is_array == y->is_array && x->has_default == y->has_default);
        CHECK_EQUAL(x->default_value, y->default_value);
        CHECK(x->type == y->type || (x->is_array && y->is_array));
        differ = differ || x->type != y->type;
    }
    CHECK(differ);
}

static void rows_of_one_name_are_next_to_one_another_and_differ_in_types(void)
{
    for (size_t family = 0; family < FAMILIES; family++)
        for (const gilfree_row *row = families[family]; row->name; row++)
            for (size_t other = family; other < FAMILIES; other++) {
                bool are_together = other == family;
                for (const gilfree_row *one = other == family ? row + 1 : families[other]; one->name; one++) {
                    bool is_same = strcmp(one->name, row->name) == 0;
                    CHECK(!is_same || are_together);
                    are_together = are_together && is_same;
                    if (is_same)
                        check_variants(row, one);
                }
            }
}

/* An earlier row would take what a later one of a narrower type is for. */
static void narrower_types_come_first(void)
{
    for (size_t family = 0; family < FAMILIES; family++)
        for (const gilfree_row *row = families[family]; row->name && row[1].name; row++) {
            if (strcmp(row->name, row[1].name) != 0)
                continue;
            for (const gilfree_row *one = row + 1; one->name && strcmp(one->name, row->name) == 0; one++)
                CHECK(!item_casts(read_signature(one->signature).each[0].type, read_signature(row->signature).each[0].type));
        }
}

int main(void)
{
    RUN(every_row_is_whole);
    RUN(rows_of_one_name_are_next_to_one_another_and_differ_in_types);
    RUN(narrower_types_come_first);
    return 0;
}
