// Builds requests from real histories. A pure value; the same seed gives the same requests.

internal import JSON
internal import Random

/// The form of a load test's requests.
package struct WorkloadSettings: Sendable, Equatable {
    /// The `mode` of `POST /recommend`.
    package enum Mode: String, Sendable, CaseIterable {
        case topK = "top_k"
        case sequence
    }

    /// Number of requested items; nil: not sent.
    package var count: Int? = 10
    /// `beams`, for models with semantic ids: one number, or one per level; empty: not sent.
    package var beams: [Int] = []
    /// Number of items to rank, drawn from the histories, in requests to `/rank`. Nil: requests go to `/recommend`.
    package var candidates: Int?
    /// Nil: not sent, which means `top_k`.
    package var mode: Mode?
    /// `deadline_ms`; nil: not sent.
    package var deadlineMilliseconds: Int?
    /// Lengths of newcomers' histories, drawn uniformly; nil: all events of the user but the last.
    package var lengths: ClosedRange<Int>?
    /// The share of requests by returning users, from 0 to 1.
    package var returningShare = 0.0
    /// For requests by user, whose events are sent separately: the share of events among the calls, above 0 and at most
    /// 1. Nil: requests carry histories.
    package var eventShare: Double?

    package init() {}

    /// The route of requests.
    var route: String { candidates == nil ? "recommend" : "rank" }

    /// Writes the fields that all requests share.
    func write(to writer: inout JSONWriter) {
        writer.member("k", count)
        if beams.count > 1 { writer.member("beams", beams) } else { writer.member("beams", beams.first) }
        writer.member("mode", mode?.rawValue)
        writer.member("deadline_ms", deadlineMilliseconds)
    }
}

/// A user with at least one request.
struct Visitor: Sendable, Equatable {
    /// The index of the visitor's history.
    var history: Int
    /// Unique among the newcomers of a workload.
    var number: Int
    /// Number of events in the next request.
    var length: Int
    /// Seconds by which this visitor's events are later than the file's. It makes all newcomers different, so that
    /// one's cached state never answers another, and preserves the intervals between events.
    var shift: Int64
}

/// Generates requests.
///
/// A newcomer is a user of the file, drawn uniformly, under a new id. A returning user has the same id and one more
/// event. A user returns only after a reply, and only until the history is twice as long as in the file (or as long as
/// the longest drawn).
struct Workload: Sendable {
    /// The most visitors to remember.
    private static let maximumWaiting = 65_536
    private static let secondsOfDay: Int64 = 86_400

    private let histories: [History]
    private let settings: WorkloadSettings
    /// Part of every user id, so that another run has different users.
    private let tag: String
    /// nil: requests name no candidates.
    private let candidates: CandidatePool?
    private var generator: SplitMix64
    private var visitors = 0
    /// Visitors who may return.
    private var waiting: [Visitor] = []

    /// - Parameter histories: at least one.
    init(histories: [History], settings: WorkloadSettings, seed: UInt64) {
        precondition(!histories.isEmpty, "there are no histories to make requests from")
        self.histories = histories
        self.settings = settings
        generator = SplitMix64(seed: seed)
        tag = String(generator.next() >> 32, radix: 16)
        candidates = settings.candidates.map { CandidatePool(histories, count: $0) }
    }

    /// The next visitor.
    mutating func next() -> (visitor: Visitor, isReturning: Bool) {
        if !waiting.isEmpty, generator.happens(settings.returningShare) {
            waiting.swapAt(Int.random(in: 0..<waiting.count, using: &generator), waiting.count - 1)
            return (waiting.removeLast(), true)
        }
        let index = Int.random(in: 0..<histories.count, using: &generator)
        let length =
            settings.lengths.map { Int.random(in: $0, using: &generator) } ?? max(histories[index].count - 1, 1)
        visitors += 1
        let shift = Int64.random(in: 0..<Self.secondsOfDay, using: &generator)
        return (Visitor(history: index, number: visitors, length: length, shift: shift), false)
    }

    /// Records a reply to the visitor, who may now return with one more event.
    mutating func answered(_ visitor: Visitor) {
        let longest = settings.lengths?.upperBound ?? histories[visitor.history].count * 2
        guard settings.returningShare > 0, visitor.length < min(longest, History.longest) else { return }
        var visitor = visitor
        visitor.length += 1
        if waiting.count < Self.maximumWaiting {
            waiting.append(visitor)
        } else {
            waiting[Int.random(in: 0..<waiting.count, using: &generator)] = visitor
        }
    }

    /// The body of a visitor's request. Its time is that of the user's next event, as in an evaluation.
    func body(of visitor: Visitor) -> [UInt8] {
        let history = histories[visitor.history]
        var writer = JSONWriter(capacity: 192 + visitor.length * 32)
        writer.beginObject()
        writer.member("user_id", "\(history.userID).\(tag).\(visitor.number)")
        writer.beginObject("history")
        writer.beginArray("items")
        writer.value { history.appendItems(visitor.length, to: &$0) }
        writer.endArray()
        if history.hasTimestamps {
            writer.beginArray("timestamps")
            for index in 0..<visitor.length { writer.integer(Int(history.timestamp(index) + visitor.shift)) }
            writer.endArray()
        }
        writer.endObject()
        if history.hasTimestamps {
            writer.member("request_time", Int(history.timestamp(visitor.length) + visitor.shift))
        }
        settings.write(to: &writer)
        candidates?.write(for: visitor.number, to: &writer)
        writer.endObject()
        return writer.bytes
    }
}
