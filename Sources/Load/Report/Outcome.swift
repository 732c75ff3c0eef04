// How a request ended.

/// The outcome of one request.
package enum Outcome: Hashable, Sendable {
    /// A reply with this status arrived.
    case status(Int)
    /// No connection could be opened for it.
    case connectError
    /// The server closed or reset the connection before its reply was complete.
    case connectionLost
    /// The reply was not HTTP.
    case notHTTP
    /// No complete reply arrived in time.
    case timeout
    /// The load test closed the connection early, for `--abandon`.
    case abandoned
    /// The load test ended before the reply.
    case unfinished

    /// The name in a trace: a status, or a word.
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

    /// Refused before any work was done: the queue is full, the deadline cannot be met, or the server is not ready.
    var isRefusal: Bool { self == .status(429) || self == .status(503) }

    /// Accepted: answered, or expired afterwards (504).
    var isAdmission: Bool { self == .status(200) || self == .status(504) }
}

/// One request in a trace.
package struct TraceEntry: Sendable, Equatable {
    /// When the request was due, in nanoseconds since the start of the run.
    package var intended: UInt64
    /// Nanoseconds from then to the end.
    package var latency: UInt64
    package var outcome: Outcome
}
