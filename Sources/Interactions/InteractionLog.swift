// A data set's events by user, read from a file in any of the common formats.

internal import Files

/// What the caller must state about a file of interactions because the file does not.
package struct InteractionOptions: Sendable, Equatable {
    /// The column names, for a file without a header or overriding it; nil: the first line has them.
    package var columns: [String]?
    /// The unit of the times; nil: as the column's name states, or seconds.
    package var timeUnit: TimeUnit?
    /// Whether to read actions if the file has them.
    package var readsActions = false

    package init(columns: [String]? = nil, timeUnit: TimeUnit? = nil) {
        self.columns = columns
        self.timeUnit = timeUnit
    }
}

/// Why a file of interactions cannot be read, and on which line, in one sentence.
package struct InteractionLogError: Error, Equatable, CustomStringConvertible {
    package let description: String

    package init(description: String) { self.description = description }
}

/// A data set's events by user.
package struct InteractionLog: Sendable {
    package struct Event: Sendable, Equatable {
        package var item: String
        /// Seconds since the epoch; 0 if the file has no times.
        package var timestamp: Int64

        package init(item: String, timestamp: Int64) {
            self.item = item
            self.timestamp = timestamp
        }
    }

    package struct User: Sendable, Equatable {
        package var id: String
        /// Ordered by timestamp, equal timestamps in file order.
        package var events: [Event]
        /// The action of each event, nil for none; empty if actions are not read or the file has none.
        package var actions: [String?] = []

        /// Orders the events by timestamp, equal ones in file order: the standard library's sort is stable.
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

    /// In the order of their first lines.
    package private(set) var users: [User] = []
    /// Whether the file has times.
    package let hasTimestamps: Bool

    /// Reads a file, decompressing it if it is gzipped.
    ///
    /// - Throws: `FileError` if it cannot be read; `InteractionLogError` if its content is invalid.
    package init(path: String, options: InteractionOptions = InteractionOptions()) throws {
        try self.init(parsing: TextFile.contents(of: path), name: path, options: options)
    }

    /// Parses the content of a file; errors name it `name`.
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
        /// The index of the last event's user, since most files list a user's events together.
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
    /// Seconds since the epoch; 0 if the file has no times.
    var timestamp: Int64
    /// nil: there is none, or actions are not read.
    var action: String?
}

/// The position of a faulty line.
struct LinePlace {
    var file: String
    var line: Int

    func fault(_ sentence: String) -> InteractionLogError {
        InteractionLogError(description: "\(file), line \(line): \(sentence)")
    }

    /// Parses the time of an event into seconds.
    ///
    /// - Parameter found: the line's columns, for the error.
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

/// A text in quotes, truncated to fit a sentence.
func excerpt(_ text: some StringProtocol) -> String {
    text.count > 40 ? "\"\(text.prefix(39))…\"" : "\"\(text)\""
}
