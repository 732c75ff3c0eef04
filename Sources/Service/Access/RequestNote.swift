// Collects the facts about one request until its reply has ended. The access log and the trace are written from it.

internal import Engine
internal import HTTP
internal import Synchronization
internal import Telemetry

/// A request that will be logged or traced, from its head to the end of its reply.
///
/// `@unchecked Sendable`: what only the loop of the request's connection touches is said to be so; the rest is written once, by
/// whoever learns it, then published by an atomic bit, and read by the loop only behind that. There is no lock, since every
/// request that is logged has a note.
final class RequestNote: HTTPNote, @unchecked Sendable {
    /// What was asked, known once its model is.
    struct Question {
        var model: LoggedModel
        var k: Int
        /// Events in the request's history.
        var history: Int
        /// Keyed hash of the user's id.
        var user: UInt64?
    }

    /// How it ended.
    struct Answer {
        var outcome: RecommendOutcome
        var source: Recommendation.Source?
        /// Events found in the cache.
        var cached: Int?
        var timing: Recommendation.Timing?
    }

    /// The bits of `facts`: which can be read. Four bits higher: which a thread has written or is writing, because the device's
    /// answer and the loop's refusal may come at once.
    private enum Fact {
        static let question: UInt8 = 1
        static let answer: UInt8 = 2
    }

    let requestID: String
    let client: PeerAddress
    let method: HTTPMethod
    let headBytes: Int
    let isVersion10: Bool
    /// nil: no trace.
    let trace: TraceContext?
    let traceID: TraceID?

    // The loop's alone.
    @exclusivity(unchecked) private(set) var route = Route.none
    @exclusivity(unchecked) private(set) var bodyBytes = 0
    /// When the reply was encoded, in nanoseconds since the request's last byte.
    @exclusivity(unchecked) private(set) var encoding: Range<UInt64>?
    /// Something has been written of the request.
    @exclusivity(unchecked) private var isTaken = false

    // Published.
    @exclusivity(unchecked) private var knownQuestion: Question?
    @exclusivity(unchecked) private var knownAnswer: Answer?
    private let facts = Atomic<UInt8>(0)

    init(_ head: HTTPRequestHead, requestID: String, trace: TraceContext?) {
        self.requestID = requestID
        self.trace = trace
        traceID = trace?.trace
        client = head.peer
        method = head.method
        headBytes = head.byteCount
        isVersion10 = head.isVersion10
    }

    func appendReplyFields(to head: inout [UInt8]) { trace?.traceparent.appendReplyField(to: &head) }

    // MARK: The loop's

    /// The request is complete.
    func received(_ route: Route, bodyBytes: Int) {
        self.route = route
        self.bodyBytes = bodyBytes
    }

    /// The reply was encoded from `start` until now. Only recorded traces need it.
    func encoded(from start: Instant, arrival: Instant) {
        guard trace?.isSampled == true else { return }
        encoding = start.nanoseconds(since: arrival)..<Instant.now().nanoseconds(since: arrival)
    }

    /// True the first time: a request is written of once.
    func take() -> Bool {
        defer { isTaken = true }
        return !isTaken
    }

    // MARK: Anybody's

    /// What was asked. The first call counts.
    func asks(_ question: Question) {
        guard claims(Fact.question) else { return }
        knownQuestion = question
        facts.bitwiseOr(Fact.question, ordering: .releasing)
    }

    /// How it ended. The first call counts.
    func ended(_ answer: Answer) {
        guard claims(Fact.answer) else { return }
        knownAnswer = answer
        facts.bitwiseOr(Fact.answer, ordering: .releasing)
    }

    /// Whether this thread, and no other, may write a fact.
    private func claims(_ fact: UInt8) -> Bool {
        facts.bitwiseOr(fact << 4, ordering: .relaxed).oldValue & fact << 4 == 0
    }

    func ended(_ result: Result<Recommendation, EngineError>) {
        switch result {
        case .success(let recommendation):
            ended(
                Answer(
                    outcome: recommendation.outcome,
                    source: recommendation.source,
                    cached: recommendation.historyCached,
                    timing: recommendation.timing
                )
            )
        case .failure(let error): ended(Answer(outcome: error.outcome))
        }
    }

    /// What was asked, if that is known by now.
    var question: Question? { facts.load(ordering: .acquiring) & Fact.question == 0 ? nil : knownQuestion }
    /// How it ended, if it has.
    var answer: Answer? { facts.load(ordering: .acquiring) & Fact.answer == 0 ? nil : knownAnswer }
}

/// All requests whose traces begin here and are not recorded: what is left of each is what its caller is told, and nobody asks for
/// that again, so that its ids are drawn when the reply is written and there is nothing to keep.
final class UnrecordedTraces: HTTPNote {
    private let sampler: TraceSampler

    init(_ sampler: TraceSampler) { self.sampler = sampler }

    func appendReplyFields(to head: inout [UInt8]) { sampler.unrecorded().appendReplyField(to: &head) }
}

/// A request whose caller does not record its trace.
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
        let length = name.utf8CodeUnitCount + Self.byteCount + end.utf8CodeUnitCount
        head.append(addingCapacity: length) { span in
            span.withUnsafeMutableBufferPointer { buffer, count in
                // There is room, so the buffer has an address.
                guard let field = buffer.baseAddress.map({ $0 + count }) else { return }
                field.update(from: name.utf8Start, count: name.utf8CodeUnitCount)
                let value = field + name.utf8CodeUnitCount
                write(to: UnsafeMutableBufferPointer(start: value, count: Self.byteCount), at: 0)
                (value + Self.byteCount).update(from: end.utf8Start, count: end.utf8CodeUnitCount)
                count += length
            }
        }
    }
}
