// The separator between the fields of a line, and its detection from the first lines of a file.

internal import Glibc

/// A field of a line: the range of its content, without enclosing quotes.
struct Field {
    var range: Range<Int>
    /// Whether it was quoted, and so may contain line ends.
    var isQuoted = false
    /// Whether it contains quotes, which are written twice.
    var hasDoubledQuotes = false
}

/// The possible separators, in the order of trial.
enum FieldSeparator: CaseIterable {
    case tab
    case doubleColon
    case semicolon
    case comma
    case blanks

    /// Its name in errors.
    var noun: String {
        switch self {
        case .tab: "tabs"
        case .doubleColon: "\"::\""
        case .semicolon: "semicolons"
        case .comma: "commas"
        case .blanks: "blanks"
        }
    }

    /// Whether quoted fields may contain separators and line ends (RFC 4180).
    private var hasQuotes: Bool { self == .comma || self == .semicolon }

    private func isSeparator(_ byte: UInt8) -> Bool {
        switch self {
        case .tab: byte == UInt8(ascii: "\t")
        case .doubleColon: byte == UInt8(ascii: ":")
        case .semicolon: byte == UInt8(ascii: ";")
        case .comma: byte == UInt8(ascii: ",")
        case .blanks: byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t")
        }
    }

    /// The separator of a file with these first lines: the one with which the first line names a user and an item.
    /// Failing that, or if the columns are given, one with which all lines have the same number of fields.
    static func found(in lines: [UnsafeBufferPointer<UInt8>], columns: Int?) -> FieldSeparator {
        func widths(_ separator: FieldSeparator) -> [Int] {
            lines.map { line in
                var fields: [Field] = []
                _ = separator.split(line, from: 0, into: &fields)
                return fields.count
            }
        }
        if let columns {
            if let found = allCases.first(where: { widths($0).allSatisfy { $0 == columns } }) { return found }
        } else if let first = lines.first {
            for separator in allCases {
                var fields: [Field] = []
                _ = separator.split(first, from: 0, into: &fields)
                if (try? ColumnPlaces(names: fields.map { $0.text(in: first) })) != nil { return separator }
            }
        }
        let even = allCases.first { separator in
            let widths = widths(separator)
            return widths.allSatisfy { $0 > 1 && $0 == widths[0] }
        }
        return even ?? allCases.first { (widths($0).first ?? 0) > 1 } ?? .tab
    }

    /// Splits the line at `start`; quoted fields may continue over several lines.
    ///
    /// - Returns: the start of the next line, or the end of the bytes; nil if a quote is not closed.
    func split(_ bytes: UnsafeBufferPointer<UInt8>, from start: Int, into fields: inout [Field]) -> Int? {
        fields.removeAll(keepingCapacity: true)
        var position = start
        var end = Self.lineEnd(bytes, from: start)
        if self == .blanks { position = skipBlanks(bytes, position, end) }
        while true {
            if hasQuotes, position < end, bytes[position] == UInt8(ascii: "\"") {
                guard let field = quoted(bytes, position) else { return nil }
                fields.append(field)
                position = field.range.upperBound + 1
                // The line ends after the closing quote at the earliest.
                if position > end { end = Self.lineEnd(bytes, from: position) }
            } else {
                let from = position
                while position < end, !isBoundary(bytes, position, end) { position += 1 }
                fields.append(plain(bytes, from..<position))
            }
            // Text between a closing quote and the separator is invalid and skipped.
            while position < end, !isBoundary(bytes, position, end) { position += 1 }
            guard position < end else { break }
            position += self == .doubleColon ? 2 : 1
            if self == .blanks {
                position = skipBlanks(bytes, position, end)
                if position == end { break }
            }
        }
        return Self.nextLine(bytes, after: end)
    }

    /// The start of the line after one that ends at `end`; the byte count if there is none.
    static func nextLine(_ bytes: UnsafeBufferPointer<UInt8>, after end: Int) -> Int {
        let hasReturn = end < bytes.count && bytes[end] == UInt8(ascii: "\r")
        return min(end + (hasReturn ? 2 : 1), bytes.count)
    }

    /// The end of the line at `start`: its line feed, the carriage return before that, or the end of the bytes.
    static func lineEnd(_ bytes: UnsafeBufferPointer<UInt8>, from start: Int) -> Int {
        guard let base = bytes.baseAddress, start < bytes.count else { return bytes.count }
        guard let feed = memchr(base + start, Int32(UInt8(ascii: "\n")), bytes.count - start) else {
            // A last line without a line feed may still have a carriage return.
            return bytes.last == UInt8(ascii: "\r") ? bytes.count - 1 : bytes.count
        }
        let end = UnsafeRawPointer(feed) - UnsafeRawPointer(base)
        return end > start && bytes[end - 1] == UInt8(ascii: "\r") ? end - 1 : end
    }

    private func isBoundary(_ bytes: UnsafeBufferPointer<UInt8>, _ position: Int, _ end: Int) -> Bool {
        guard isSeparator(bytes[position]) else { return false }
        return self != .doubleColon || (position + 1 < end && bytes[position + 1] == UInt8(ascii: ":"))
    }

    private func skipBlanks(_ bytes: UnsafeBufferPointer<UInt8>, _ start: Int, _ end: Int) -> Int {
        var position = start
        while position < end, isSeparator(bytes[position]) { position += 1 }
        return position
    }

    private func quoted(_ bytes: UnsafeBufferPointer<UInt8>, _ start: Int) -> Field? {
        var field = Field(range: start + 1..<start + 1, isQuoted: true)
        var position = start + 1
        while position < bytes.count {
            if bytes[position] == UInt8(ascii: "\"") {
                guard position + 1 < bytes.count, bytes[position + 1] == UInt8(ascii: "\"") else {
                    field.range = start + 1..<position
                    return field
                }
                field.hasDoubledQuotes = true
                position += 1
            }
            position += 1
        }
        return nil
    }

    /// A field without surrounding spaces, and without quotes that enclose all of it.
    private func plain(_ bytes: UnsafeBufferPointer<UInt8>, _ range: Range<Int>) -> Field {
        var low = range.lowerBound
        var high = range.upperBound
        while low < high, bytes[low] == UInt8(ascii: " ") { low += 1 }
        while high > low, bytes[high - 1] == UInt8(ascii: " ") { high -= 1 }
        if high - low > 1, bytes[low] == UInt8(ascii: "\""), bytes[high - 1] == UInt8(ascii: "\"") {
            low += 1
            high -= 1
        }
        return Field(range: low..<high)
    }
}

extension Field {
    /// The content; invalid UTF-8 is replaced.
    func text(in bytes: UnsafeBufferPointer<UInt8>) -> String {
        let text = String(decoding: UnsafeBufferPointer(rebasing: bytes[range]), as: UTF8.self)
        return hasDoubledQuotes ? text.replacingDoubledQuotes : text
    }

    /// The content; nil if it is not UTF-8.
    func validText(in bytes: UnsafeBufferPointer<UInt8>) -> String? {
        guard let text = String(validating: UnsafeBufferPointer(rebasing: bytes[range]), as: UTF8.self) else {
            return nil
        }
        return hasDoubledQuotes ? text.replacingDoubledQuotes : text
    }
}

extension String {
    fileprivate var replacingDoubledQuotes: String {
        var result = ""
        var isAfterQuote = false
        for character in unicodeScalars {
            if character == "\"", isAfterQuote {
                isAfterQuote = false
                continue
            }
            isAfterQuote = character == "\""
            result.unicodeScalars.append(character)
        }
        return result
    }
}
