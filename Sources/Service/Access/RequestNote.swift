// Collects the facts about one request until its reply has ended. Its line in the access log and its spans come from here.

internal import Engine
internal import HTTP
internal import Locking
internal import Telemetry

/// One request of which something will be written, from its head to the end of its reply.
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
        /// Something has been written of the request.
        fileprivate var isTaken = false
    }

    let requestID: String
    let client: PeerAddress
    let method: HTTPMethod
    let headBytes: Int
    let isVersion10: Bool
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

    func appendReplyFields(to head: inout [UInt8]) { trace?.traceparent.appendReplyField(to: &head) }

    /// The facts so far. nil if they were taken before: a request is written of once.
    func take() -> Details? {
        state.withLock { details in
            defer { details.isTaken = true }
            return details.isTaken ? nil : details
        }
    }

    func update(_ change: (inout Details) -> Void) { state.withLock { change(&$0) } }

    /// The reply was encoded from `start` until now. Nothing but a recorded trace asks for it.
    func encoded(from start: Instant, arrival: Instant) {
        guard trace?.isSampled == true else { return }
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

/// A request of which nothing is written: all that is left of its trace is what the caller is told.
final class UnrecordedTrace: HTTPNote {
    private let traceparent: Traceparent

    init(_ trace: TraceContext) { traceparent = trace.traceparent }

    func appendReplyFields(to head: inout [UInt8]) { traceparent.appendReplyField(to: &head) }
}

extension Traceparent {
    /// Tells the caller the span that answers.
    fileprivate func appendReplyField(to head: inout [UInt8]) {
        let name: StaticString = "traceparent: "
        let end: StaticString = "\r\n"
        let value = name.utf8CodeUnitCount
        let length = value + Self.byteCount + end.utf8CodeUnitCount
        head.append(addingCapacity: length) { span in
            span.withUnsafeMutableBufferPointer { buffer, count in
                let text = UnsafeMutableBufferPointer(rebasing: buffer[count...])
                _ = text.update(fromContentsOf: UnsafeBufferPointer(start: name.utf8Start, count: value))
                write(to: text, at: value)
                let rest = UnsafeBufferPointer(start: end.utf8Start, count: end.utf8CodeUnitCount)
                _ = text[(value + Self.byteCount)...].update(fromContentsOf: rest)
                count += length
            }
        }
    }
}
