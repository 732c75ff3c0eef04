// Reads a table: one event per line, fields separated by a `FieldSeparator`, columns named by the first line or by the
// caller.

internal import Files

/// Reads the events of a table in sequence.
struct TableReader {
    private static let sampledLines = 10

    private let bytes: UnsafeBufferPointer<UInt8>
    private let separator: FieldSeparator
    private let places: ColumnPlaces
    private let unit: TimeUnit
    private let width: Int
    private var place: LinePlace
    private var position = 0
    private var nextLine = 1
    private var fields: [Field] = []

    /// Whether the table has a column of times.
    var hasTimestamps: Bool { places.time != nil }

    /// - Parameter bytes: must not change while the reader is used.
    init(
        _ bytes: UnsafeBufferPointer<UInt8>,
        name: String,
        options: InteractionOptions
    ) throws(InteractionLogError) {
        self.bytes = bytes
        place = LinePlace(file: name, line: 1)
        let sample = Self.firstLines(of: bytes)
        guard let first = sample.first else { throw InteractionLogError(description: "\(name) is empty") }
        let separator = FieldSeparator.found(in: sample, columns: options.columns?.count)
        self.separator = separator
        var fields: [Field] = []
        _ = separator.split(first, from: 0, into: &fields)
        let header = fields.map { $0.text(in: first) }
        let found = "found, split at \(separator.noun): \(Self.list(header))"
        let names = options.columns ?? header
        do throws(ColumnFault) {
            places = try ColumnPlaces(names: names, readsActions: options.readsActions)
        } catch {
            guard options.columns == nil else {
                throw InteractionLogError(description: "--columns \(names.joined(separator: ",")): \(error.sentence)")
            }
            let line = Self.lineNumber(of: first, in: bytes)
            throw LinePlace(file: name, line: line).fault(
                "\(error.sentence); \(found). If there is no header, name the columns: "
                    + "--columns user,item,rating,timestamp"
            )
        }
        width = options.columns?.count ?? header.count
        let unit = options.timeUnit ?? places.unit ?? .seconds
        self.unit = unit
        if options.columns == nil || Self.isHeader(header, sample, separator, places, unit) { _ = try nextRecord() }
    }

    /// The next event; nil at the end.
    mutating func next() throws(InteractionLogError) -> ReadEvent? {
        guard try nextRecord() else { return nil }
        guard fields.count == width else {
            throw place.fault("has \(fields.count) columns, not \(width); \(found)")
        }
        var time = EventTime()
        if let column = places.time {
            time = try place.time(fields[column].text(in: bytes)[...], unit, found: found)
        }
        var event = ReadEvent(user: try id(places.user, "user"), item: try id(places.item, "item"), time: time)
        if let action = places.action, !fields[action].range.isEmpty { event.action = try text(action) }
        return event
    }

    /// Splits the next non-blank line into `fields`; false at the end.
    private mutating func nextRecord() throws(InteractionLogError) -> Bool {
        while position < bytes.count {
            place.line = nextLine
            guard let end = separator.split(bytes, from: position, into: &fields) else {
                throw place.fault("a quote is not closed")
            }
            nextLine += 1
            for field in fields where field.isQuoted {
                nextLine += bytes[field.range].count { $0 == UInt8(ascii: "\n") }
            }
            position = end
            // A blank line has one empty field.
            if fields.count > 1 || !fields[0].range.isEmpty { return true }
        }
        return false
    }

    private func id(_ column: Int, _ noun: String) throws(InteractionLogError) -> String {
        let text = try text(column)
        guard !text.isEmpty else { throw place.fault("the \(noun) is empty; \(found)") }
        return text
    }

    private func text(_ column: Int) throws(InteractionLogError) -> String {
        let field = fields[column]
        guard let text = field.validText(in: bytes) else {
            let start = bytes[..<field.range.lowerBound].lastIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? 0
            let offset = TextFile.firstInvalidByte(UnsafeBufferPointer(rebasing: bytes[field.range])) ?? 0
            let byte = bytes[field.range.lowerBound + offset]
            throw place.fault(TextFile.notUTF8(byte: byte, at: field.range.lowerBound + offset - start))
        }
        return text
    }

    private var found: String { "found, split at \(separator.noun): \(Self.list(fields.map { $0.text(in: bytes) }))" }

    private static func list(_ fields: [String]) -> String {
        let shown = fields.prefix(12).map { excerpt($0) }.joined(separator: ", ")
        return fields.count > 12 ? shown + ", …" : shown
    }

    /// The first non-blank lines.
    private static func firstLines(of bytes: UnsafeBufferPointer<UInt8>) -> [UnsafeBufferPointer<UInt8>] {
        var lines: [UnsafeBufferPointer<UInt8>] = []
        var position = 0
        while position < bytes.count, lines.count < sampledLines {
            let end = FieldSeparator.lineEnd(bytes, from: position)
            let line = UnsafeBufferPointer(rebasing: bytes[position..<end])
            if line.contains(where: { $0 != 0x20 && $0 != 0x09 }) { lines.append(line) }
            position = FieldSeparator.nextLine(bytes, after: end)
        }
        return lines
    }

    private static func lineNumber(of line: UnsafeBufferPointer<UInt8>, in bytes: UnsafeBufferPointer<UInt8>) -> Int {
        guard let base = bytes.baseAddress, let start = line.baseAddress else { return 1 }
        return 1 + bytes[..<(start - base)].count { $0 == UInt8(ascii: "\n") }
    }

    /// Whether the first line is a header even though the caller named the columns: it names a user and an item, or has
    /// no time where the second line has one.
    private static func isHeader(
        _ first: [String],
        _ sample: [UnsafeBufferPointer<UInt8>],
        _ separator: FieldSeparator,
        _ places: ColumnPlaces,
        _ unit: TimeUnit
    ) -> Bool {
        if (try? ColumnPlaces(names: first)) != nil { return true }
        guard let time = places.time, sample.count > 1 else { return false }
        var fields: [Field] = []
        _ = separator.split(sample[1], from: 0, into: &fields)
        let second = fields.map { $0.text(in: sample[1]) }
        guard first.indices.contains(time), second.indices.contains(time) else { return false }
        return unit.time(first[time][...]) == nil && unit.time(second[time][...]) != nil
    }
}
