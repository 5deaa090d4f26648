/* The pool: its size, its helpers as the system sees them, teams, and threads that cannot be made. */
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>

#include "check.h"
#include "cpus.h"

static struct tally tally;

/* ---- size ----------------------------------------------------------------------------------------- */

static const char *variable;

static void good_loop_without_a_size(void)
{
    CHECK_EQUAL(setenv("GILFREE_WORKERS", variable, 1), 0);
    CHECK_EQUAL(pool_size(), 0);
    check_loop(&tally, 5000, OPTIONS(.workers = 3));
    CHECK_EQUAL(pool_resize(3), 0);
    CHECK_EQUAL(pool_size(), 3);
}

static void a_bad_variable_gives_no_size(void)
{
    static const char *const bad[] = {"0",   "-2",  "1025", "two", "4x", "4 4", "1.5", "0x4", "-",
                                      "4\n", "99999999999999999999", "-99999999999999999999", "4294967298", " "};
    for (int i = 0; i < COUNT(bad); i++) {
        variable = bad[i];
        run_in_child(good_loop_without_a_size);
    }
}

static int expected_size;

static void check_size(void)
{
    if (variable)
        CHECK_EQUAL(setenv("GILFREE_WORKERS", variable, 1), 0);
    else
        unsetenv("GILFREE_WORKERS");
    CHECK_EQUAL(pool_size(), expected_size);
    CHECK_EQUAL(pool_resize(7), 0);
    CHECK_EQUAL(pool_size(), 7);
    CHECK_EQUAL(pool_resize(2), 7);
    CHECK_EQUAL(pool_size(), 2);
    CHECK_EQUAL(pool_resize(0), 2);
    CHECK_EQUAL(pool_size(), expected_size);
    CHECK_EQUAL(pool_resize(0), 0);
}

static void a_good_variable_is_the_size(void)
{
    const int here = cpus_here().count;
    const struct {
        const char *variable;
        int size;
    } good[] = {{"1", 1}, {"4", 4}, {"1024", 1024}, {"007", 7}, {"-1", here}, {"", here}, {NULL, here}};
    for (int i = 0; i < COUNT(good); i++) {
        variable = good[i].variable;
        expected_size = good[i].size;
        run_in_child(check_size);
    }
}

/* ---- helpers -------------------------------------------------------------------------------------- */

static void nothing_starts_before_it_is_needed(void)
{
    pool_resize(4);
    check_helpers(0);
    for (int i = 0; i < 100; i++)
        check_loop(&tally, 1, OPTIONS(.workers = 4));
    check_loop(&tally, 100000, OPTIONS(.workers = 1));
    check_helpers(0);
}

static void helpers_are_kept(void)
{
    pool_resize(4);
    for (int i = 0; i < 10; i++)
        meet(3);
    check_helpers(2);
    CHECK_EQUAL(pool_facts().busy, 0);
    CHECK_EQUAL(pool_facts().create_error, 0);
}

static void a_call_may_name_more_workers_than_the_pool(void)
{
    pool_resize(2);
    meet(3);
    check_helpers(2);
    pool_resize(4);
}

static void a_smaller_pool_joins_idle_helpers(void)
{
    pool_resize(3);
    meet(3);
    check_helpers(2);
    pool_resize(2);
    check_helpers(1);
    pool_resize(0);
    check_helpers(1);
    pool_resize(1);
    check_helpers(0);
    pool_resize(4);
    meet(3);
    check_helpers(2);
}

/* ---- helpers, as the system sees them ------------------------------------------------------------- */

#ifdef __linux__
static void check_name_and_signals(const char *tid, const char *comm)
{
    char status[4096], *end;
    long number = strtol(comm + strlen("gilfree-"), &end, 10);
    CHECK(number >= 1 && *end == '\n');

    CHECK(read_task_file(tid, "status", status, sizeof status));
    const char *line = strstr(status, "SigBlk:");
    CHECK(line);
    unsigned long long blocked = strtoull(line + strlen("SigBlk:"), NULL, 16);
    for (int number = 1; number <= SIGRTMAX; number++)
        if (number != SIGKILL && number != SIGSTOP && (number < 32 || number >= SIGRTMIN))
            CHECK(blocked >> (number - 1) & 1);
}

static void helpers_have_names_and_block_all_signals(void)
{
    pool_resize(1);
    pool_resize(4);
    meet(3);
    CHECK_EQUAL(each_helper(check_name_and_signals), 2);
}

static cpu_set_t own_mask;
static int free_helpers;

static void count_free(const char *tid, const char *comm)
{
    cpu_set_t mask;
    (void)comm;
    CHECK(sched_getaffinity(atoi(tid), sizeof mask, &mask) == 0);
    free_helpers += CPU_EQUAL(&mask, &own_mask);
}

