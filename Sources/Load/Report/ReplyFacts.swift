// The facts of a reply that a load test needs: whether it is a recommendation, and how much was computed for it.

internal import JSON

/// Facts of a reply to `POST /recommend`.
struct ReplyFacts: Equatable {
    /// Events that the model used.
    var historyUsed = 0
    /// Those of them that were cached.
    var historyCached = 0
    /// Ids of the request that the catalogue does not know.
    var unknownItems = 0
    /// Whether the items are the most popular ones, without a history.
    var isByPopularity = false

    /// Reads a body. Nil if it is not a JSON object with `items`, which every recommendation has.
    init?(json: UnsafeBufferPointer<UInt8>) {
        var reader = JSONReader(json)
        guard let hasItems = try? readMembers(&reader), hasItems else { return nil }
    }

    private mutating func readMembers(_ reader: inout JSONReader) throws(JSONError) -> Bool {
        var hasItems = false
        try reader.beginObject()
        while let key = try reader.nextKey() {
            switch key {
            case "items":
                hasItems = try reader.peek() == .array
                try reader.skipValue()
            case "history_used": historyUsed = try Self.count(&reader)
            case "history_cached": historyCached = try Self.count(&reader)
            case "unknown_items": unknownItems = try Self.count(&reader)
            case "source":
                guard try reader.peek() == .string else { return false }
                if case "popularity" = try reader.readString() { isByPopularity = true }
            default: try reader.skipValue()
            }
        }
        try reader.finish()
        return hasItems
    }

    /// A count, or 0 for any other value; capped so that sums cannot overflow.
    private static func count(_ reader: inout JSONReader) throws(JSONError) -> Int {
        guard try reader.peek() == .number else {
            try reader.skipValue()
            return 0
        }
        return Int(min(max(try reader.readNumber().wholeValue ?? 0, 0), 1 << 32))
    }
}
