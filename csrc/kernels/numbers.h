/* numbers - the types of numbers that a family has variants for, and how a table names them. */
#ifndef GILFREE_NUMBERS_H
#define GILFREE_NUMBERS_H

#include <stdint.h>

/* X(name in a signature, C type, the type its sum has). The order is that of the rows: the first that an array
 * can be cast to is used. */
#define INTEGER_TYPES(X)              \
    X(uint8, uint8_t, uint64)         \
    X(int32, int32_t, int64)          \
    X(int64, int64_t, int64)          \
    X(uint64, uint64_t, uint64)
#define FLOAT_TYPES(X)                \
    X(float32, float, float64)        \
    X(float64, double, float64)
#define NUMBER_TYPES(X) INTEGER_TYPES(X) FLOAT_TYPES(X)

#endif
