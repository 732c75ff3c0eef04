// Checks our declarations against CANN's. Sizes were printed by a program compiled against CANN 8.1's headers and, for
// types of the runtime, 9.x's; values of enumerations were read from both.

#include "CAscend.h"

_Static_assert(sizeof(aclError) == 4 && sizeof(aclnnStatus) == 4, "status codes are 32 bits");
_Static_assert(sizeof(aclDataType) == 4 && sizeof(aclFormat) == 4, "enumerations are 32 bits");
_Static_assert(sizeof(aclrtMemcpyKind) == 4 && sizeof(aclrtMemMallocPolicy) == 4, "enumerations are 32 bits");
_Static_assert(sizeof(aclrtMemAttr) == 4 && sizeof(aclSysParamOpt) == 4 && sizeof(aclrtLastErrLevel) == 4 && sizeof(aclmdlRICaptureMode) == 4, "enumerations are 32 bits");
_Static_assert(sizeof(aclCANNPackageName) == 4, "enumerations are 32 bits");
_Static_assert(sizeof(bool) == 1 && sizeof(void *) == 8 && sizeof(size_t) == 8, "a 64-bit host");
_Static_assert(sizeof(CAscend_cubeMathType) == 1, "cubeMathType is int8_t");

_Static_assert(sizeof(aclCANNPackageVersion) == 512, "aclCANNPackageVersion is 512 bytes");
_Static_assert(offsetof(aclCANNPackageVersion, majorVersion) == 128, "aclCANNPackageVersion: version is 128 bytes");
_Static_assert(offsetof(aclCANNPackageVersion, reserved) == 384, "aclCANNPackageVersion: four parts of 64 bytes");

_Static_assert(ACL_FLOAT == 0 && ACL_FLOAT16 == 1 && ACL_INT8 == 2 && ACL_INT32 == 3 && ACL_UINT8 == 4, "aclDataType");
_Static_assert(ACL_INT64 == 9 && ACL_BOOL == 12 && ACL_BF16 == 27, "aclDataType");
_Static_assert(ACL_FORMAT_ND == 2 && ACL_FORMAT_FRACTAL_NZ == 29, "aclFormat");
_Static_assert(ACL_MEMCPY_HOST_TO_DEVICE == 1 && ACL_MEMCPY_DEVICE_TO_HOST == 2, "aclrtMemcpyKind");
_Static_assert(ACL_MEMCPY_HOST_TO_HOST == 0 && ACL_MEMCPY_DEVICE_TO_DEVICE == 3, "aclrtMemcpyKind");
_Static_assert(ACL_MEM_MALLOC_HUGE_FIRST == 0 && ACL_MEM_MALLOC_NORMAL_ONLY == 2, "aclrtMemMallocPolicy");
_Static_assert(ACL_DDR_MEM == 0 && ACL_HBM_MEM == 1, "aclrtMemAttr");
_Static_assert(ACL_STREAM_FAST_LAUNCH == 1 && ACL_STREAM_FAST_SYNC == 2, "stream flags");
_Static_assert(ACL_EVENT_SYNC == 1 && ACL_EVENT_TIME_LINE == 8, "event flags");
_Static_assert(ACL_OPT_DETERMINISTIC == 0 && ACL_PKG_NAME_CANN == 0, "aclSysParamOpt, aclCANNPackageName");
_Static_assert(ACL_ERROR_REPEAT_INITIALIZE == 100002 && ACL_ERROR_RT_MEMORY_ALLOCATION == 207001, "aclError");
_Static_assert(ACL_ERROR_RT_AICORE_EXCEPTION == 507015 && ACL_ERROR_RT_EVENT_SYNC_TIMEOUT == 507047, "aclError");
_Static_assert(ACLNN_ERR_PARAM_INVALID == 161002 && ACLNN_ERR_INNER_FIND_KERNEL == 561003, "aclnnStatus");
