/* targets - functions compiled once for each kind of CPU, and chosen when the library is loaded. Every copy
 * gives the same bits: the operations are the same, and the build forbids contracting them. */
#ifndef GILFREE_TARGETS_H
#define GILFREE_TARGETS_H

#include <stdint.h> /* with glibc: __GLIBC__ */

/* GCC with glibc: the choice is made by an ifunc, which neither musl nor the sanitizers stand. */
#if defined(__x86_64__) && defined(__gnu_linux__) && defined(__GLIBC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define FOR_EACH_VECTOR_WIDTH __attribute__((target_clones("avx512f", "avx2", "default")))
#define WITH_AND_WITHOUT_BMI2 __attribute__((target_clones("bmi2", "default"))) /* shifts that leave the flags alone */
#else
#define FOR_EACH_VECTOR_WIDTH
#define WITH_AND_WITHOUT_BMI2
#endif

#endif
