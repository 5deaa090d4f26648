/* Memory: what is asked for is there; and in the stress build, a loop that finds none for itself says so, and one that finds
 * none for its helpers is right without them. */
#include <stdint.h>
#include <stdlib.h>

#include "check.h"
#include "memory.h"

static void what_was_written_survives_growth(void)
{
    char *text = memory_resize(NULL, 4);
    CHECK(text);
    memcpy(text, "abc", 4);
    text = memory_resize(text, 100000);
    CHECK(text && strcmp(text, "abc") == 0);
    free(text);
}

static void nothing_is_something_to_free(void)
{
    void *nothing = memory_resize(NULL, 0);
    CHECK(nothing);
    free(nothing);
}

static void allocations_fail_on_demand_only(void)
{
#ifdef GILFREE_STRESS
    for (long count = 0; count < 3; count++) {
        memory_fail_after(count);
        for (long i = 0; i < 5; i++) {
            void *memory = memory_resize(NULL, 10);
            CHECK((memory == NULL) == (i == count));
            free(memory);
        }
    }
    memory_fail_after(-1);
#endif
    CHECK(!memory_fails_now());
}

#ifdef GILFREE_STRESS
static void there_may_be_no_memory_for_a_cancel(void)
{
    memory_fail_after(0);
    CHECK(cancel_new() == NULL);
    struct cancel *cancel = cancel_new();
    CHECK(cancel && !cancel_is_set(cancel));
    cancel_release(cancel);
}

static struct tally tally;

static void a_loop_without_memory_runs_no_item(void)
{
    tally_clear(&tally, 100);
    memory_fail_after(0);
    struct loop_result result = loop_run(tally_body, 100, &tally, OPTIONS(.workers = 4));
    CHECK_EQUAL(result.error, GILFREE_MEMORY);
    CHECK_EQUAL(result.index, -1);
    CHECK_EQUAL(result.finished, 0);
    for (int i = 0; i < 100; i++)
        CHECK_EQUAL(atomic_load(&tally.runs[i]), 0);
    CHECK_EQUAL(pool_facts().busy, 0);
}

static void a_loop_needs_no_helper(void)
{
    for (long count = 1; count < 4; count++)
        for (int k = 0; k < COUNT(item_costs); k++) {
            pool_resize(1); /* so that there are no helpers yet */
            pool_resize(4);
            memory_fail_after(count);
            check_loop(&tally, 10000, OPTIONS(.workers = 4, .item_cost = item_costs[k]));
            memory_fail_after(-1);
            CHECK_EQUAL(pool_facts().busy, 0);
        }
}

static void one_item(gilfree_worker *worker, int64_t begin, int64_t end, const void *context)
{
    (void)worker, (void)begin, (void)end, (void)context;
}

/* The first helper of the loop cannot be made, is counted as failed, and the next one can. */
static void helpers_come_when_there_is_memory_again(void)
{
    pool_resize(1);
    pool_resize(4);
    check_helpers(0);
    memory_fail_after(1);
    loop_run(one_item, 2, NULL, OPTIONS(.workers = 2, .chunksize = 1, .item_cost = GILFREE_UNKNOWN));
    CHECK(pool_facts().create_error != 0);
    CHECK(!memory_fails_now());
    meet(3);
    check_helpers(2);
}
#endif

int main(void)
{
    RUN(what_was_written_survives_growth);
    RUN(nothing_is_something_to_free);
    RUN(allocations_fail_on_demand_only);
#ifdef GILFREE_STRESS
    RUN(there_may_be_no_memory_for_a_cancel);
    RUN(a_loop_without_memory_runs_no_item);
    RUN(a_loop_needs_no_helper);
    RUN(helpers_come_when_there_is_memory_again);
#endif
    return 0;
}
