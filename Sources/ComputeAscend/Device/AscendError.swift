// What CANN's status codes mean to the engine.

internal import CAscend
internal import Compute

/// The phase in which a call failed.
enum CallPhase {
    /// Phase 1 of an operator, and functions that only compute sizes: nothing has been enqueued.
    case plan
    /// Phase 2 of an operator, and every runtime call.
    case run
}

extension ComputeError.Code {
    /// The kind of failure that a status means (ranges and names: design of the interface, CANN's error reference).
    ///
    /// A failure of phase 1 is only a refusal: the device is unchanged, whatever the status. Composed operators return
    /// 561103 for a missing kernel and for an unsupported shape, generated ones 561002 or 561003 (opbase,
    /// kernel_workspace.cpp and indv_executor.cpp). Lack of memory, and an earlier failure of the device (5xxxxx of the
    /// runtime), keep their kinds.
    init(status: Int32, phase: CallPhase) {
        switch CAscend_status(rawValue: status) {
        case ACL_ERROR_RT_MEMORY_ALLOCATION, ACL_ERROR_RT_DEVICE_OOM, ACL_ERROR_BAD_ALLOC:
            self = .outOfMemory
        case _ where phase == .plan && !(500_000..<561_000).contains(status):
            self = .unsupported
        case ACL_ERROR_RT_STREAM_SYNC_TIMEOUT, ACL_ERROR_RT_EVENT_SYNC_TIMEOUT, ACL_ERROR_RT_WAIT_TIMEOUT,
            ACL_ERROR_RT_TASK_TIMEOUT, ACL_ERROR_RT_TIMEOUT:
            self = .timedOut
        case ACL_ERROR_RT_LOST_HEARTBEAT, ACL_ERROR_RT_DEV_SETUP_ERROR, ACL_ERROR_RT_NO_DEVICE,
            ACL_ERROR_RT_SOCKET_CLOSE, ACL_ERROR_RT_DRV_INTERNAL_ERROR, ACL_ERROR_RT_TS_ERROR,
            ACL_ERROR_RT_LINK_ERROR:
            self = .deviceLost
        case ACLNN_ERR_PARAM_NULLPTR, ACLNN_ERR_PARAM_INVALID, ACL_ERROR_RT_FEATURE_NOT_SUPPORT,
            ACL_ERROR_API_NOT_SUPPORT, ACL_ERROR_FEATURE_UNSUPPORTED:
            self = .unsupported
        default:
            self = .executionFailed
        }
    }
}

extension ComputeError {
    /// A failed call: its name, the status's name, and CANN's message. If an operator only reports that a runtime call
    /// failed within it, that call's status determines the kind of failure.
    init(call: StaticString, status: Int32, runtime: CAscend_runtime, phase: CallPhase = .run) {
        var names = Self.name(status)
        var cause = status
        // Reading the last error clears it; otherwise it would be attributed to a later failure.
        let last = runtime.aclrtGetLastError?(ACL_RT_THREAD_LEVEL) ?? 0
        if status == Int32(ACLNN_ERR_RUNTIME_ERROR.rawValue), last != 0 {
            cause = last
            names += ", caused by the runtime error \(Self.name(last))"
        }
        let words = runtime.aclGetRecentErrMsg().map { ": \(String(cString: $0))" } ?? ""
        self.init(Code(status: cause, phase: phase), "\(call) failed with \(names)\(words)")
    }

    private static func name(_ status: Int32) -> String {
        CAscend_statusName(status).map { "\(String(cString: $0)) (\(status))" } ?? "status \(status)"
    }
}
