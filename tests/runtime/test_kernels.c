/* The tables of kernels: what every row must say. */
#include "check.h"
#include "kernels.h"

#define NAME_ROWS(family) family##_rows,
static const gilfree_row *const families[] = {GILFREE_FAMILIES(NAME_ROWS)};
#undef NAME_ROWS

#define FAMILIES (sizeof families / sizeof *families)

static bool is_type(const char *type, size_t length)
{
    static const char *const types[] = {"int64", "float64", "bool"};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strlen(types[i]) == length && strncmp(types[i], type, length) == 0)
            return true;
    return false;
}

/* "result(type name, type name)": at least one argument, at most GILFREE_ARGUMENTS_MAX. */
static void check_signature(const char *signature)
{
    const char *at = strchr(signature, '(');
    CHECK(at && is_type(signature, (size_t)(at - signature)));
    for (int arguments = 1;; arguments++) {
        CHECK(arguments <= GILFREE_ARGUMENTS_MAX);
        at++;
        size_t type = strcspn(at, " ");
        CHECK(is_type(at, type) && at[type] == ' ');
        at += type + 1;
        size_t name = strspn(at, "abcdefghijklmnopqrstuvwxyz_0123456789");
        CHECK(name > 0);
        at += name;
        if (*at == ')')
            break;
        CHECK(*at++ == ',' && *at == ' ');
    }
    CHECK(at[1] == '\0');
}

static void every_row_is_whole(void)
{
    for (size_t family = 0; family < FAMILIES; family++) {
        CHECK(families[family]->name);
        for (const gilfree_row *row = families[family]; row->name; row++) {
            CHECK(row->name[0] && row->range);
            CHECK(row->low <= row->high);
            CHECK(GILFREE_UNKNOWN <= row->item_cost && row->item_cost <= GILFREE_FLAT);
            CHECK(row->doc && row->doc[0] && !strchr(row->doc, '\n') && row->doc[strlen(row->doc) - 1] == '.');
            check_signature(row->signature);
        }
    }
}

static void every_name_is_there_once(void)
{
    for (size_t family = 0; family < FAMILIES; family++)
        for (const gilfree_row *row = families[family]; row->name; row++) {
            int found = 0;
            for (size_t other = 0; other < FAMILIES; other++)
                for (const gilfree_row *one = families[other]; one->name; one++)
                    found += strcmp(one->name, row->name) == 0;
            CHECK_EQUAL(found, 1);
        }
}

int main(void)
{
    RUN(every_row_is_whole);
    RUN(every_name_is_there_once);
    return 0;
}
