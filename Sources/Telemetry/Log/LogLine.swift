// A log record as bytes: one line of text, or one JSON object on a line. Control characters are escaped in both forms,
// so nothing in a record can end its line or control a terminal, and a caller's text cannot forge a record.

import Logging

/// How records are written.
package enum LogFormat: String, Sendable, CaseIterable {
    /// `2026-01-31T23:59:59.042Z info genrec: message key=value key="two words"`.
    case text
    /// `{"time":…,"level":…,"logger":…,"message":…,"metadata":{…}}`.
    case json
}

/// One record.
struct LogLine {
    let timestamp: Timestamp
    let level: Logger.Level
    let logger: String
    let message: String
    let metadata: Logger.Metadata

    /// The record's bytes, including the final line feed.
    func bytes(_ format: LogFormat) -> [UInt8] {
        var line: [UInt8] = []
        line.reserveCapacity(256)
        switch format {
        case .text: appendText(to: &line)
        case .json: appendJSON(to: &line)
        }
        line.append(UInt8(ascii: "\n"))
        return line
    }

    // MARK: Text

    private func appendText(to line: inout [UInt8]) {
        timestamp.append(to: &line)
        append(" \(level.rawValue) ", to: &line)
        appendEscaped(logger, quoted: false, to: &line)
        append(": ", to: &line)
        appendEscaped(message, quoted: false, to: &line)
        var pairs: [(key: String, value: String)] = []
        Self.flatten(metadata, prefix: "", into: &pairs)
        pairs.sort { $0.key < $1.key }
        for (key, value) in pairs {
            line.append(UInt8(ascii: " "))
            appendWord(key, to: &line)
            line.append(UInt8(ascii: "="))
            appendWord(value, to: &line)
        }
    }

    /// Flattens dictionaries into dotted keys; arrays are written as Swift describes them.
    private static func flatten(
        _ metadata: Logger.Metadata,
        prefix: String,
        into pairs: inout [(key: String, value: String)]
    ) {
        for (key, value) in metadata {
            if case .dictionary(let nested) = value {
                flatten(nested, prefix: prefix + key + ".", into: &pairs)
            } else {
                pairs.append((prefix + key, value.description))
            }
        }
    }

    /// A key or value: bare if it is one word, otherwise quoted.
    private func appendWord(_ word: String, to line: inout [UInt8]) {
        let isBare =
            !word.isEmpty
            && word.unicodeScalars.allSatisfy { scalar in
                scalar > " " && scalar != "=" && scalar != "\"" && !Self.isControl(scalar)
            }
        if isBare {
            append(word, to: &line)
        } else {
            line.append(UInt8(ascii: "\""))
            appendEscaped(word, quoted: true, to: &line)
            line.append(UInt8(ascii: "\""))
        }
    }

    private func appendEscaped(_ text: String, quoted: Bool, to line: inout [UInt8]) {
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\n": append("\\n", to: &line)
            case "\r": append("\\r", to: &line)
            case "\t": append("\\t", to: &line)
            case "\"" where quoted: append("\\\"", to: &line)
            case "\\" where quoted: append("\\\\", to: &line)
            case _ where Self.isControl(scalar): append("\\u{\(String(scalar.value, radix: 16))}", to: &line)
            default: append(String(scalar), to: &line)
            }
        }
    }

    /// C0, DEL and C1 controls, which can control terminals, and the two separators at which some viewers break lines.
    private static func isControl(_ scalar: Unicode.Scalar) -> Bool {
        scalar.value < 0x20 || (0x7F...0x9F).contains(scalar.value) || scalar.value == 0x2028 || scalar.value == 0x2029
    }

    // MARK: JSON

    private func appendJSON(to line: inout [UInt8]) {
        append("{\"time\":\"", to: &line)
        timestamp.append(to: &line)
        append("\",\"level\":\"\(level.rawValue)\",\"logger\":", to: &line)
        appendString(logger, to: &line)
        append(",\"message\":", to: &line)
        appendString(message, to: &line)
        if !metadata.isEmpty {
            append(",\"metadata\":", to: &line)
            appendObject(metadata, to: &line)
        }
        line.append(UInt8(ascii: "}"))
    }

    private func appendObject(_ object: Logger.Metadata, to line: inout [UInt8]) {
        line.append(UInt8(ascii: "{"))
        for (index, (key, value)) in object.sorted(by: { $0.key < $1.key }).enumerated() {
            if index > 0 { line.append(UInt8(ascii: ",")) }
            appendString(key, to: &line)
            line.append(UInt8(ascii: ":"))
            appendValue(value, to: &line)
        }
        line.append(UInt8(ascii: "}"))
    }

    private func appendValue(_ value: Logger.MetadataValue, to line: inout [UInt8]) {
        switch value {
        case .string(let text): appendString(text, to: &line)
        case .dictionary(let nested): appendObject(nested, to: &line)
        case .array(let elements):
            line.append(UInt8(ascii: "["))
            for (index, element) in elements.enumerated() {
                if index > 0 { line.append(UInt8(ascii: ",")) }
                appendValue(element, to: &line)
            }
            line.append(UInt8(ascii: "]"))
        case .stringConvertible(let value):
            // Numbers and booleans keep their JSON type, so that log stores can compare them.
            switch value {
            case let number as any FixedWidthInteger: append(String(describing: number), to: &line)
            case let number as Double where number.isFinite: append(number.description, to: &line)
            case let number as Float where number.isFinite: append(number.description, to: &line)
            case let flag as Bool: append(flag ? "true" : "false", to: &line)
            default: appendString(value.description, to: &line)
            }
        }
    }

    private func appendString(_ text: String, to line: inout [UInt8]) {
        line.append(UInt8(ascii: "\""))
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": append("\\\"", to: &line)
            case "\\": append("\\\\", to: &line)
            case "\n": append("\\n", to: &line)
            case "\r": append("\\r", to: &line)
            case "\t": append("\\t", to: &line)
            case _ where Self.isControl(scalar):
                let hex = String(scalar.value, radix: 16)
                append("\\u" + String(repeating: "0", count: 4 - hex.utf8.count) + hex, to: &line)
            default: append(String(scalar), to: &line)
            }
        }
        line.append(UInt8(ascii: "\""))
    }

    private func append(_ text: String, to line: inout [UInt8]) {
        line.append(contentsOf: text.utf8)
    }
}
