// Our own declarations of the parts of the binary interface of Huawei's CANN that ComputeAscend uses, and a table of
// its functions that is filled at run time. Building needs no part of CANN, and the code here only finds the functions.
// Names of types, enumerators and functions are CANN's; names that start with CAscend_ are ours. The declarations are
// for ACL 1.13 (CANN 8.1) and 1.17 (CANN 9.x); comments note where the two differ.

#ifndef GENREC_CASCEND_H
#define GENREC_CASCEND_H

#include "CAscendHstu.h"
#include "CAscendLibrary.h"
#include "CAscendStatus.h"
#include "CAscendTypes.h"

#endif
