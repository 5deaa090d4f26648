/* kernels - the families of built-in kernels: one file each, its table of rows at the end.
 * To add a kernel, write its range function and a row. To add a family, write its file and name it here. */
#ifndef GILFREE_KERNELS_H
#define GILFREE_KERNELS_H

#include "gilfree.h"

#define GILFREE_FAMILIES(X) \
    X(integer)              \
    X(elementwise)          \
    X(sums)                 \
    X(extrema)

/* Each table ends with a row without a name. */
#define GILFREE_FAMILY_ROWS(family) extern const gilfree_row family##_rows[];
GILFREE_FAMILIES(GILFREE_FAMILY_ROWS)
#undef GILFREE_FAMILY_ROWS

#endif
