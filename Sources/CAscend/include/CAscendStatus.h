// Status codes of ACL and aclnn with their names. 1xxxxx: the caller or the environment; 2xxxxx: resources; 5xxxxx: the
// device or the runtime; 161xxx, 361xxx and 561xxx: operators.

#ifndef GENREC_CASCEND_STATUS_H
#define GENREC_CASCEND_STATUS_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum CAscend_status : int32_t {
#define CASCEND_STATUS(value, name) name = value,
#include "lists/status.inc"
#undef CASCEND_STATUS
} CAscend_status;

/// The name of a status, such as "ACL_ERROR_RT_AICORE_EXCEPTION"; NULL for a value not listed here.
const char *CAscend_statusName(int32_t status);

#ifdef __cplusplus
}
#endif

#endif
