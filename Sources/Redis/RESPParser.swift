// Parses values from a stream of bytes. It first searches for the end of a value, visiting each byte once however the
// stream is split, and builds the value only when it is complete: announced sizes allocate nothing.

internal import Glibc

/// Parses one direction of a connection; a pure value.
package struct RESPParser {
    /// The maximum nesting depth of values.
    private static let maximumDepth = 16
    /// The maximum length of a line that is not a blob.
    private static let maximumLine = 65_536

    private let limit: Int
    private var buffer: [UInt8] = []
    /// The start of the next value.
    private var start = 0
    /// How far the search for its end has come; always at the start of a value or of one inside it.
    private var position = 0
    /// Where the search for the end of the current line continues.
    private var lineSearch = 0
    /// The number of values still missing in each aggregate around `position`, innermost last.
    private var missing: [Int] = []

    /// - Parameter limit: the maximum length of a value in bytes.
    package init(limit: Int) { self.limit = limit }

    /// Adds received bytes.
    package mutating func append(_ bytes: UnsafeRawBufferPointer) {
        if start == buffer.count {
            buffer.removeAll(keepingCapacity: buffer.capacity <= 1 << 20)
            position -= start
            lineSearch -= start
            start = 0
        } else if start > 1 << 16, start > buffer.count / 2 {
            buffer.removeFirst(start)
            position -= start
            lineSearch -= start
            start = 0
        }
        buffer.append(contentsOf: bytes)
    }

    /// The next value; nil if it is not complete yet.
    ///
    /// - Throws: `RESPError`; the parser must not be used afterwards.
    package mutating func next() throws(RESPError) -> RESPValue? {
        guard try findEnd() else { return nil }
        var reader = start
        let value = try build(&reader)
        start = position
        return value
    }

    // MARK: The end of a value

    private mutating func findEnd() throws(RESPError) -> Bool {
        while true {
            guard position < buffer.count else { return false }
            guard let end = try lineEnd() else { return false }
            let kind = buffer[position]
            var next = end + 2
            /// Number of values inside this one; nil: it has none.
            var inside: Int?
            var counts = true
            switch kind {
            case UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: ":"), UInt8(ascii: "_"), UInt8(ascii: ","),
                UInt8(ascii: "#"), UInt8(ascii: "("):
                break
            case UInt8(ascii: "$"), UInt8(ascii: "="), UInt8(ascii: "!"):
                let count = try length(position + 1, end)
                if count >= 0 {
                    guard count <= limit else {
                        throw RESPError(message: "announced \(count) bytes, more than are accepted")
                    }
                    guard buffer.count >= next + count + 2 else { return false }
                    guard buffer[next + count] == 0x0D, buffer[next + count + 1] == 0x0A else {
                        throw RESPError(message: "sent a text whose length differs from the announced one")
                    }
                    next += count + 2
                }
            case UInt8(ascii: "*"), UInt8(ascii: "~"), UInt8(ascii: ">"), UInt8(ascii: "%"), UInt8(ascii: "|"):
                let isMap = kind == UInt8(ascii: "%") || kind == UInt8(ascii: "|")
                let count = max(try length(position + 1, end), 0)
                guard count <= limit / 4 else {
                    throw RESPError(message: "announced \(count) values, more than are accepted")
                }
                inside = isMap ? 2 * count : count
                // An attribute precedes a value and is not one itself.
                counts = kind != UInt8(ascii: "|")
            default:
                throw RESPError(message: "sent the byte 0x\(String(kind, radix: 16)), which does not start a value")
            }
            guard next - start <= limit else { throw RESPError(message: "sent more than \(limit) bytes as one value") }
            position = next
            lineSearch = next
            if counts, let last = missing.indices.last { missing[last] -= 1 }
            if let inside, inside > 0 {
                guard missing.count < Self.maximumDepth else { throw RESPError(message: "nests its values too deeply") }
                // The value that an attribute belongs to follows it.
                if !counts, missing.isEmpty { missing.append(1) }
                missing.append(inside)
            } else if !counts, missing.isEmpty {
                continue
            }
            while missing.last == 0 { missing.removeLast() }
            if missing.isEmpty { return true }
        }
    }

    /// The end of the line at `position`.
    private mutating func lineEnd() throws(RESPError) -> Int? {
        var index = max(lineSearch, position)
        while index + 1 < buffer.count {
            if buffer[index] == 0x0D, buffer[index + 1] == 0x0A { return index }
            index += 1
        }
        lineSearch = index
        guard index - position <= Self.maximumLine else { throw RESPError(message: "sent a line without an end") }
        return nil
    }

    /// The length in a range of the buffer; -1 means null.
    private func length(_ from: Int, _ to: Int) throws(RESPError) -> Int {
        guard let value = integer(from, to), value >= -1, value <= Int64(Int32.max) else {
            throw RESPError(message: "sent an invalid length")
        }
        return Int(value)
    }

    private func integer(_ from: Int, _ to: Int) -> Int64? {
        var index = from
        var isNegative = false
        if index < to, buffer[index] == UInt8(ascii: "-") || buffer[index] == UInt8(ascii: "+") {
            isNegative = buffer[index] == UInt8(ascii: "-")
            index += 1
        }
        guard index < to else { return nil }
        var value: Int64 = 0
        while index < to {
            guard case let digit = buffer[index] &- UInt8(ascii: "0"), digit <= 9 else { return nil }
            let (product, tooLarge) = value.multipliedReportingOverflow(by: 10)
            let (sum, overflows) =
                isNegative
                ? product.subtractingReportingOverflow(Int64(digit)) : product.addingReportingOverflow(Int64(digit))
            guard !tooLarge, !overflows else { return nil }
            value = sum
            index += 1
        }
        return value
    }

    // MARK: Building

    /// Builds the value at `reader`. `findEnd` has checked that it is complete and not nested too deeply.
    private func build(_ reader: inout Int) throws(RESPError) -> RESPValue {
        while true {
            let kind = buffer[reader]
            var end = reader + 1
            while buffer[end] != 0x0D || buffer[end + 1] != 0x0A { end += 1 }
            let line = reader + 1..<end
            reader = end + 2
            switch kind {
            case UInt8(ascii: "+"), UInt8(ascii: "("): return .text(buffer[line])
            case UInt8(ascii: "-"): return .error(String(decoding: buffer[line], as: UTF8.self))
            case UInt8(ascii: "_"): return .null
            case UInt8(ascii: ":"):
                guard let value = integer(line.lowerBound, line.upperBound) else {
                    throw RESPError(message: "sent an invalid integer")
                }
                return .integer(value)
            case UInt8(ascii: ","):
                guard let value = Double(String(decoding: buffer[line], as: UTF8.self)) else {
                    throw RESPError(message: "sent an invalid number")
                }
                return .double(value)
            case UInt8(ascii: "#"):
                guard line.count == 1,
                    buffer[line.lowerBound] == UInt8(ascii: "t") || buffer[line.lowerBound] == UInt8(ascii: "f")
                else { throw RESPError(message: "sent an invalid boolean") }
                return .boolean(buffer[line.lowerBound] == UInt8(ascii: "t"))
            case UInt8(ascii: "$"), UInt8(ascii: "="), UInt8(ascii: "!"):
                let count = try length(line.lowerBound, line.upperBound)
                guard count >= 0 else { return .null }
                let text = buffer[reader..<reader + count]
                reader += count + 2
                if kind == UInt8(ascii: "!") { return .error(String(decoding: text, as: UTF8.self)) }
                // A verbatim text starts with its format, three letters and a colon.
                return .text(kind == UInt8(ascii: "=") ? text.dropFirst(4) : text)
            default:
                let count = try length(line.lowerBound, line.upperBound)
                guard count >= 0 else { return .null }
                let isPairs = kind == UInt8(ascii: "%") || kind == UInt8(ascii: "|")
                var values: [RESPValue] = []
                values.reserveCapacity(isPairs ? 2 * count : count)
                for _ in 0..<(isPairs ? 2 * count : count) { values.append(try build(&reader)) }
                switch kind {
                case UInt8(ascii: "|"): continue
                case UInt8(ascii: "%"): return .map(values)
                case UInt8(ascii: ">"): return .push(values)
                default: return .array(values)
                }
            }
        }
    }
}
