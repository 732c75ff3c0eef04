// The events of a data set by user, read from a file in any of the common formats.

internal import Files

/// What the caller must say about a file of interactions because the file does not.
package struct InteractionOptions: Sendable, Equatable {
    /// The names of the columns of a file without a header, or overriding its own; nil: the first line names them.
    package var columns: [String]?
    /// The unit of the times; nil: as the column's name states, otherwise seconds.
    package var timeUnit: TimeUnit?
    /// Whether to read actions, if the file has them.
    package var readsActions = false

    package init(columns: [String]? = nil, timeUnit: TimeUnit? = nil) {
        self.columns = columns
        self.timeUnit = timeUnit
    }
}

/// A file of interactions that cannot be read; one sentence says what is wrong and on which line.
package struct InteractionLogError: Error, Equatable, CustomStringConvertible {
    package let description: String

    package init(description: String) { self.description = description }
}

/// The events of a data set by user.
package struct InteractionLog: Sendable {
    package struct Event: Sendable, Equatable {
        package var item: String
        /// Seconds since the epoch; 0 where the file has no times.
        package var timestamp: Int64

        package init(item: String, timestamp: Int64) {
            self.item = item
            self.timestamp = timestamp
        }
    }

    package struct User: Sendable, Equatable {
        package var id: String
        /// Ordered by timestamp; events of the same second in the order of the file.
        package var events: [Event]
        /// The action of each event, nil if none; empty if actions are not read or the file has none.
        package var actions: [String?] = []

        /// Orders the events by timestamp, and keeps the file's order within a second: the standard library's sort is stable.
        fileprivate mutating func sort() {
            guard !actions.isEmpty else { return events.sort { $0.timestamp < $1.timestamp } }
            let order = events.indices.sorted { events[$0].timestamp < events[$1].timestamp }
            events = order.map { events[$0] }
            actions = order.map { actions[$0] }
        }

        fileprivate mutating func append(_ event: ReadEvent) {
            events.append(Event(item: event.item, timestamp: event.timestamp))
            if event.action == nil, actions.isEmpty { return }
            actions.append(contentsOf: repeatElement(nil, count: events.count - 1 - actions.count))
            actions.append(event.action)
        }
    }

    /// In the order of their first line.
    package private(set) var users: [User] = []
    /// Whether the file has times.
    package let hasTimestamps: Bool

    /// Reads a file; one that is compressed with gzip is decompressed.
    ///
    /// - Throws: `FileError` if it cannot be read; `InteractionLogError` if it is not understood.
    package init(path: String, options: InteractionOptions = InteractionOptions()) throws {
        try self.init(parsing: TextFile.contents(of: path), name: path, options: options)
    }

    /// Parses the content of a file; errors mention `name`.
    package init(
        parsing text: [UInt8],
        name: String,
        options: InteractionOptions = InteractionOptions()
    ) throws(InteractionLogError) {
        self = try text.withUnsafeBufferPointer { bytes throws(InteractionLogError) in
            try InteractionLog(bytes, name, options)
        }
    }

    private init(
        _ bytes: UnsafeBufferPointer<UInt8>,
        _ name: String,
        _ options: InteractionOptions
    ) throws(InteractionLogError) {
        var collector = Collector()
        let firstByte = bytes.first { !" \t\r\n".utf8.contains($0) }
        if firstByte == UInt8(ascii: "{"), options.columns == nil {
            var reader = JSONLinesReader(bytes, name: name, options: options)
            while let event = try reader.next() { collector.add(event) }
            hasTimestamps = reader.hasTimestamps
        } else {
            var reader = try TableReader(bytes, name: name, options: options)
            while let event = try reader.next() { collector.add(event) }
            hasTimestamps = reader.hasTimestamps
        }
        users = collector.users
        guard hasTimestamps else { return }
        for index in users.indices { users[index].sort() }
    }

    /// Groups events by user.
    private struct Collector {
        var users: [User] = []
        private var indexByUser: [String: Int] = [:]
        /// Most files have a user's events together.
        private var last: Int?

        mutating func add(_ event: ReadEvent) {
            if let last, users[last].id == event.user {
                users[last].append(event)
                return
            }
            let index = indexByUser[event.user] ?? users.count
            if index == users.count {
                indexByUser[event.user] = index
                users.append(User(id: event.user, events: []))
            }
            last = index
            users[index].append(event)
        }
    }
}

/// One line of a file of interactions.
struct ReadEvent {
    var user: String
    var item: String
    /// Seconds since the epoch; 0 where the file has no times.
    var timestamp: Int64
    /// nil: nothing is said, or it is not wanted.
    var action: String?
}

/// The place of a wrong line.
struct LinePlace {
    var file: String
    var line: Int

    func fault(_ sentence: String) -> InteractionLogError {
        InteractionLogError(description: "\(file), line \(line): \(sentence)")
    }

    /// The time of an event in seconds.
    ///
    /// - Parameter found: the columns of the line, for the sentence.
    func seconds(
        _ text: Substring,
        _ unit: TimeUnit,
        found: @autoclosure () -> String
    ) throws(InteractionLogError) -> Int64 {
        guard let seconds = unit.seconds(text) else {
            let advice =
                unit != .iso && TimeUnit.iso.seconds(text) != nil ? "; if it is a date, say --time-unit iso" : ""
            throw fault("the timestamp \(excerpt(text)) is not \(unit.noun)\(advice); \(found())")
        }
        guard seconds >= TimeUnit.firstSecond else {
            throw fault("the timestamp \(excerpt(text)) lies before the year 1 as \(unit.noun); \(found())")
        }
        guard seconds <= TimeUnit.lastSecond else {
            let advice = unit.smaller(for: seconds).map { "; say --time-unit \($0.rawValue) if it is \($0.noun)" } ?? ""
            throw fault("the timestamp \(excerpt(text)) lies after the year 9999 as \(unit.noun)\(advice)")
        }
        return seconds
    }
}

/// A text in quotes, short enough for a sentence.
func excerpt(_ text: some StringProtocol) -> String {
    text.count > 40 ? "\"\(text.prefix(39))…\"" : "\"\(text)\""
}
