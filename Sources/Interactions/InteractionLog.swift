// Reads a table of interactions, the form in which the field shares its data sets: tab-separated, one event a line, the
// columns named in the first line (RecBole's atomic files write `user_id:token`; the part behind the colon is ignored).

package import Foundation

/// A file of interactions that cannot be read; one sentence says what is wrong and on which line.
package struct InteractionLogError: Error, Equatable, CustomStringConvertible {
    package let description: String
}

/// The events of a data set by user.
package struct InteractionLog: Sendable {
    package struct Event: Sendable, Equatable {
        package var item: String
        /// Seconds since the epoch.
        package var timestamp: Int64
    }

    package struct User: Sendable, Equatable {
        package var id: String
        /// By timestamp; events of the same second in the order of the file.
        package var events: [Event]
    }

    /// In the order of their first line.
    package private(set) var users: [User] = []

    /// Reads a file.
    package init(path: String) throws {
        guard let data = FileManager.default.contents(atPath: path) else {
            throw InteractionLogError(description: "cannot read \(path)")
        }
        try self.init(parsing: data, name: path)
    }

    /// Parses the content of a file; `name` stands in errors.
    package init(parsing data: Data, name: String) throws(InteractionLogError) {
        var columns: Columns?
        var indexByUser: [String: Int] = [:]
        var lineNumber = 0
        for rawLine in data.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false) {
            lineNumber += 1
            var line = rawLine
            if line.last == UInt8(ascii: "\r") { line.removeLast() }
            if line.isEmpty { continue }
            let fields = line.split(separator: UInt8(ascii: "\t"), omittingEmptySubsequences: false)
            guard let found = columns else {
                columns = try Columns(header: fields, name: name)
                continue
            }
            func fail(_ what: String) -> InteractionLogError {
                InteractionLogError(description: "\(name), line \(lineNumber): \(what)")
            }
            guard fields.count == found.count else {
                throw fail("has \(fields.count) columns, the header has \(found.count)")
            }
            guard let user = String(validating: fields[found.user], as: UTF8.self),
                let item = String(validating: fields[found.item], as: UTF8.self)
            else { throw fail("is not valid UTF-8") }
            guard let timestamp = Self.timestamp(fields[found.timestamp]) else {
                throw fail("the timestamp is not a number of seconds")
            }
            if indexByUser[user] == nil {
                indexByUser[user] = users.count
                users.append(User(id: user, events: []))
            }
            if let index = indexByUser[user] {
                users[index].events.append(Event(item: item, timestamp: timestamp))
            }
        }
        guard columns != nil else { throw InteractionLogError(description: "\(name) is empty") }
        for index in users.indices {
            // The standard library's sort is stable, which keeps the file's order within a second.
            users[index].events.sort { $0.timestamp < $1.timestamp }
        }
    }

    /// Where the header has the columns that matter.
    private struct Columns {
        let user: Int
        let item: Int
        let timestamp: Int
        let count: Int

        init(header: [Data.SubSequence], name: String) throws(InteractionLogError) {
            let names = header.map { field in
                String(decoding: field.prefix { $0 != UInt8(ascii: ":") }, as: UTF8.self).lowercased()
            }
            func column(_ accepted: [String]) throws(InteractionLogError) -> Int {
                let matches = names.indices.filter { accepted.contains(names[$0]) }
                guard matches.count == 1 else {
                    let what = matches.isEmpty ? "no column" : "more than one column"
                    throw InteractionLogError(
                        description: "\(name), line 1: \(what) is named \(accepted.joined(separator: " or "))"
                    )
                }
                return matches[0]
            }
            user = try column(["user", "user_id"])
            item = try column(["item", "item_id"])
            timestamp = try column(["timestamp"])
            count = names.count
        }
    }

    /// Whole seconds; a fraction, as some data sets have it, is cut off.
    private static func timestamp(_ field: Data.SubSequence) -> Int64? {
        let text = String(decoding: field, as: UTF8.self)
        if let whole = Int64(text) { return whole }
        guard let number = Double(text), abs(number) < 9.0e15 else { return nil }
        return Int64(number)
    }
}
