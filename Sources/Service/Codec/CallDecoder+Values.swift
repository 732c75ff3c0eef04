// The types of values in a call's fields, each with its error sentence.

internal import Catalogue
internal import JSON

extension CallDecoder {
    /// An error for a well-formed but unusable field.
    func unusable(_ sentence: String) -> JSONError { JSONError(.unusable, at: reader.offset, sentence) }

    // MARK: Objects

    mutating func beginObject(_ path: @autoclosure () -> String) throws(JSONError) {
        guard try reader.peek() == .object else { throw unusable("\(path()) must be an object") }
        try reader.beginObject()
    }

    mutating func beginArray(_ path: @autoclosure () -> String) throws(JSONError) {
        guard try reader.peek() == .array else { throw unusable("\(path()) must be an array") }
        try reader.beginArray()
    }

    /// The field whose value is next; nil at the object's end. `path` names the object; nil: the outermost one.
    mutating func nextField<Field: RequestField>(
        _ fields: inout FieldSet<Field>,
        in path: @autoclosure () -> String?
    ) throws(JSONError) -> Field? {
        guard let key = try reader.nextKey() else { return nil }
        guard let field = Field(key) else {
            throw unusable("unknown field '\(Self.excerpt(key.utf8))'" + (path().map { " in \($0)" } ?? ""))
        }
        guard fields.insert(field) else {
            throw JSONError(.duplicateKey, at: key.offset, "the key '\(Self.excerpt(key.utf8))' is duplicated")
        }
        return field
    }

    /// The beginning of a string, short enough for a sentence.
    private static func excerpt(_ utf8: UnsafeBufferPointer<UInt8>) -> String {
        guard utf8.count > 64 else { return String(decoding: utf8, as: UTF8.self) }
        var end = 64
        // Do not cut within a scalar.
        while utf8[end] & 0xC0 == 0x80 { end -= 1 }
        return String(decoding: utf8[..<end], as: UTF8.self) + "…"
    }

    // MARK: Scalars

    mutating func readBool(_ path: StaticString) throws(JSONError) -> Bool {
        guard try reader.peek() == .bool else { throw unusable("\(path) must be true or false") }
        return try reader.readBool()
    }

    mutating func readInteger(_ path: StaticString, in range: ClosedRange<Int64>) throws(JSONError) -> Int64 {
        guard try reader.peek() == .number, let value = try reader.readNumber().wholeValue, range.contains(value) else {
            throw unusable(
                range == Int64.min...Int64.max
                    ? "\(path) must be a 64-bit integer"
                    : "\(path) must be an integer from \(range.lowerBound) to \(range.upperBound)"
            )
        }
        return value
    }

    /// Seconds since the epoch, within ±2⁵³: readers whose numbers are doubles cannot distinguish larger ones.
    mutating func readTimestamp(_ path: @autoclosure () -> String) throws(JSONError) -> Int64 {
        guard try reader.peek() == .number, let value = try reader.readNumber().wholeValue,
            value.magnitude <= JSONNumber.exactIntegerLimit.magnitude
        else { throw unusable("\(path()) must be an integer from -2^53 to 2^53") }
        guard value <= CallLimits.lastSecond else { throw unusable(CallLimits.afterLastSecond(path())) }
        return value
    }

    /// A number above 0. It must be a normal `Float`, so that dividing by it stays finite.
    mutating func readPositive(_ path: StaticString, isShare: Bool) throws(JSONError) -> Float {
        if try reader.peek() == .number {
            let value = Float(try reader.readNumber().doubleValue)
            if value > 0, value.isNormal, !isShare || value <= 1 { return value }
        }
        throw unusable("\(path) must be a number above 0" + (isShare ? " and at most 1" : ""))
    }

    mutating func readChoice<Choice>(_ path: StaticString) throws(JSONError) -> Choice
    where Choice: RawRepresentable & CaseIterable, Choice.RawValue == String {
        if try reader.peek() == .string, let choice = Choice(rawValue: try reader.readString().string) {
            return choice
        }
        let choices = Choice.allCases.map { "\"\($0.rawValue)\"" }.joined(separator: ", ")
        throw unusable("\(path) must be one of \(choices)")
    }

    mutating func readUserID() throws(JSONError) -> String {
        guard try reader.peek() == .string else { throw unusable("user_id must be a string") }
        let id = try reader.readString()
        if let fault = RecommendCodec.fault(inUserID: id.utf8) { throw unusable("user_id \(fault)") }
        let name = id.string
        guard user == nil || user == name else { throw unusable("user_id and X-User-Id name different users") }
        return name
    }

    // MARK: Items and tags

