// A user's events as a list that other programs may append to: how to read the list, and how to change it when events
// are added.

/// Operations on one user's list of events; pure functions.
enum EventHistory {
    /// What to do with a list.
    struct Change: Equatable {
        /// All stored events, oldest first.
        var kept: [UserEvent]
        /// New events, including those older than everything stored.
        var accepted: Int
        /// The elements to append before the list is trimmed to the newest; nil: the list must be rewritten.
        var appended: ArraySlice<UserEvent>?
    }

    /// The number of added events above which building a set pays off.
    private static let many = 64

    /// The newest `count` events, sorted by time, equal times in the given order, without duplicates.
    static func tidied(_ events: [UserEvent], newest count: Int) -> [UserEvent] {
        guard !isTidy(events) else { return Array(events.suffix(count)) }
        var seen: Set<UserEvent> = []
        // The index is part of the key: Swift does not promise a stable sort.
        let sorted = events.enumerated().filter { seen.insert($0.element).inserted }.sorted {
            ($0.element.timestamp, $0.offset) < ($1.element.timestamp, $1.offset)
        }
        return sorted.suffix(count).map(\.element)
    }

    /// The change that adds events to a list, as it was read, and keeps the newest `count`.
    static func adding(_ events: [UserEvent], to list: [UserEvent], newest count: Int) -> Change {
        var kept = tidied(list, newest: count)
        var present = events.count > many ? Set(kept) : nil
        var accepted = 0
        for event in events {
            let place = firstIndex(after: event.timestamp, in: kept)
            guard !(present?.contains(event) ?? isThere(event, in: kept[..<place])) else { continue }
            accepted += 1
            guard place > 0 || kept.count < count else { continue }
            kept.insert(event, at: place)
            present?.insert(event)
            if kept.count > count {
                let oldest = kept.removeFirst()
                present?.remove(oldest)
            }
        }
        let tail = kept.suffix(accepted)
        if (list + tail).suffix(count).elementsEqual(kept) {
            return Change(kept: kept, accepted: accepted, appended: tail)
        }
        return Change(kept: kept, accepted: accepted, appended: kept == list ? [] : nil)
    }

    private static func isTidy(_ events: [UserEvent]) -> Bool {
        var second = 0
        for index in events.indices.dropFirst() {
            if events[index].timestamp < events[index - 1].timestamp { return false }
            if events[index].timestamp > events[index - 1].timestamp { second = index }
            // A list of many events in one second would take quadratic time.
            if index - second > many || events[second..<index].contains(events[index]) { return false }
        }
        return true
    }

    /// Whether an equal event is among the last of the sorted events, those of its second.
    private static func isThere(_ event: UserEvent, in events: ArraySlice<UserEvent>) -> Bool {
        events.reversed().prefix { $0.timestamp == event.timestamp }.contains(event)
    }

    private static func firstIndex(after timestamp: Int64, in events: [UserEvent]) -> Int {
        if let last = events.last, last.timestamp <= timestamp { return events.count }
        var (low, high) = (0, events.count)
        while low < high {
            let middle = (low + high) / 2
            if events[middle].timestamp <= timestamp { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
