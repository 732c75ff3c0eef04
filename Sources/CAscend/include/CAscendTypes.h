// Handles, enumerations and structures of ACL (runtime) and aclnn (operators). Enumerations are 4 bytes wide and have
// a fixed underlying type here, so that they can hold values that this header does not name.

#ifndef GENREC_CASCEND_TYPES_H
#define GENREC_CASCEND_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/// What runtime calls return; 0 is success. Named values: CAscendStatus.h.
typedef int aclError;
/// What operator calls return; 0 is success.
typedef int32_t aclnnStatus;

typedef void *aclrtStream;
typedef void *aclrtEvent;
typedef void *aclmdlRI;
typedef void *aclrtContext;

typedef struct aclTensor aclTensor;
typedef struct aclScalar aclScalar;
typedef struct aclIntArray aclIntArray;
typedef struct aclTensorList aclTensorList;
/// The plan of one operator call: made by phase 1, consumed by phase 2.
typedef struct aclOpExecutor aclOpExecutor;

/// Element types that this project uses.
typedef enum aclDataType : int32_t {
    ACL_FLOAT = 0,
    ACL_FLOAT16 = 1,
    ACL_INT8 = 2,
    ACL_INT32 = 3,
    ACL_UINT8 = 4,
    ACL_INT64 = 9,
    ACL_BOOL = 12,
    ACL_BF16 = 27,
} aclDataType;

/// Layouts that this project uses.
typedef enum aclFormat : int32_t {
    ACL_FORMAT_ND = 2,
    /// 16 × 16 blocks, columns of blocks outermost, as the matrix unit reads them.
    ACL_FORMAT_FRACTAL_NZ = 29,
} aclFormat;

typedef enum aclrtMemcpyKind : int32_t {
    ACL_MEMCPY_HOST_TO_HOST = 0,
    ACL_MEMCPY_HOST_TO_DEVICE = 1,
    ACL_MEMCPY_DEVICE_TO_HOST = 2,
    ACL_MEMCPY_DEVICE_TO_DEVICE = 3,
} aclrtMemcpyKind;

typedef enum aclrtMemMallocPolicy : int32_t {
    ACL_MEM_MALLOC_HUGE_FIRST = 0,
    ACL_MEM_MALLOC_HUGE_ONLY = 1,
    ACL_MEM_MALLOC_NORMAL_ONLY = 2,
} aclrtMemMallocPolicy;

typedef enum aclrtMemAttr : int32_t {
    ACL_DDR_MEM = 0,
    /// Chips without HBM report DDR's numbers.
    ACL_HBM_MEM = 1,
} aclrtMemAttr;

/// Flags of aclrtCreateStreamWithConfig.
typedef enum CAscend_streamFlag : uint32_t {
    /// Allocates launch resources when the stream is made.
    ACL_STREAM_FAST_LAUNCH = 1,
    /// Spins while waiting for the stream.
    ACL_STREAM_FAST_SYNC = 2,
} CAscend_streamFlag;

/// Flags of aclrtCreateEventExWithFlag.
typedef enum CAscend_eventFlag : uint32_t {
    ACL_EVENT_SYNC = 1,
    ACL_EVENT_TIME_LINE = 8,
} CAscend_eventFlag;

/// Where CANN refuses calls that could not be ordered with a stream while it is captured: on all threads, on the
/// capturing one, or nowhere.
typedef enum aclmdlRICaptureMode : int32_t {
    ACL_MODEL_RI_CAPTURE_MODE_GLOBAL = 0,
    ACL_MODEL_RI_CAPTURE_MODE_THREAD_LOCAL = 1,
    ACL_MODEL_RI_CAPTURE_MODE_RELAXED = 2,
} aclmdlRICaptureMode;

typedef enum aclrtLastErrLevel : int32_t {
    ACL_RT_THREAD_LEVEL = 0,
} aclrtLastErrLevel;

typedef enum aclSysParamOpt : int32_t {
    /// 0 off, 1 on.
    ACL_OPT_DETERMINISTIC = 0,
} aclSysParamOpt;

typedef enum aclCANNPackageName : int32_t {
    ACL_PKG_NAME_CANN = 0,
} aclCANNPackageName;

typedef struct aclCANNPackageVersion {
    char version[128];
    char majorVersion[64];
    char minorVersion[64];
    char releaseVersion[64];
    char patchVersion[64];
    char reserved[128];
} aclCANNPackageVersion;

/// How matrix products may treat their operands' types: the last argument of aclnnMm and aclnnBatchMatMul.
typedef enum CAscend_cubeMathType : int8_t {
    /// Keeps the operands' types. Not for float32 on 310P and 910.
    KEEP_DTYPE = 0,
    /// May convert float32 to HF32 (910B and later) or float16 (310P, 910).
    ALLOW_FP32_DOWN_PRECISION = 1,
} CAscend_cubeMathType;

#ifdef __cplusplus
}
#endif

#endif
