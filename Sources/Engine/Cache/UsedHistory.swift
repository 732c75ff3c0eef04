// The part of a history that the model sees: its start, its common prefix with another one, and a hash of each of its
// prefixes.

import Random

/// The start of the model's window in a history.
package struct HistoryWindow: Sendable, Equatable {
    /// The most events that the model sees.
    package var length: Int
    /// 0: the window holds the newest `length` events and moves with every event. Otherwise it begins at a multiple of
    /// the stride and moves once every `stride` events.
    package var stride: Int

    /// - Parameter stride: limited to `length`.
    package init(length: Int, stride: Int = 0) {
        self.length = length
        self.stride = min(stride, length)
    }

    /// The index of the first used event among `count` known ones: the smallest multiple of the stride that leaves at
    /// most `length` events. Of a longer history, between `length - stride + 1` and `length` events are used.
    package func start(of count: Int) -> Int {
        let excess = max(0, count - length)
        guard stride > 0 else { return excess }
        return (excess + stride - 1) / stride * stride
    }
}

/// The events of a history that the model sees, oldest first, and the time that follows them.
package struct UsedHistory: Sendable, Equatable {
    /// Index of the first one among all known events.
    package var start: Int
    /// Catalogue rows, n.
    package var items: [Int32]
    /// Seconds since the epoch, n; nil: the caller sent none.
    package var timestamps: [Int64]?
    /// Fingerprints of the actions, n, or empty if no event has one. Compared, never computed with.
    package var actions: [UInt64]
    /// The time after the newest event: the time of the request.
    package var followingTime: Int64

    package init(
        start: Int,
        items: [Int32],
        timestamps: [Int64]?,
        actions: [UInt64] = [],
        followingTime: Int64
    ) {
        self.start = start
        self.items = items
        self.timestamps = timestamps
        self.actions = actions
        self.followingTime = followingTime
    }

    /// The newest events of a request, up to the length of the window.
    package init(_ request: RecommendationRequest, _ window: HistoryWindow) {
        let start = window.start(of: request.history.count)
        self.init(
            start: start,
            items: start == 0 ? request.history : Array(request.history[start...]),
            timestamps: start == 0 ? request.timestamps : request.timestamps.map { Array($0[start...]) },
            actions: start == 0 || request.actions.isEmpty ? request.actions : Array(request.actions[start...]),
            followingTime: request.requestTime
        )
    }

    /// The newest events of a request followed by generated items, up to the length of the window. The model sees a
    /// generated item as an event at the time of the request.
    init(_ request: RecommendationRequest, generated: [Int32], _ window: HistoryWindow) {
        var request = request
        request.history += generated
        request.timestamps?.append(contentsOf: repeatElement(request.requestTime, count: generated.count))
        if !request.actions.isEmpty { request.actions += repeatElement(0, count: generated.count) }
        self.init(request, window)
    }

    package var count: Int { items.count }

    /// The time that follows the first `count` events: the next event's, or the request's. 0 without timestamps.
    package func time(after count: Int) -> Int64 {
        guard let timestamps else { return 0 }
        return count < timestamps.count ? timestamps[count] : followingTime
    }

    /// The first `count` events, as a history of their own.
    package func prefix(_ count: Int) -> UsedHistory {
        guard count < items.count else { return self }
        return UsedHistory(
            start: start,
            items: Array(items[..<count]),
            timestamps: timestamps.map { Array($0[..<count]) },
            actions: actions.isEmpty ? [] : Array(actions[..<count]),
            followingTime: time(after: count)
        )
    }

    /// How many of the model's first rows both share: items, actions and timestamps up to the row are equal and, if
    /// rows depend on it, the time after the row. 0 if the windows start at different indices.
    ///
    /// - Parameters:
    ///   - limit: the most rows to compare.
    ///   - dependsOnNextTime: as in `PrefixReuse`.
    package func commonRows(with other: UsedHistory, limit: Int, dependsOnNextTime: Bool) -> Int {
        guard start == other.start, (timestamps == nil) == (other.timestamps == nil) else { return 0 }
        var rows = min(limit, count, other.count)
        rows = commonPrefix(items, other.items, rows)
        if !actions.isEmpty || !other.actions.isEmpty {
            let (own, others) = (actions, other.actions)
            // An event without an action has the fingerprint 0.
            rows =
                (0..<rows).first { (own.isEmpty ? 0 : own[$0]) != (others.isEmpty ? 0 : others[$0]) } ?? rows
        }
        if let timestamps, let others = other.timestamps {
            rows = commonPrefix(timestamps, others, rows)
            if dependsOnNextTime, rows > 0, time(after: rows) != other.time(after: rows) { rows -= 1 }
        }
        return rows
    }
}

/// The length of the common prefix, at most `limit`. Both arrays have at least `limit` elements.
private func commonPrefix<Element: Equatable & BitwiseCopyable>(
    _ left: [Element],
    _ right: [Element],
    _ limit: Int
) -> Int {
    left.withUnsafeBufferPointer { left in
        right.withUnsafeBufferPointer { right in
            // No shortcut for shared storage: a returning user's history has the same prefix but is usually a copy.
            var count = 0
            while count < limit, left[count] == right[count] { count += 1 }
            return count
        }
    }
}

/// Hashes of all prefixes of a history, which find it without a user's name. Every match is compared, so equal hashes
/// of different histories only cost time.
package struct PrefixHashes: Sendable, Equatable {
    /// Entry m is the hash of the first m events; n + 1 entries.
    private let hashes: [UInt64]

    package init(_ history: UsedHistory) {
        var hashes: [UInt64] = []
        hashes.reserveCapacity(history.count + 1)
        var hash = SplitMix64.mixed(
            UInt64(truncatingIfNeeded: history.start) << 1 | (history.timestamps == nil ? 0 : 1)
        )
        hashes.append(hash)
        for index in history.items.indices {
            hash = SplitMix64.mixed(hash ^ UInt64(UInt32(bitPattern: history.items[index])))
            if let timestamps = history.timestamps {
                hash = SplitMix64.mixed(hash ^ UInt64(bitPattern: timestamps[index]))
            }
            if !history.actions.isEmpty, history.actions[index] != 0 {
                hash = SplitMix64.mixed(hash ^ history.actions[index] &* 0xD6E8_FEB8_6659_FD93)
            }
            hashes.append(hash)
        }
        self.hashes = hashes
    }

    /// Events of the history.
    package var count: Int { hashes.count - 1 }
    /// The hash of the first `length` events.
    package subscript(length: Int) -> UInt64 { hashes[length] }
}
