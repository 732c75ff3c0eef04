// The history in its two forms: an array of events, or an object of columns. Both fill the decoder's arrays, which are
// then copied to the call.

internal import Catalogue
internal import Engine
internal import JSON

extension CallDecoder {
    /// Reads the value of `history`.
    mutating func readHistory(_ call: inout RecommendCall) throws(JSONError) {
        rows.removeAll(keepingCapacity: true)
        waitingCount = 0
        timestamps.removeAll(keepingCapacity: true)
        actions.removeAll(keepingCapacity: true)
        unknownExample = nil
        let unknownBefore = unknownItems
        // An event takes at least about ten bytes in a useful body, so this capacity suffices for most bodies.
        rows.reserveCapacity(min(limits.maxHistory, reader.remainingCount / 8))
        let hasTimestamps: Bool
        switch try reader.peek() {
        case .array: hasTimestamps = try readEvents()
        case .object: hasTimestamps = try readColumns()
        default: throw unusable("history must be an array of events or an object of columns")
        }
        findWaiting()
        takeHistory(&call, hasTimestamps: hasTimestamps, knownCount: rows.count - (unknownItems - unknownBefore))
    }

    // MARK: Events

    /// An array of `{"item": …, "timestamp": …, "action": …}`. Returns whether the events have timestamps.
    private mutating func readEvents() throws(JSONError) -> Bool {
        var hasTimestamps = false
        try reader.beginArray()
        while try reader.nextElement() {
            let index = rows.count
            try checkLength("history", index)
            let (item, timestamp, action) = try readEvent(index)
            append(item)
            noteAction(action, of: index)
            if index == 0 {
                hasTimestamps = timestamp != nil
                if hasTimestamps { timestamps.reserveCapacity(rows.capacity) }
            } else if hasTimestamps != (timestamp != nil) {
                throw unusable(
                    "history[\(index)].timestamp is \(hasTimestamps ? "missing" : "given"), "
                        + "but earlier events have \(hasTimestamps ? "one" : "none"): all or none"
                )
            }
            if let timestamp {
                if let last = timestamps.last, timestamp < last {
                    throw unusable("history[\(index)].timestamp is smaller than its predecessor")
                }
                timestamps.append(timestamp)
            }
        }
        return hasTimestamps
    }

    private mutating func readEvent(
        _ index: Int
    ) throws(JSONError) -> (item: HistoryItem, timestamp: Int64?, action: UInt64) {
        var item: HistoryItem?
        var timestamp: Int64?
        var action: UInt64 = 0
        var fields = FieldSet<EventField>()
        try beginObject("history[\(index)]")
        while let field = try nextField(&fields, in: "history[\(index)]") {
            switch field {
            case .item: item = try readHistoryItem("history[\(index)].item")
            case .timestamp:
                if try reader.readNull() { continue }
                timestamp = try readTimestamp("history[\(index)].timestamp")
            case .action: action = try readAction("history[\(index)].action")
            }
        }
        guard let item else { throw unusable("history[\(index)].item is missing") }
        return (item, timestamp, action)
    }

    // MARK: Columns

    /// An object of `items`, `timestamps` and `actions`, in any order. Returns whether there are timestamps.
    private mutating func readColumns() throws(JSONError) -> Bool {
        var hasTimestamps = false
        var actionCount: Int?
        var fields = FieldSet<ColumnField>()
        try reader.beginObject()
        while let field = try nextField(&fields, in: "history") {
            switch field {
            case .items: try readItemColumn()
            case .timestamps:
                if try reader.readNull() { continue }
                hasTimestamps = true
                try readTimestampColumn()
            case .actions:
                if try reader.readNull() { continue }
                actionCount = try readActionColumn()
            }
        }
        guard fields.contains(.items) else { throw unusable("history.items is missing") }
        if hasTimestamps { try checkColumn("timestamps", timestamps.count) }
        if let actionCount { try checkColumn("actions", actionCount) }
        return hasTimestamps
    }

    private mutating func readItemColumn() throws(JSONError) {
        try beginArray("history.items")
        while true {
            let index = rows.count
            if index < limits.maxHistory, let text = reader.readPlainElement() {
                append(ItemKey(text.utf8))
                continue
            }
            guard try reader.nextElement() else { return }
            try checkLength("history.items", index)
            append(try readHistoryItem("history.items[\(index)]"))
        }
    }

    private mutating func readTimestampColumn() throws(JSONError) {
        timestamps.reserveCapacity(rows.isEmpty ? rows.capacity : rows.count)
        try beginArray("history.timestamps")
        while try reader.nextElement() {
            let index = timestamps.count
            try checkLength("history.timestamps", index)
            let timestamp = try readTimestamp("history.timestamps[\(index)]")
            if let last = timestamps.last, timestamp < last {
                throw unusable("history.timestamps[\(index)] is smaller than its predecessor")
            }
            timestamps.append(timestamp)
        }
    }

    private mutating func readActionColumn() throws(JSONError) -> Int {
        var count = 0
        try beginArray("history.actions")
        while try reader.nextElement() {
            try checkLength("history.actions", count)
            noteAction(try readAction("history.actions[\(count)]"), of: count)
            count += 1
        }
        return count
    }

    private func checkColumn(_ name: StaticString, _ count: Int) throws(JSONError) {
        guard count == rows.count else {
            throw unusable("history.\(name) has \(count) entries, history.items has \(rows.count)")
        }
    }

    // MARK: Both

    private func checkLength(_ path: StaticString, _ count: Int) throws(JSONError) {
        guard count < limits.maxHistory else { throw unusable("\(path) has more than \(limits.maxHistory) events") }
    }

    /// The fingerprint of an action; 0 for none. Different actions hardly ever share one.
    private mutating func readAction(_ path: @autoclosure () -> String) throws(JSONError) -> UInt64 {
        switch try reader.peek() {
        case .null:
            _ = try reader.readNull()
            return 0
        case .string:
            return ActionFingerprint.of(try reader.readString().utf8)
        case .number:
            guard let value = try reader.readNumber().wholeValue else { break }
            return ActionFingerprint.of(value)
        default: break
        }
        throw unusable("\(path()) must be a string or an integer")
    }

    /// Keeps actions from the first event that has one.
    private mutating func noteAction(_ action: UInt64, of index: Int) {
        guard action != 0 || !actions.isEmpty else { return }
        while actions.count < index { actions.append(0) }
        actions.append(action)
    }

    /// Copies the history to the call without its unknown items. The copies have exactly the size they need, because
    /// they live as long as the request.
    private func takeHistory(_ call: inout RecommendCall, hasTimestamps: Bool, knownCount: Int) {
        call.eventCount = rows.count
        call.request.history.reserveCapacity(knownCount)
        for row in rows where row != unknownRow { call.request.history.append(row) }
        call.noteStrangeness(unknownExample)
        if hasTimestamps {
            var known: [Int64] = []
            known.reserveCapacity(knownCount)
            for (row, timestamp) in zip(rows, timestamps) where row != unknownRow { known.append(timestamp) }
            call.request.timestamps = known
        }
        if !actions.isEmpty {
            call.request.actions.reserveCapacity(knownCount)
            for (row, action) in zip(rows, actions) where row != unknownRow { call.request.actions.append(action) }
        }
    }
}
