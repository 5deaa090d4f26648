/* The clock: it goes forward, and a moment too far to say is never. */
#include "check.h"

static void it_never_goes_back(void)
{
    for (int64_t last = clock_now(), i = 0; i < 1000; i++) {
        int64_t now = clock_now();
        CHECK(now >= last);
        last = now;
    }
}

static void a_moment_too_far_is_never(void)
{
    CHECK_EQUAL(clock_after(100, 50), 150);
    CHECK_EQUAL(clock_after(100, 0), 100);
    CHECK_EQUAL(clock_after(100, -50), 50);
    CHECK_EQUAL(clock_after(100, NEVER), NEVER);
    CHECK_EQUAL(clock_after(100, NEVER - 100), NEVER);
    CHECK_EQUAL(clock_after(100, NEVER - 101), NEVER - 1);
}

int main(void)
{
    RUN(it_never_goes_back);
    RUN(a_moment_too_far_is_never);
    return 0;
}
