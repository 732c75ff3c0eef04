// CANN in this process: initialised when the first device is made, finalised by the code that ends the process. Also
// counts the forced resets of each device, because a reset frees everything on the device.

internal import CAscend
package import Compute
internal import Locking

/// The state of CANN in this process.
package enum AscendProcess {
    private struct State {
        var isInitialized = false
        /// The number of open contexts, by device.
        var open: [Int32: Int] = [:]
        /// The number of forced resets, by device.
        var resets: [Int32: Int] = [:]
        /// Trials that lost a device, by device, with the reason.
        var lost: [Int32: [Trial: String]] = [:]
    }

    private static let state = Lock(State())

    /// Initialises CANN if necessary, and counts a context of the device as open.
    ///
    /// - Returns: the number of forced resets of the device.
    static func open(_ device: Int32, _ library: AscendLibrary) throws(ComputeError) -> Int {
        let (status, resets): (Int32, Int) = state.withLock { state in
            if !state.isInitialized {
                let status = library.functions.runtime.aclInit(nil)
                // Other code in the process may have initialised CANN.
                guard status == 0 || status == Int32(ACL_ERROR_REPEAT_INITIALIZE.rawValue) else { return (status, 0) }
                state.isInitialized = true
            }
            state.open[device, default: 0] += 1
            return (0, state.resets[device, default: 0])
        }
        try library.check(status, "aclInit")
        return resets
    }

    /// Undoes the count of `open`.
    static func close(_ device: Int32) {
        state.withLock { state in
            let left = state.open[device, default: 1] - 1
            state.open[device] = left == 0 ? nil : left
        }
    }

    /// The number of forced resets of the device.
    static func resets(of device: Int32) -> Int { state.withLock { $0.resets[device, default: 0] } }

    /// Records that a forced reset of the device is about to happen.
    static func noteReset(of device: Int32) { state.withLock { $0.resets[device, default: 0] += 1 } }

    /// The trials that have lost the device.
    static func lostTrials(of device: Int32) -> [Trial: String] { state.withLock { $0.lost[device, default: [:]] } }

    /// Records that a trial has lost the device.
    static func note(lost trial: Trial, _ words: String, of device: Int32) {
        state.withLock { $0.lost[device, default: [:]][trial] = words }
    }

    /// Finalises CANN. Call it once, after everything made from every device is released, at the end of `main` and not
    /// in an exit handler, because CANN's libraries must still be loaded. Does nothing if no device was ever made.
    ///
    /// - Throws: `ComputeError.invalidArgument` that names the devices still in use, and then does nothing; otherwise
    ///   CANN's error.
    package static func finalize() throws(ComputeError) {
        let outcome: (library: AscendLibrary, status: Int32)? = try state.withLock { state throws(ComputeError) in
            guard state.isInitialized else { return nil }
            guard state.open.isEmpty else {
                let names = state.open.keys.sorted().map { "ascend:\($0)" }.joined(separator: ", ")
                throw ComputeError(.invalidArgument, "CANN cannot be shut down: \(names) is still in use")
            }
            let library = try AscendLibrary.shared()
            state.isInitialized = false
            state.lost = [:]
            return (library, library.functions.runtime.aclFinalize())
        }
        if let outcome { try outcome.library.check(outcome.status, "aclFinalize") }
    }
}
