// Types of functions that the emulator has and ComputeAscend does not call.

#pragma once

#include "CAscendTypes.h"

typedef enum aclrtEventStatus : int32_t { ACL_EVENT_STATUS_COMPLETE = 0, ACL_EVENT_STATUS_NOT_READY = 1 } aclrtEventStatus;
/// The other polarity: CANN has both.
typedef enum aclrtEventRecordedStatus : int32_t {
    ACL_EVENT_RECORDED_STATUS_NOT_READY = 0,
    ACL_EVENT_RECORDED_STATUS_COMPLETE = 1,
} aclrtEventRecordedStatus;
typedef enum aclrtStreamStatus : int32_t {
    ACL_STREAM_STATUS_COMPLETE = 0,
    ACL_STREAM_STATUS_NOT_READY = 1,
} aclrtStreamStatus;
