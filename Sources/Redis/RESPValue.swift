// Values from a Redis server, in RESP3 (github.com/redis/redis-specifications, RESP3.md) and its older form, RESP2.

/// A value of the protocol. Texts are slices of the received bytes.
package enum RESPValue: Sendable, Equatable {
    case null
    case integer(Int64)
    case double(Double)
    case boolean(Bool)
    /// A blob, a simple text, a verbatim text without its format, or a big number.
    case text(ArraySlice<UInt8>)
    /// A simple or blob error: a code, a space, and a message.
    case error(String)
    /// An array or a set.
    case array([RESPValue])
    /// Alternating keys and values.
    case map([RESPValue])
    /// A push message from the server.
    case push([RESPValue])

    /// The text as UTF-8; invalid bytes become U+FFFD.
    package var string: String? {
        if case .text(let bytes) = self { String(decoding: bytes, as: UTF8.self) } else { nil }
    }

    /// The elements of an array.
    package var elements: [RESPValue]? {
        if case .array(let values) = self { values } else { nil }
    }

    /// The integer value.
    package var integer: Int64? {
        if case .integer(let value) = self { value } else { nil }
    }

    /// The value of a key in a map, or in the array of pairs that RESP2 has instead.
    package func value(of key: String) -> RESPValue? {
        let members: [RESPValue]
        switch self {
        case .map(let pairs), .array(let pairs): members = pairs
        default: return nil
        }
        for index in stride(from: 0, to: members.count - 1, by: 2) where members[index].string == key {
            return members[index + 1]
        }
        return nil
    }
}

/// Bytes that are not RESP or exceed a limit.
package struct RESPError: Error, Equatable {
    /// The rest of a sentence that starts with the sender.
    package let message: String
}
