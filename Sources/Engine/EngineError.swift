// Why the engine did not answer a request. Service turns each code into a status.

/// A request that was refused, given up or failed.
package struct EngineError: Error, Equatable, CustomStringConvertible {
    package enum Code: Sendable, Hashable {
        /// The queue is full.
        case queueFull
        /// The deadline cannot be met at the predicted service time; refused before any work.
        case deadlineUnreachable
        /// The deadline passed in the queue; never computed.
        case expired
        /// The state needed to compute it exceeds the whole capacity.
        case tooLarge
        /// The engine is not ready: still loading, draining or stopped.
        case unavailable
        /// The device is lost, the engine tries to recover it, and there is no fallback.
        case recovering
        /// The device failed while computing the batch; the request may be retried.
        case deviceFailed
        /// The model's scores are not numbers: a fault of the model, not of the request.
        case computationFailed
    }

    package let code: Code
    /// One sentence for the caller.
    package let message: String
    /// How long to wait before a retry; nil if a retry is pointless.
    package let retryAfterNanoseconds: UInt64?

    package init(_ code: Code, _ message: String, retryAfterNanoseconds: UInt64? = nil) {
        self.code = code
        self.message = message
        self.retryAfterNanoseconds = retryAfterNanoseconds
    }

    package var description: String { message }

    package static func == (left: EngineError, right: EngineError) -> Bool { left.code == right.code }
}
