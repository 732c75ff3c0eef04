// Why the engine did not answer a request. Service turns each code into a status.

/// A request that was refused, given up or failed.
package struct EngineError: Error, Equatable, CustomStringConvertible {
    package enum Code: Sendable, Hashable {
        /// The queue is full.
        case queueFull
        /// The deadline cannot be met, judging by the present service time; refused before any work.
        case deadlineUnreachable
        /// The deadline passed in the queue; never computed.
        case expired
        /// The state needed to compute it exceeds the whole capacity.
        case tooLarge
        /// The engine is not ready: still loading, draining or stopped.
        case unavailable
        /// The device is lost and tried again, and nothing serves in its place.
        case recovering
        /// The device failed while it computed the batch; the request may be sent again.
        case deviceFailed
        /// The model's scores are not numbers: a fault of the model, not of the request.
        case computationFailed
    }

    package let code: Code
    /// One sentence for the caller.
    package let message: String
    /// When it is worth trying again, for the codes where it is.
    package let retryAfterNanoseconds: UInt64?

    package init(_ code: Code, _ message: String, retryAfterNanoseconds: UInt64? = nil) {
        self.code = code
        self.message = message
        self.retryAfterNanoseconds = retryAfterNanoseconds
    }

    package var description: String { message }

    package static func == (left: EngineError, right: EngineError) -> Bool { left.code == right.code }
}
