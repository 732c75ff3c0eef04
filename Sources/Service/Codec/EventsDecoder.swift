// The body of `POST /events`: `{"events": […]}`, or NDJSON with one event per line. A malformed event is an error of
// the whole body, so that a caller who fixes it can send the whole body again.

internal import JSON
internal import Users

/// The fields of an event of `POST /events`.
private enum IncomingEventField: UInt8, RequestField {
    case userID, item, timestamp, action

    init?(_ key: JSONString) {
        switch key {
        case "user_id": self = .userID
        case "item": self = .item
        case "timestamp": self = .timestamp
        case "action": self = .action
        default: return nil
        }
    }
}

/// Decodes events.
enum EventsDecoder {
    /// Levels of nesting.
    private static let depthLimit = 8
    /// The most events of a body.
    static let maximumCount = 100_000
    /// The limit on a body's bytes, even if other bodies have a lower one: over 600 for each of `maximumCount`.
    static let maximumBytes = 64 << 20
    /// The most bytes of an item's id and of an action.
    static let maximumItemBytes = 1_024
    static let maximumActionBytes = 256

    /// The events of a JSON body.
    ///
    /// - Parameter now: seconds since the epoch, for events without a time.
    static func decode(_ body: UnsafeBufferPointer<UInt8>, now: Int64) throws(CallError) -> [IncomingEvent] {
        var events: [IncomingEvent] = []
        do throws(JSONError) {
            var reader = JSONReader(body, depthLimit: depthLimit)
            guard try reader.peek() == .object else { throw JSONError("the body must be an object") }
            try reader.beginObject()
            var hasEvents = false
            while let key = try reader.nextKey() {
                guard "events" ~= key else { throw JSONError("unknown field '\(String(key.string.prefix(64)))'") }
                guard !hasEvents else {
                    throw JSONError(.duplicateKey, at: key.offset, "the key 'events' is duplicated")
                }
                hasEvents = true
                guard try reader.peek() == .array else { throw JSONError("events must be an array") }
                try reader.beginArray()
                while try reader.nextElement() {
                    let index = events.count
                    try checkCount(index)
                    events.append(
                        try readEvent(&reader, now, hasUser: true) { "events[\(index)]\($0.isEmpty ? "" : ".\($0)")" }
                    )
                }
            }
            guard hasEvents else { throw JSONError("events is missing") }
            try reader.finish()
        } catch {
            throw CallError(error, in: body, depthLimit: depthLimit)
        }
        return events
    }

    /// The events of an NDJSON body. Empty lines are skipped.
    static func decodeLines(_ body: UnsafeBufferPointer<UInt8>, now: Int64) throws(CallError) -> [IncomingEvent] {
        var events: [IncomingEvent] = []
        var number = 0
        for line in body.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false) {
            number += 1
            if line.allSatisfy({ $0 == 0x20 || $0 == 0x09 || $0 == 0x0D }) { continue }
            do throws(JSONError) {
                try checkCount(events.count)
                var reader = JSONReader(UnsafeBufferPointer(rebasing: line), depthLimit: depthLimit)
                events.append(try readEvent(&reader, now, hasUser: true) { $0.isEmpty ? "the event" : $0 })
                try reader.finish()
            } catch {
                // 422 even if the line is not JSON, since the body as a whole is not JSON either.
                throw CallError(.unusable, "line \(number): \(error)")
            }
        }
        return events
    }

    private static func checkCount(_ count: Int) throws(JSONError) {
        guard count < maximumCount else { throw JSONError("there are more than \(maximumCount) events") }
    }

    /// Reads an event.
    ///
    /// - Parameters:
    ///   - now: seconds since the epoch, for events without a time.
    ///   - hasUser: whether the event names its user; otherwise `user` is empty.
    ///   - path: the path of a field for an error sentence; an empty name stands for the event itself.
    static func readEvent(
        _ reader: inout JSONReader,
        _ now: Int64,
        hasUser: Bool,
        path: (String) -> String
    ) throws(JSONError) -> IncomingEvent {
        var user: String?
        var item: String?
        var timestamp: Int64?
        var action: String?
        var fields = FieldSet<IncomingEventField>()
        guard try reader.peek() == .object else { throw JSONError("\(path("")) must be an object") }
        try reader.beginObject()
        while let key = try reader.nextKey() {
            guard let field = IncomingEventField(key), hasUser || field != .userID else {
                throw JSONError("\(path(String(key.string.prefix(64)))) is an unknown field")
            }
            guard fields.insert(field) else {
                throw JSONError(.duplicateKey, at: key.offset, "the key '\(key.string)' is duplicated")
            }
            switch field {
            case .userID:
                guard try reader.peek() == .string else { throw JSONError("\(path("user_id")) must be a string") }
                let id = try reader.readString()
                if let fault = RecommendCodec.fault(inUserID: id.utf8) {
                    throw JSONError("\(path("user_id")) \(fault)")
                }
                user = id.string
            case .item:
                guard let text = try readText(&reader, atMost: maximumItemBytes) else {
                    throw JSONError("\(path("item")) must be a string of 1 to \(maximumItemBytes) bytes or an integer")
                }
                item = text
            case .timestamp:
                if try reader.readNull() { continue }
                guard try reader.peek() == .number, let value = try reader.readNumber().wholeValue,
                    value.magnitude <= JSONNumber.exactIntegerLimit.magnitude
                else { throw JSONError("\(path("timestamp")) must be an integer from -2^53 to 2^53") }
                guard value <= CallLimits.lastSecond else {
                    throw JSONError(CallLimits.afterLastSecond(path("timestamp")))
                }
                timestamp = value
            case .action:
                if try reader.readNull() { continue }
                guard let text = try readText(&reader, atMost: maximumActionBytes) else {
                    throw JSONError(
                        "\(path("action")) must be a string of 1 to \(maximumActionBytes) bytes or an integer"
                    )
                }
                action = text
            }
        }
        guard user != nil || !hasUser else { throw JSONError("\(path("user_id")) is missing") }
        guard let item else { throw JSONError("\(path("item")) is missing") }
        return IncomingEvent(
            user: user ?? "",
            event: UserEvent(item: item, timestamp: timestamp ?? now, action: action)
        )
    }

    /// A string, or an integer in decimal; nil for anything else.
    private static func readText(_ reader: inout JSONReader, atMost limit: Int) throws(JSONError) -> String? {
        switch try reader.peek() {
        case .string:
            let text = try reader.readString()
            return 1...limit ~= text.utf8.count ? text.string : nil
        case .number: return try reader.readNumber().wholeValue.map(String.init)
        default: return nil
        }
    }
}
