// CANN's functions, and a device that is set on the calling thread.

internal import CAscend
internal import Compute

/// CANN's functions, looked up once per process.
///
/// `@unchecked Sendable`: nothing changes after `init`.
final class AscendLibrary: @unchecked Sendable {
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
        throw ComputeError(call: call, status: status, runtime: functions.runtime)
    }
}

/// A device that is set on the thread that made this object, until the last object with memory, a stream or an event on
/// the device is released.
///
/// After a failure that only a reset repairs, nothing is released separately: a hanging stream would delay its own
/// destruction, and the forced reset at the end frees everything on the device. Pinned host memory, which a running
/// transfer may still access, is freed after the reset.
final class AscendContext {
    let library: AscendLibrary
    let number: Int32
    let chip: Chip
    var memory = DeviceMemory(weightBytes: 0, workspaceBytes: 0)
    /// A failure that only a reset repairs. Every further use is refused with it.
    private(set) var failure: ComputeError?
    /// The number of forced resets of the device when this object was made. Another reset destroys everything on the
    /// device.
    private let resets: Int
    /// Whether failures are only reported to the caller and do not make the device unusable.
    private var isTolerant = false
    /// Pinned memory to free after the reset.
    private var abandoned: [UnsafeMutableRawPointer] = []
    /// Streams that may hang. They are ended before the reset, which would wait for their work.
    private var hanging: [UnsafeMutableRawPointer] = []
    /// A failure within `tolerating`.
    struct Tolerated {
        var status: Int32
        var phase: CallPhase
    }
    /// The failures of the last `tolerating`, in order.
    private(set) var tolerated: [Tolerated] = []

    var runtime: CAscend_runtime { library.functions.runtime }

    /// - Throws: `ComputeError` if CANN is not installed, or the device does not exist or cannot be opened.
    init(device number: Int) throws(ComputeError) {
        library = try AscendLibrary.shared()
        // A number beyond Int32 is clamped to one that does not exist either; `set` throws the error.
        self.number = Int32(clamping: number)
        resets = try AscendProcess.open(self.number, library)
        do throws(ComputeError) {
            chip = try Self.set(self.number, library)
        } catch {
            AscendProcess.close(self.number)
            throw error
        }
    }

    /// Sets the device on the calling thread; returns the name of its chip.
    private static func set(_ number: Int32, _ library: AscendLibrary) throws(ComputeError) -> Chip {
        let runtime = library.functions.runtime
        var count: UInt32 = 0
        try library.check(runtime.aclrtGetDeviceCount(&count), "aclrtGetDeviceCount")
        guard number >= 0, number < Int32(clamping: count) else {
            throw ComputeError(.deviceLost, "there is no device ascend:\(number): CANN sees \(count)")
        }
        try library.check(runtime.aclrtSetDevice(number), "aclrtSetDevice")
        guard let name = runtime.aclrtGetSocName() else {
            _ = runtime.aclrtResetDevice(number)
            throw ComputeError(.deviceLost, "CANN does not know the chip of ascend:\(number)")
        }
        return Chip(String(cString: name))
    }

    deinit {
        if canRelease {
            _ = runtime.aclrtResetDevice(number)
        } else if isWhole {
            AscendProcess.noteReset(of: number)
            // The reset waits for work in the device's own context (CANN's guide to devices), so a batch that does not
            // end would delay it. So running work is aborted, and its stream destroyed without waiting.
            for stream in hanging { _ = runtime.aclrtStreamAbort?(stream) }
            for stream in hanging { _ = runtime.aclrtDestroyStreamForce?(stream) }
            // If CANN has no forced reset, releasing the only use of the device has the same effect.
            _ = (runtime.aclrtResetDeviceForce ?? runtime.aclrtResetDevice)?(number)
        }
        for memory in abandoned { _ = runtime.aclrtFreeHost(memory) }
        AscendProcess.close(number)
    }

    /// Whether no other object has reset the device since this was made.
    private var isWhole: Bool { AscendProcess.resets(of: number) == resets }

    /// Whether objects on the device are freed separately.
    var canRelease: Bool { failure == nil && isWhole }

    /// Frees pinned memory now, or after the reset.
    func release(pinned memory: UnsafeMutableRawPointer) {
        if canRelease { _ = runtime.aclrtFreeHost(memory) } else { abandoned.append(memory) }
    }

    /// Destroys a stream now, or ends it before the reset.
    func release(stream: UnsafeMutableRawPointer) {
        if canRelease { _ = runtime.aclrtDestroyStream(stream) } else { hanging.append(stream) }
    }

    /// Throws unless the status is success, and remembers a failure that only a reset repairs.
    func check(_ status: Int32, _ call: StaticString, phase: CallPhase = .run) throws(ComputeError) {
        guard status != 0 else { return }
        let error = ComputeError(call: call, status: status, runtime: runtime, phase: phase)
        if isTolerant { tolerated.append(Tolerated(status: status, phase: phase)) }
        if error.code.losesDevice, failure == nil, !isTolerant { failure = error }
        throw error
    }

    /// Runs calls whose failures leave the device usable. Afterwards, `tolerated` holds those failures.
    func tolerating(_ body: () throws(ComputeError) -> Void) throws(ComputeError) {
        isTolerant = true
        tolerated = []
        defer { isTolerant = false }
        try body()
    }

    /// Throws if the device has to be reset.
    func requireUsable() throws(ComputeError) {
        if let failure {
            throw ComputeError(.deviceLost, "ascend:\(number) must be reset: \(failure.message)")
        }
        guard isWhole else {
            let error = ComputeError(.deviceLost, "ascend:\(number) was reset after a failure of another user of it")
            failure = error
            throw error
        }
    }
}
