// What can go wrong on a device. Errors are values: they reach the caller's reply and the metrics, and nothing aborts
// the process.

/// A failure of a device or of a call to it.
package struct ComputeError: Error, Equatable, CustomStringConvertible {
    /// What kind of failure; decides the reply and whether the device is still usable.
    package enum Code: String, Sendable {
        /// A tensor has the wrong shape, dtype or range for the operation: a fault of the caller, not of the device.
        case invalidArgument = "invalid_argument"
        /// The device does not have the operation for this dtype or shape.
        case unsupported
        /// Device memory is not sufficient; a smaller batch may succeed.
        case outOfMemory = "out_of_memory"
        /// The device did not finish in time.
        case timedOut = "timed_out"
        /// An operation failed while it ran. The results of the batch are void; the device may still be usable.
        case executionFailed = "execution_failed"
        /// The device is lost until it is reset.
        case deviceLost = "device_lost"

        /// Whether a smaller batch, or another device, may succeed after such a failure.
        package var isOfTheBatch: Bool { self == .outOfMemory || self == .unsupported }

        /// Whether only a reset makes the device usable after such a failure, so that it must be released and
        /// recreated.
        package var losesDevice: Bool {
            switch self {
            case .timedOut, .executionFailed, .deviceLost: true
            case .invalidArgument, .unsupported, .outOfMemory: false
            }
        }
    }

    package let code: Code
    /// One sentence: which call, what was wrong.
    package let message: String

    package init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    package var description: String { message }

    package static func == (left: ComputeError, right: ComputeError) -> Bool { left.code == right.code }
}
