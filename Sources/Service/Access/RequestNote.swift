// Collects the facts about one request until its reply has ended. The access log and the trace are written from it.

internal import Engine
internal import HTTP
internal import Synchronization
internal import Telemetry

/// The facts about a request that is logged or traced, from its head to the end of its reply.
///
/// `@unchecked Sendable`: only the loop of the request's connection touches the fields marked as its own. Each of the
/// others is written once, by whoever learns it, then published by an atomic bit that the loop checks before reading. A
/// lock would cost every logged request.
final class RequestNote: HTTPNote, @unchecked Sendable {
    /// The call, known once its model is chosen.
    struct Question {
        var model: LoggedModel
        var k: Int
        /// Events in the request's history.
        var history: Int
        /// Keyed hash of the user's id.
        var user: UInt64?
    }

    /// The outcome of the call.
    struct Answer {
        var outcome: RecommendOutcome
        var source: Recommendation.Source?
        /// The number of history events found in the cache.
        var cached: Int?
        var timing: Recommendation.Timing?
    }

    /// The bits of `facts` that are readable. The same bits shifted by four are claimed: a thread has written or is
    /// writing the fact, because the device's answer and the loop's refusal may come at the same time.
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

    // Used only by the loop.
    @exclusivity(unchecked) private(set) var route = Route.none
    @exclusivity(unchecked) private(set) var bodyBytes = 0
    /// When the reply was encoded, in nanoseconds after the request's last byte.
    @exclusivity(unchecked) private(set) var encoding: Range<UInt64>?
    /// Whether the request has been logged.
    @exclusivity(unchecked) private var isTaken = false

    // Published by `facts`.
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

    // MARK: Called on the loop

    /// Records the route and the body's length once the request is complete.
    func received(_ route: Route, bodyBytes: Int) {
        self.route = route
        self.bodyBytes = bodyBytes
    }

    /// Records that the reply was encoded from `start` until now. Only recorded traces need it.
    func encoded(from start: Instant, arrival: Instant) {
        guard trace?.isSampled == true else { return }
        encoding = start.nanoseconds(since: arrival)..<Instant.now().nanoseconds(since: arrival)
    }

    /// True the first time: a request is logged once.
    func take() -> Bool {
        defer { isTaken = true }
        return !isTaken
    }

    // MARK: Called on any thread

    /// Records the call. Only the first call of this method counts.
    func asks(_ question: Question) {
        guard claims(Fact.question) else { return }
        knownQuestion = question
        facts.bitwiseOr(Fact.question, ordering: .releasing)
    }

    /// Records the outcome. Only the first call of this method counts.
    func ended(_ answer: Answer) {
        guard claims(Fact.answer) else { return }
        knownAnswer = answer
        facts.bitwiseOr(Fact.answer, ordering: .releasing)
    }

    /// Claims a fact for this thread. False if another has claimed it.
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

    /// The call, if known yet.
    var question: Question? { facts.load(ordering: .acquiring) & Fact.question == 0 ? nil : knownQuestion }
    /// The outcome, if known yet.
    var answer: Answer? { facts.load(ordering: .acquiring) & Fact.answer == 0 ? nil : knownAnswer }
}

/// All requests whose traces begin here and are not recorded. Nothing remains of them but the `traceparent` in the
/// reply, so its ids are drawn when the reply is written and nothing is kept.
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
    /// Tells the caller which span answers.
    fileprivate func appendReplyField(to head: inout [UInt8]) {
        let name: StaticString = "traceparent: "
        let end: StaticString = "\r\n"
        let length = name.utf8CodeUnitCount + Self.byteCount + end.utf8CodeUnitCount
        head.append(addingCapacity: length) { span in
            span.withUnsafeMutableBufferPointer { buffer, count in
                // Capacity was added, so the buffer has an address.
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
