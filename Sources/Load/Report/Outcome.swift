// How a request ended.

/// The outcome of one request.
package enum Outcome: Hashable, Sendable {
    /// A reply with that status came.
    case status(Int)
    /// No connection could be made for it.
    case connectError
    /// The server closed or reset the connection before its reply was complete.
    case connectionLost
    /// The reply is not HTTP.
    case notHTTP
    /// No complete reply came in time.
    case timeout
    /// We closed the connection in the middle, as for `--abandon`.
    case abandoned
    /// The load test was over before it was answered.
    case unfinished

    /// Its name in a trace: a status, or a word.
    var name: String {
        switch self {
        case .status(let status): String(status)
        case .connectError: "connect_error"
        case .connectionLost: "connection_lost"
        case .notHTTP: "not_http"
        case .timeout: "timeout"
        case .abandoned: "abandoned"
        case .unfinished: "unfinished"
        }
    }

    /// Refused before any work was done for it: the queue is full, the deadline cannot be met, or the server is not ready.
    var isRefusal: Bool { self == .status(429) || self == .status(503) }

    /// Taken on: answered, or expired (504) after it had been.
    var isAdmission: Bool { self == .status(200) || self == .status(504) }
}

/// One request in a trace.
package struct TraceEntry: Sendable, Equatable {
    /// Nanoseconds from the start of the run to when the request was to be sent.
    package var intended: UInt64
    /// Nanoseconds from then to its end.
    package var latency: UInt64
    package var outcome: Outcome
}
