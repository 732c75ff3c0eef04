// Collects the facts about one request until its reply has ended. Its line in the access log and its spans come from here.

internal import Engine
internal import HTTP
internal import Locking
internal import Telemetry

/// One request, from its head to the end of its reply.
final class RequestNote: HTTPNote {
    /// Facts that become known on the way.
    struct Details: Sendable {
        var route = Route.none
        var model: RecommendReply.Model?
        var k: Int?
        /// Events in the request's history.
        var history: Int?
        var bodyBytes = 0
        /// Keyed hash of the user's id.
        var user: UInt64?
        var outcome: RecommendOutcome?
        var source: Recommendation.Source?
        /// Events that did not have to be computed.
        var cached: Int?
        var timing: Recommendation.Timing?
        /// When the reply was encoded, in nanoseconds since the request's last byte.
        var encoding: Range<UInt64>?
        /// The request is in the log.
        var isLogged = false
    }

    let requestID: String
    let client: PeerAddress
    let method: HTTPMethod
    let headBytes: Int
    let isVersion10: Bool
    /// When the head was complete.
    let began = Instant.now()
    /// nil: no trace.
    let trace: TraceContext?
    private let state = Lock(Details())

    init(_ head: HTTPRequestHead, requestID: String, trace: TraceContext?) {
        self.requestID = requestID
        self.trace = trace
        client = head.peer
        method = head.method
        headBytes = head.byteCount
        isVersion10 = head.isVersion10
    }

    /// Tells the caller the span that answered.
    var replyFields: HTTPFields { trace.map { [("traceparent", $0.traceparent)] } ?? [] }

    var details: Details { state.withLock { $0 } }

    func update(_ change: (inout Details) -> Void) { state.withLock { change(&$0) } }

    /// True the first time.
    func takeForLog() -> Bool {
        state.withLock { state in
            defer { state.isLogged = true }
            return !state.isLogged
        }
    }

    /// The reply was encoded from `start` until now.
    func encoded(from start: Instant, arrival: Instant) {
        let range = start.nanoseconds(since: arrival)..<Instant.now().nanoseconds(since: arrival)
        update { $0.encoding = range }
    }

    func ended(_ result: Result<Recommendation, EngineError>) {
        update { details in
            switch result {
            case .success(let recommendation):
                details.outcome = recommendation.outcome
                details.source = recommendation.source
                details.cached = recommendation.historyCached
                details.timing = recommendation.timing
            case .failure(let error):
                details.outcome = error.outcome
            }
        }
    }
}
