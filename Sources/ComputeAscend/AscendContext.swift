// The process's CANN, and a device that is set on the calling thread.

internal import CAscend
package import Compute
internal import Synchronization

/// CANN's functions, found once a process.
final class AscendLibrary: @unchecked Sendable {
    /// Written before the object can be seen by anyone, and never again: the proof of its being Sendable.
    let functions: CAscend_library

    private init(_ functions: CAscend_library) { self.functions = functions }

    private static let loaded: Result<AscendLibrary, ComputeError> = {
        var functions = CAscend_library()
        var message = [CChar](repeating: 0, count: 4096)
        guard CAscend_load(&functions, &message, message.count) else {
            let end = message.firstIndex(of: 0) ?? message.endIndex
            let text = String(decoding: message[..<end].map { UInt8(bitPattern: $0) }, as: UTF8.self)
            return .failure(ComputeError(.deviceLost, text))
        }
        return .success(AscendLibrary(functions))
    }()

    static func shared() throws(ComputeError) -> AscendLibrary { try loaded.get() }

    /// Throws unless the status is success.
    func check(_ status: Int32, _ call: StaticString) throws(ComputeError) {
        guard status != 0 else { return }
        throw ComputeError(call: call, status: status, message: functions.runtime.aclGetRecentErrMsg())
    }
}

/// CANN in this process: initialised when the first device is made, finalised by whoever ends the process.
package enum AscendProcess {
    private static let isInitialized = Mutex(false)

    /// Initialises CANN unless that has been done.
    static func initialize(_ library: AscendLibrary) throws(ComputeError) {
        let status: Int32 = isInitialized.withLock { isInitialized in
            guard !isInitialized else { return 0 }
            let status = library.functions.runtime.aclInit(nil)
            // Someone else in the process has done it, which is as good.
            if status == 0 || status == Int32(ACL_ERROR_REPEAT_INITIALIZE.rawValue) {
                isInitialized = true
                return 0
            }
            return status
        }
        try library.check(status, "aclInit")
    }

    /// Ends CANN, after the last device is gone. To be called by the end of `main`, and not by an exit handler: CANN's
    /// libraries must still be whole.
    ///
    /// - Throws: `ComputeError` with what CANN says was wrong.
    package static func finalize() throws(ComputeError) {
        let library = try AscendLibrary.shared()
        let status: Int32 = isInitialized.withLock { isInitialized in
            guard isInitialized else { return 0 }
            isInitialized = false
            return library.functions.runtime.aclFinalize()
        }
        try library.check(status, "aclFinalize")
    }
}

/// A device that is set on the thread that made this, until the last object with memory, a stream or an event on it is gone.
final class AscendContext {
    let library: AscendLibrary
    let number: Int32
    /// "Ascend910B3"
    let chip: String
    var memory = DeviceMemory(weightBytes: 0, workspaceBytes: 0)
    /// After a failure that only a reset undoes: every further use is refused with it.
    private(set) var failure: ComputeError?

    var runtime: CAscend_runtime { library.functions.runtime }

    /// - Throws: `ComputeError` when CANN is not there, there is no such device, or it cannot be opened.
    init(device number: Int) throws(ComputeError) {
        library = try AscendLibrary.shared()
        try AscendProcess.initialize(library)
        var count: UInt32 = 0
        try library.check(library.functions.runtime.aclrtGetDeviceCount(&count), "aclrtGetDeviceCount")
        guard number >= 0, number < Int(count) else {
            throw ComputeError(.deviceLost, "there is no device ascend:\(number): CANN sees \(count)")
        }
        self.number = Int32(number)
        try library.check(library.functions.runtime.aclrtSetDevice(self.number), "aclrtSetDevice")
        guard let name = library.functions.runtime.aclrtGetSocName() else {
            _ = library.functions.runtime.aclrtResetDevice(self.number)
            throw ComputeError(.deviceLost, "CANN does not know the chip of ascend:\(number)")
        }
        chip = String(cString: name)
    }

    deinit {
        // A failed device is reset by force, so that the next one made of it finds it as new.
        if failure == nil {
            _ = runtime.aclrtResetDevice(number)
        } else {
            _ = runtime.aclrtResetDeviceForce(number)
        }
    }

    /// Throws unless the status is success, and remembers a failure that only a reset undoes.
    func check(_ status: Int32, _ call: StaticString) throws(ComputeError) {
        guard status != 0 else { return }
        let error = ComputeError(call: call, status: status, message: runtime.aclGetRecentErrMsg())
        if error.code.needsReset, failure == nil { failure = error }
        throw error
    }

    /// Throws what the device has failed with.
    func requireUsable() throws(ComputeError) {
        if let failure {
            throw ComputeError(.deviceLost, "ascend:\(number) has to be reset: \(failure.message)")
        }
    }

    /// Whether it is Atlas A2 or later: bfloat16, and float32 products.
    var hasBFloat16: Bool {
        !chip.hasPrefix("Ascend310")
            && !(chip.hasPrefix("Ascend910") && !chip.hasPrefix("Ascend910B") && !chip.hasPrefix("Ascend910_"))
    }
}