    /// Stands for an item unknown to the catalogue. No row is negative.
    var unknownRow: Int32 { -1 }

    /// The row of the next item id. An unknown id is counted and yields `unknownRow`.
    private mutating func readItem(_ path: @autoclosure () -> String) throws(JSONError) -> Int32 {
        let id = try readID(path())
        return source.items.row(of: id.key) ?? unknown(id.key)
    }

    /// Counts an item unknown to the catalogue. Returns `unknownRow`.
    private mutating func unknown(_ key: ItemKey) -> Int32 {
        // One example per history suffices for an error sentence.
        if unknownExample == nil { unknownExample = key.text.map { Self.excerpt($0) } ?? String(key.integer) }
        unknownItems += 1
        return unknownRow
    }

    /// Reads the item id of a history's event. `append(_:)` adds it to `rows` once the rest of the event is read.
    mutating func readHistoryItem(_ path: @autoclosure () -> String) throws(JSONError) -> HistoryItem {
        let id = try readID(path())
        guard id.lasts else {
            findWaiting()
            return .found(source.items.row(of: id.key) ?? unknown(id.key))
        }
        return .waiting(id.key)
    }

    mutating func append(_ item: HistoryItem) {
        switch item {
        case .waiting(let key): append(key)
        case .found(let row):
            findWaiting()
            rows.append(row)
        }
    }

    /// Adds an event's item to `rows`. Rows are looked up in groups; call `findWaiting` for the last one.
    mutating func append(_ key: ItemKey) {
        rows.append(unknownRow)
        waiting[waitingCount] = key
        waitingCount += 1
        if waitingCount == waiting.count { findWaiting() }
    }

    /// Looks up the rows of all waiting ids at once.
    mutating func findWaiting() {
        let first = rows.count - waitingCount
        let items = source.items
        rows.withUnsafeMutableBufferPointer { rows in
            waiting.span.withUnsafeBufferPointer { keys in
                items.rows(
                    of: UnsafeBufferPointer(rebasing: keys[..<waitingCount]),
                    into: UnsafeMutableBufferPointer(rebasing: rows[first...])
                )
            }
        }
        for index in 0..<waitingCount where rows[first + index] == 0 { rows[first + index] = unknown(waiting[index]) }
        waitingCount = 0
    }

    /// The row of the next candidate; nil, with its id as JSON, if the catalogue does not know it.
    mutating func readCandidate(_ path: @autoclosure () -> String) throws(JSONError) -> (row: Int32?, json: [UInt8]) {
        let id = try readID(path())
        if let row = source.items.row(of: id.key) { return (row, []) }
        var writer = JSONWriter()
        if let text = id.key.text { writer.string(utf8: text) } else { writer.integer(Int(id.key.integer)) }
        return (nil, writer.bytes)
    }

    /// An item id in a body. Unless `lasts`, it is valid only until the reader advances.
    private struct ItemID {
        var key: ItemKey
        var lasts: Bool
    }

    private mutating func readID(_ path: @autoclosure () -> String) throws(JSONError) -> ItemID {
        switch try reader.peek() {
        case .string:
            let text = try reader.readString()
            return ItemID(key: ItemKey(text.utf8), lasts: text.isPartOfText)
        case .number:
            guard let id = try reader.readNumber().wholeValue else {
                throw unusable("\(path()) must be a string or a 64-bit integer")
            }
            return ItemID(key: ItemKey(id), lasts: true)
        default: throw unusable("\(path()) must be a string or an integer")
        }
    }

    /// The rows of a list of item ids, without the unknown ones.
    mutating func readItems(_ path: StaticString) throws(JSONError) -> [Int32] {
        var rows: [Int32] = []
        var count = 0
        try beginArray("\(path)")
        while try reader.nextElement() {
            try checkCount(count, path)
            let row = try readItem("\(path)[\(count)]")
            if row != unknownRow { rows.append(row) }
            count += 1
        }
        return rows
    }

    /// The numbers of a list of tags, without the unknown ones.
    mutating func readTags(_ path: StaticString) throws(JSONError) -> [Int32] {
        var tags: [Int32] = []
        var count = 0
        try beginArray("\(path)")
        while try reader.nextElement() {
            try checkCount(count, path)
            guard try reader.peek() == .string else { throw unusable("\(path)[\(count)] must be a string") }
            if let tag = source.items.tag(utf8: try reader.readString().utf8) { tags.append(tag) }
            count += 1
        }
        return tags
    }

    private func checkCount(_ count: Int, _ path: StaticString) throws(JSONError) {
        guard count < limits.maxListed else { throw unusable("\(path) has more than \(limits.maxListed) entries") }
    }
}