/* Who wakes a helper keeps it off one CPU. It has its whole affinity back once it has run; one that was taken back
 * before it did, the next time. */
static void helpers_may_run_anywhere(void)
{
    CHECK(sched_getaffinity(0, sizeof own_mask, &own_mask) == 0);
    pool_resize(3);
    for (int round = 0; round < (SLOW ? 50 : 200); round++) {
        WAIT_FOR((meet(3), free_helpers = 0, each_helper(count_free), free_helpers == 2));
        if (round % 2)
            WAIT_FOR(!pool_is_hot()); /* the next one has to be woken from its sleep */
    }
}

static void the_mask_of_the_calling_thread_stays(void)
{
    sigset_t mask, before;
    sigemptyset(&mask);
    sigaddset(&mask, SIGUSR1);
    CHECK_EQUAL(pthread_sigmask(SIG_SETMASK, &mask, &before), 0);
    pool_resize(1);
    pool_resize(4);
    meet(3);
    CHECK_EQUAL(pthread_sigmask(SIG_SETMASK, &before, &mask), 0);
    for (int number = 1; number <= SIGRTMAX; number++)
        CHECK_EQUAL(sigismember(&mask, number), number == SIGUSR1);
}

/* pthread_create fails while no stack can be had. */
static void threads_may_not_be_had(void)
{
    pthread_attr_t before, greedy;
    CHECK_EQUAL(pthread_getattr_default_np(&before), 0);
    CHECK_EQUAL(pthread_attr_init(&greedy), 0);
    CHECK_EQUAL(pthread_attr_setstacksize(&greedy, (size_t)1 << 50), 0);
    pool_resize(1);
    pool_resize(4);
    CHECK_EQUAL(pthread_setattr_default_np(&greedy), 0);
    for (int round = 0; round < 10; round++)
        check_loop(&tally, 5000, OPTIONS(.workers = 4));
    CHECK(pool_facts().create_error != 0);
    CHECK_EQUAL(pool_facts().busy, 0);
    check_helpers(0);
    CHECK_EQUAL(pthread_setattr_default_np(&before), 0);
    pthread_attr_destroy(&greedy);
    pthread_attr_destroy(&before);
    meet(3);
    check_helpers(2);
}

static void *is_not_main(void *argument)
{
    (void)argument;
    CHECK(!thread_is_main());
    return NULL;
}

static void check_is_main(void)
{
    CHECK(thread_is_main());
}

static void *fork_off_main(void *argument)
{
    (void)argument;
    run_in_child(check_is_main);
    return NULL;
}

static void one_thread_is_main(void)
{
    CHECK(thread_is_main());
    join_thread(start_thread(is_not_main, NULL));
    join_thread(start_thread(fork_off_main, NULL));
    CHECK(thread_is_main());
}
#endif

/* ---- teams ---------------------------------------------------------------------------------------- */

struct crew {
    struct team team;
    atomic_int helps, stops, error;
    atomic_bool release;
};

static void crew_help(struct team *team)
{
    struct crew *crew = (struct crew *)team;
    atomic_fetch_add(&crew->helps, 1);
    WAIT_FOR(atomic_load(&crew->release));
}

static void crew_stop(struct team *team, int error)
{
    struct crew *crew = (struct crew *)team;
    atomic_fetch_add(&crew->stops, 1);
    atomic_store(&crew->error, error);
    atomic_store(&crew->release, true);
}

static int64_t release_crew(struct team *team)
{
    atomic_store(&((struct crew *)team)->release, true);
    return NEVER;
}

static struct crew *new_crew(int limit, const void *owner)
{
    struct crew *crew = calloc(1, sizeof *crew);
    CHECK(crew);
    crew->team = (struct team){.limit = limit, .help = crew_help, .stop = crew_stop, .owner = owner};
    return crew;
}

static void a_team_gets_as_many_helpers_as_it_may(void)
{
    pool_resize(3);
    for (int limit = 0; limit <= 2; limit++) {
        struct crew *crew = new_crew(limit, NULL);
        pool_enter(&crew->team);
        CHECK_EQUAL(pool_facts().busy, 1);
        for (int i = 0; i < 4; i++)
            CHECK_EQUAL(pool_invite(&crew->team), i < limit);
        CHECK_EQUAL(team_helpers(&crew->team), limit);
        CHECK_EQUAL(pool_facts().busy, 1 + limit);
        WAIT_FOR(atomic_load(&crew->helps) == limit);
        pool_leave(&crew->team, release_crew);
        CHECK_EQUAL(team_helpers(&crew->team), 0);
        CHECK_EQUAL(pool_facts().busy, 0);
        free(crew);
    }
}

