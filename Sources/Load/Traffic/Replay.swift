// Interactions replayed in time order: the traffic of callers who send events as they happen and request by user, for
// servers with a user store.

internal import JSON
internal import Random

/// Generates events and requests by user. A pure value, determined by the seed.
///
/// After the last interaction the file repeats, later by its duration.
struct Replay: Sendable {
    /// The next call.
    struct Step: Sendable, Equatable {
        /// Whether it is an event; otherwise it is a request.
        var isEvent: Bool
        var body: [UInt8]
        /// Whether the user has had an earlier event.
        var isReturning: Bool
    }

    /// An event of a user.
    private struct Place: Sendable {
        var history: Int32
        var event: Int32
    }

    private let histories: [History]
    private let settings: WorkloadSettings
    private let eventShare: Double
    private let order: [Place]
    private let tag: String
    /// nil: requests name no candidates.
    private let candidates: CandidatePool?
    private var generator: SplitMix64
    /// Number of events generated.
    private var made = 0

    /// - Parameters:
    ///   - histories: at least one, with times.
    ///   - eventShare: the share of calls that are events, above 0; the rest are requests.
    init(histories: [History], settings: WorkloadSettings, eventShare: Double, seed: UInt64) {
        self.histories = histories
        self.settings = settings
        self.eventShare = eventShare
        var places: [(time: Int64, place: Place)] = []
        for (index, history) in histories.enumerated() {
            for event in 0..<history.count {
                places.append((history.timestamp(event), Place(history: Int32(index), event: Int32(event))))
            }
        }
        // Equal times are ordered by user, and a user's events stay in order.
        places.sort { ($0.time, $0.place.history, $0.place.event) < ($1.time, $1.place.history, $1.place.event) }
        order = places.map(\.place)
        generator = SplitMix64(seed: seed)
        tag = String(generator.next() >> 32, radix: 16)
        candidates = settings.candidates.map { CandidatePool(histories, count: $0) }
    }

    /// The next event, or a request by the last event's user.
    mutating func next() -> Step {
        // Before the first event there is no user to request for.
        let isEvent = made == 0 || generator.happens(eventShare)
        if isEvent { made += 1 }
        let (round, index) = (made - 1).quotientAndRemainder(dividingBy: order.count)
        let history = histories[Int(order[index].history)]
        let event = Int(order[index].event) + round * history.count
        let body = isEvent ? eventBody(history, event) : requestBody(history, event)
        return Step(isEvent: isEvent, body: body, isReturning: event > 0)
    }

    private func userID(_ history: History) -> String { "\(history.userID).\(tag)" }

    private func eventBody(_ history: History, _ event: Int) -> [UInt8] {
        var writer = JSONWriter(capacity: 128)
        writer.beginObject()
        writer.beginArray("events")
        writer.beginObject()
        writer.member("user_id", userID(history))
        writer.key("item")
        writer.value { history.appendItem(event, to: &$0) }
        writer.member("timestamp", Int(history.timestamp(event)))
        writer.endObject()
        writer.endArray()
        writer.endObject()
        return writer.bytes
    }

    private func requestBody(_ history: History, _ event: Int) -> [UInt8] {
        var writer = JSONWriter(capacity: 128)
        writer.beginObject()
        writer.member("user_id", userID(history))
        writer.member("request_time", Int(history.timestamp(event)))
        settings.write(to: &writer)
        candidates?.write(for: made, to: &writer)
        writer.endObject()
        return writer.bytes
    }
}
