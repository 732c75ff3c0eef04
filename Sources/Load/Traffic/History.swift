// A user's events as a load test sends them: ids are stored as JSON, so building a request is mostly copying.

internal import Interactions
internal import JSON

/// The events of one user, continued beyond their end.
///
/// For a user with `n` events in the file, event `i` is event `i mod n`, later by the duration of the file's events for
/// each repetition. So a history can be longer than in the file, and a returning user always has another event.
struct History: Sendable {
    /// The latest time of an event: a day before the end of the year 9999, because servers refuse later times, and a
    /// visitor's events are up to a day later than these.
    private static let latest = TimeUnit.lastSecond - 86_400
    /// The most events of a request.
    static let longest = 100_000

    /// The user's id in the file.
    let userID: String
    /// Ids as JSON, separated by commas.
    private let items: [UInt8]
    /// The end of each id in `items`.
    private let ends: [Int]
    private let timestamps: [Int64]
    /// Whether requests have timestamps.
    let hasTimestamps: Bool
    /// Duration of one repetition in seconds.
    private let period: Int64

    /// Copies a user's events.
    ///
    /// - Throws: if there are none.
    init(_ user: InteractionLog.User, hasTimestamps: Bool) throws(LoadError) {
        guard !user.events.isEmpty else { throw LoadError("the user \(user.id) has no events") }
        userID = user.id
        self.hasTimestamps = hasTimestamps
        var writer = JSONWriter()
        var ends: [Int] = []
        for event in user.events {
            // Catalogues with integer ids accept this form too.
            writer.string(event.item)
            ends.append(writer.bytes.count)
        }
        items = writer.bytes
        self.ends = ends
        timestamps = user.events.map(\.timestamp)
        let span = timestamps[timestamps.count - 1] - timestamps[0]
        // The pause before a repetition is the file's mean pause between events.
        period = span + (timestamps.count > 1 ? max(span / Int64(timestamps.count - 1), 1) : 3_600)
    }

    /// Number of events in the file.
    var count: Int { timestamps.count }

    /// When event `index` happened; `index` is at most `longest`.
    func timestamp(_ index: Int) -> Int64 {
        let (round, place) = index.quotientAndRemainder(dividingBy: count)
        return min(timestamps[place] + Int64(round) * period, Self.latest)
    }

    /// Appends the id of an event, as JSON.
    func appendItem(_ index: Int, to json: inout [UInt8]) {
        let place = index % count
        json.append(contentsOf: items[(place == 0 ? 0 : ends[place - 1] + 1)..<ends[place]])
    }

    /// Appends the ids of the first events, as the elements of a JSON array.
    func appendItems(_ length: Int, to json: inout [UInt8]) {
        var left = length
        while left > 0 {
            if left < length { json.append(UInt8(ascii: ",")) }
            let taken = min(left, count)
            json.append(contentsOf: items[..<ends[taken - 1]])
            left -= taken
        }
    }
}
