// A data set's events by user, read from a file in any of the common formats.

internal import Files
internal import JSON

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
        /// Seconds since the epoch, a fraction cut off; 0 if the file has no times.
        package var timestamp: Int64

        package init(item: String, timestamp: Int64) {
            self.item = item
            self.timestamp = timestamp
        }
    }

    package struct User: Sendable, Equatable {
        package var id: String
        /// Ordered by time, equal times in file order.
        package var events: [Event]
        /// The action of each event, nil for none; empty if actions are not read or the file has none.
        package var actions: [String?] = []
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
        users = collector.users(sorted: hasTimestamps)
    }

    /// Groups events by user.
    private struct Collector {
        private struct Gathered {
            var user: User
            /// The part of each event's time below a second, in microseconds; empty if there is none.
            var fractions: [Int32] = []

            mutating func append(_ event: ReadEvent) {
                let count = user.events.count
                user.events.append(Event(item: event.item, timestamp: event.time.seconds))
                if event.time.microseconds != 0 || !fractions.isEmpty {
                    fractions.append(contentsOf: repeatElement(0, count: count - fractions.count))
                    fractions.append(event.time.microseconds)
                }
                if event.action != nil || !user.actions.isEmpty {
                    user.actions.append(contentsOf: repeatElement(nil, count: count - user.actions.count))
                    user.actions.append(event.action)
                }
            }

            /// The user with the events ordered by time, those of the same time as in the file: the standard library's sort
            /// is stable.
            func sorted() -> User {
                var user = user
                guard !fractions.isEmpty || !user.actions.isEmpty else {
                    user.events.sort { $0.timestamp < $1.timestamp }
                    return user
                }
                func time(_ index: Int) -> EventTime {
                    let fraction = fractions.isEmpty ? 0 : fractions[index]
                    return EventTime(seconds: self.user.events[index].timestamp, microseconds: fraction)
                }
                let order = user.events.indices.sorted { time($0) < time($1) }
                user.events = order.map { self.user.events[$0] }
                if !user.actions.isEmpty { user.actions = order.map { self.user.actions[$0] } }
                return user
            }
        }

        private var gathered: [Gathered] = []
        private var indexByUser: [TextKey: Int] = [:]
        /// The index of the last event's user, since most files list a user's events together.
        private var last: Int?

        mutating func add(_ event: ReadEvent) {
            let key = TextKey(event.user)
            if let last, TextKey(gathered[last].user.id) == key {
                gathered[last].append(event)
                return
            }
            let index = indexByUser[key] ?? gathered.count
            if index == gathered.count {
                indexByUser[key] = index
                gathered.append(Gathered(user: User(id: event.user, events: [])))
            }
            last = index
            gathered[index].append(event)
        }

        func users(sorted: Bool) -> [User] { gathered.map { sorted ? $0.sorted() : $0.user } }
    }
}

/// One line of a file of interactions.
struct ReadEvent {
    var user: String
    var item: String
    /// 0 if the file has no times.
    var time: EventTime
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

    /// The time of an event.
    ///
    /// - Parameter found: the line's columns, for the error.
    func time(
        _ text: Substring,
        _ unit: TimeUnit,
        found: @autoclosure () -> String
    ) throws(InteractionLogError) -> EventTime {
        guard let time = unit.time(text) else {
            let advice =
                unit != .iso && TimeUnit.iso.time(text) != nil ? "; for dates, use --time-unit iso" : ""
            throw fault("the timestamp \(excerpt(text)) is not \(unit.noun)\(advice); \(found())")
        }
        guard time.seconds >= TimeUnit.firstSecond else {
            throw fault("the timestamp \(excerpt(text)) lies before the year 1 as \(unit.noun); \(found())")
        }
        guard time.seconds <= TimeUnit.lastSecond else {
            let smaller = unit.smaller(for: time.seconds)
            let advice = smaller.map { "; if it is \($0.noun), use --time-unit \($0.rawValue)" } ?? ""
            throw fault("the timestamp \(excerpt(text)) lies after the year 9999 as \(unit.noun)\(advice)")
        }
        return time
    }
}

/// A text in quotes, truncated to fit a sentence.
func excerpt(_ text: some StringProtocol) -> String {
    text.count > 40 ? "\"\(text.prefix(39))…\"" : "\"\(text)\""
}