/* The pool is full: a team inside another gets what the outer one left. */
static void a_team_inside_another_shares_the_pool(void)
{
    pool_resize(3);
    struct crew *outer = new_crew(2, NULL), *inner = new_crew(2, NULL);
    pool_enter(&outer->team);
    CHECK(pool_invite(&outer->team));
    pool_enter(&inner->team);
    CHECK_EQUAL(pool_facts().busy, 2);
    CHECK(pool_invite(&inner->team));
    CHECK(!pool_invite(&inner->team));
    CHECK(!pool_invite(&outer->team));
    pool_leave(&inner->team, release_crew);
    CHECK_EQUAL(pool_facts().busy, 2);
    free(inner);
    CHECK(pool_invite(&outer->team));
    pool_leave(&outer->team, release_crew);
    CHECK_EQUAL(pool_facts().busy, 0);
    free(outer);
}

static void a_brief_help(struct team *team)
{
    atomic_fetch_add(&((struct crew *)team)->helps, 1);
}

/* Invited and at once sent away: a helper has either helped once or not at all, and the team may be freed. */
static void helpers_that_have_not_started_are_taken_back(void)
{
    pool_resize(4);
    for (int round = 0; round < (SLOW ? 2000 : 10000); round++) {
        struct crew *crew = new_crew(3, NULL);
        crew->team.help = a_brief_help;
        pool_enter(&crew->team);
        int invited = 0;
        for (int i = 0; i < round % 4; i++)
            invited += pool_invite(&crew->team);
        pool_leave(&crew->team, release_crew);
        CHECK(atomic_load(&crew->helps) <= invited);
        free(crew);
    }
    CHECK_EQUAL(pool_facts().busy, 0);
    meet(3);
}

/* Two callers of a pool of three invite at the same moment: there is one helper to be had. */
#define ROUNDS (SLOW ? 500 : 3000)

static atomic_int entered, asked, invited;

static void *compete(void *argument)
{
    (void)argument;
    for (int round = 1; round <= ROUNDS; round++) {
        struct crew *crew = new_crew(1, NULL);
        pool_enter(&crew->team);
        atomic_fetch_add(&entered, 1);
        WAIT_FOR(atomic_load(&entered) >= 2 * round);
        atomic_fetch_add(&invited, pool_invite(&crew->team));
        atomic_fetch_add(&asked, 1);
        WAIT_FOR(atomic_load(&asked) >= 2 * round);
        CHECK_EQUAL(atomic_load(&invited), round);
        pool_leave(&crew->team, release_crew);
        free(crew);
    }
    return NULL;
}

static void callers_do_not_get_the_same_helper(void)
{
    pool_resize(3);
    pthread_t other = start_thread(compete, NULL);
    compete(NULL);
    join_thread(other);
    CHECK_EQUAL(pool_facts().busy, 0);
}

static void only_the_teams_of_one_owner_are_stopped(void)
{
    int owner, other;
    pool_resize(3);
    struct crew *mine = new_crew(1, &owner), *others = new_crew(1, &other);
    pool_enter(&mine->team);
    pool_enter(&others->team);
    CHECK(pool_invite(&mine->team));
    CHECK(pool_invite(&others->team));
    pool_stop(&owner, GILFREE_EXITING);
    CHECK_EQUAL(atomic_load(&mine->stops), 1);
    CHECK_EQUAL(atomic_load(&mine->error), GILFREE_EXITING);
    CHECK_EQUAL(atomic_load(&others->stops), 0);
    pool_leave(&others->team, release_crew);
    pool_leave(&mine->team, release_crew);
    pool_stop(&owner, GILFREE_EXITING); /* the teams are gone */
    CHECK_EQUAL(atomic_load(&mine->stops), 1);
    free(mine);
    free(others);
}

int main(void)
{
    RUN(a_bad_variable_gives_no_size);
    RUN(a_good_variable_is_the_size);
    RUN(nothing_starts_before_it_is_needed);
    RUN(helpers_are_kept);
    RUN(a_call_may_name_more_workers_than_the_pool);
    RUN(a_smaller_pool_joins_idle_helpers);
#ifdef __linux__
    RUN(helpers_have_names_and_block_all_signals);
    RUN(helpers_may_run_anywhere);
    RUN(the_mask_of_the_calling_thread_stays);
    RUN(threads_may_not_be_had);
    RUN(one_thread_is_main);
#endif
    RUN(a_team_gets_as_many_helpers_as_it_may);
    RUN(a_team_inside_another_shares_the_pool);
    RUN(helpers_that_have_not_started_are_taken_back);
    RUN(callers_do_not_get_the_same_helper);
    RUN(only_the_teams_of_one_owner_are_stopped);
    return 0;
}
