/* memory - reading alone, as fast as it goes: the yardstick for whatever reads an array once. */
#include <omp.h>
#include <stdint.h>

#include "native.h"

typedef uint64_t line __attribute__((vector_size(64), aligned(8)));

#define LINES 8

static line fold_lines(const line *lines, int64_t begin, int64_t end)
{
    line folded[LINES] = {0};
    int64_t i = begin;
    for (; i + LINES <= end; i += LINES)
        for (int k = 0; k < LINES; k++)
            folded[k] ^= lines[i + k];
    for (; i < end; i++)
        folded[0] ^= lines[i];
    for (int k = 1; k < LINES; k++)
        folded[0] ^= folded[k];
    return folded[0];
}

#define STREAMS 4

/* From STREAMS places at once: that keeps more pages open, and more of the hardware's prefetchers at work. */
static line fold_streams(const line *lines, int64_t begin, int64_t end)
{
    line folded[STREAMS][2] = {0};
    int64_t each = (end - begin) / STREAMS / 2 * 2;
    for (int64_t i = begin; i < begin + each; i += 2)
        for (int s = 0; s < STREAMS; s++)
            for (int k = 0; k < 2; k++)
                folded[s][k] ^= lines[s * each + i + k];
    line rest = fold_lines(lines, begin + STREAMS * each, end);
    for (int s = 0; s < STREAMS; s++)
        rest ^= folded[s][0] ^ folded[s][1];
    return rest;
}

/* uint64_t NAME(x, n): all n numbers, combined by exclusive or. */
#define READ(name, fold)                                                           \
    uint64_t name(const uint64_t *x, int64_t n)                                    \
    {                                                                              \
        const int64_t numbers = sizeof(line) / sizeof *x, lines = n / numbers;     \
        uint64_t all = 0;                                                          \
        _Pragma("omp parallel reduction(^ : all)")                                 \
        {                                                                          \
            int64_t me = omp_get_thread_num(), team = omp_get_num_threads();       \
            line folded = fold((const line *)x, lines * me / team, lines * (me + 1) / team); \
            for (int k = 0; k < numbers; k++)                                      \
                all ^= folded[k];                                                  \
        }                                                                          \
        for (int64_t i = lines * numbers; i < n; i++)                              \
            all ^= x[i];                                                           \
        return all;                                                                \
    }

READ(read_one_stream, fold_lines)
READ(read_four_streams, fold_streams)
