// Huawei's CANN as this project calls it: our own declarations of the parts of its binary interface that ComputeAscend
// uses, and a table of functions that is filled at run time. Building needs no part of CANN, and nothing here has
// behaviour beyond finding the functions. Names of types, enumerators and functions are CANN's; names that start with
// CAscend_ are ours. Facts: ACL 1.13 (CANN 8.1) and 1.17 (CANN 9.x); where the two differ, it says so.

#ifndef GENREC_CASCEND_H
#define GENREC_CASCEND_H

#include "CAscendHstu.h"
#include "CAscendLibrary.h"
#include "CAscendStatus.h"
#include "CAscendTypes.h"

#endif
