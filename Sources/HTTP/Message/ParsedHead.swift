// The parser's result for a complete head: the byte ranges of its parts, and the message's framing and codings. No text
// is copied; `HTTPRequestHead` pairs it with the bytes.

/// A half-open range of bytes in a request's head.
struct ByteRange: Sendable, Equatable {
    var lower: UInt32
    var upper: UInt32

    static let none = ByteRange(0..<0)

    /// The head limits keep every offset below 2³¹ (`HTTPLimits.validate`).
    init(_ range: Range<Int>) {
        lower = UInt32(truncatingIfNeeded: range.lowerBound)
        upper = UInt32(truncatingIfNeeded: range.upperBound)
    }

    var range: Range<Int> { Int(lower)..<Int(upper) }
    var count: Int { Int(upper &- lower) }
}

/// One field line: the ranges of its name and its trimmed value.
struct FieldRange: Sendable, Equatable {
    var name: ByteRange
    var value: ByteRange
}

/// How long the body is (RFC 9112 §6.3).
package enum BodyFraming: Sendable, Equatable {
    case none
    case length(Int)
    case chunked
}

/// The facts of one request's head.
struct ParsedHead: Sendable, Equatable {
    var method = HTTPMethod.get
    /// The y of HTTP/1.y. 1.2 and above are treated as 1.1 (RFC 9110 §2.5).
    var minorVersion: UInt8 = 1
    /// The path of the target; empty for an absolute target without one.
    var path = ByteRange.none
    /// The part after the first question mark; nil if there is none.
    var query: ByteRange?
    /// The field lines in their order.
    var fields: [FieldRange] = []
    var framing = BodyFraming.none
    /// Whether the client wants the connection kept open (RFC 9112 §9.3).
    var keepsAlive = true
    /// The body's coding, and the codings of replies that the client accepts.
    var contentCoding = ContentCoding.identity
    var acceptedCodings = AcceptedCodings()
    /// The client waits for 100 before it sends its body (RFC 9110 §10.1.1).
    var expectsContinue = false

    var isVersion10: Bool { minorVersion == 0 }

    /// Prepares for the next request and keeps the storage.
    mutating func reset() {
        // Swapped, not copied: storage with two owners would not be reused.
        var kept: [FieldRange] = []
        swap(&kept, &fields)
        kept.removeAll(keepingCapacity: true)
        self = ParsedHead()
        fields = kept
    }
}
