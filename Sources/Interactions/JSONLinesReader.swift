// Reads one JSON object per line, as in the Amazon and Yelp reviews: keys take the role of columns.

internal import Files
internal import JSON

/// Reads the events of such a file in sequence.
struct JSONLinesReader {
    private struct Keys {
        var user: String
        var item: String
        var time: String?
        var action: String?
    }

    private let bytes: UnsafeBufferPointer<UInt8>
    private var place: LinePlace
    private var position = 0
    private let statedUnit: TimeUnit?
    private let readsActions: Bool
    /// Keys that are not action keys. Not every event has an action, so any line may be the first with its key.
    private var otherKeys: Set<String> = []
    /// The relevant keys, known from the first line on.
    private var keys: Keys?
    private var unit = TimeUnit.seconds

    /// Whether the first line has a time.
    var hasTimestamps: Bool { keys?.time != nil }

    /// - Parameter bytes: must not change while the reader is used.
    init(_ bytes: UnsafeBufferPointer<UInt8>, name: String, options: InteractionOptions) {
        self.bytes = bytes
        place = LinePlace(file: name, line: 0)
        statedUnit = options.timeUnit
        readsActions = options.readsActions
    }

    /// The next event; nil at the end.
    mutating func next() throws(InteractionLogError) -> ReadEvent? {
        while position < bytes.count {
            let end = FieldSeparator.lineEnd(bytes, from: position)
            let line = UnsafeBufferPointer(rebasing: bytes[position..<end])
            position = FieldSeparator.nextLine(bytes, after: end)
            place.line += 1
            if line.allSatisfy({ $0 == 0x20 || $0 == 0x09 }) { continue }
            let scalars: [(key: String, value: String)]
            do throws(JSONError) {
                scalars = try self.scalars(line)
            } catch {
                if let offset = TextFile.firstInvalidByte(line) {
                    throw place.fault(TextFile.notUTF8(byte: line[offset], at: offset))
                }
                throw place.fault(error.description)
            }
            return try event(scalars)
        }
        return nil
    }

    /// The object's strings and numbers, as written.
    private mutating func scalars(
        _ line: UnsafeBufferPointer<UInt8>
    ) throws(JSONError) -> [(key: String, value: String)] {
        var reader = JSONReader(line)
        var scalars: [(key: String, value: String)] = []
        try reader.beginObject()
        while let key = try reader.nextKey() {
            let name = key.string
            switch isNeeded(name) ? try reader.peek() : .null {
            case .string: scalars.append((name, try reader.readString().string))
            case .number: scalars.append((name, try reader.readNumber().text))
            default: try reader.skipValue()
            }
        }
        try reader.finish()
        return scalars
    }

    private mutating func isNeeded(_ key: String) -> Bool {
        guard let keys else { return true }
        if key == keys.user || key == keys.item || key == keys.time || key == keys.action { return true }
        guard readsActions, keys.action == nil, !otherKeys.contains(key) else { return false }
        if ColumnRole.action.names.contains(ColumnPlaces.normalized(key)) {
            self.keys?.action = key
            return true
        }
        otherKeys.insert(key)
        return false
    }

    private mutating func event(_ scalars: [(key: String, value: String)]) throws(InteractionLogError) -> ReadEvent {
        func found() -> String { "found: \(scalars.prefix(12).map { excerpt($0.key) }.joined(separator: ", "))" }
        func value(_ key: String) throws(InteractionLogError) -> String {
            guard let scalar = scalars.first(where: { $0.key == key }), !scalar.value.isEmpty else {
                throw place.fault("\(excerpt(key)) is missing, empty, or neither a string nor a number; \(found())")
            }
            return scalar.value
        }
        let keys: Keys
        if let known = self.keys {
            keys = known
        } else {
            keys = try firstKeys(scalars, found())
            self.keys = keys
        }
        var time = EventTime()
        if let key = keys.time { time = try place.time(try value(key)[...], unit, found: found()) }
        let action = scalars.first { $0.key == keys.action && !$0.value.isEmpty }?.value
        return ReadEvent(user: try value(keys.user), item: try value(keys.item), time: time, action: action)
    }

    private mutating func firstKeys(
        _ scalars: [(key: String, value: String)],
        _ found: String
    ) throws(InteractionLogError) -> Keys {
        do throws(ColumnFault) {
            let places = try ColumnPlaces(names: scalars.map(\.key), readsActions: readsActions)
            unit = statedUnit ?? places.unit ?? .seconds
            return Keys(
                user: scalars[places.user].key,
                item: scalars[places.item].key,
                time: places.time.map { scalars[$0].key },
                action: places.action.map { scalars[$0].key }
            )
        } catch {
            throw place.fault("\(error.sentence); \(found)")
        }
    }
}
