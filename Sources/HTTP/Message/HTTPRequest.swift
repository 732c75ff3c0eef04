// A request as handlers see it: the head when it is complete, the whole when the body is. The head keeps the bytes as
// received and makes strings only on demand.

/// The request line and the field lines of one request.
package struct HTTPRequestHead: Sendable {
    /// The bytes of the head; `parsed` points into them.
    private let bytes: [UInt8]
    let parsed: ParsedHead
    /// The client.
    package let peer: PeerAddress
    /// The handler's note on the request (`HTTPHandler.note`).
    package internal(set) var note: (any HTTPNote)?

    /// `bytes` are those that `parsed` was made from.
    init(bytes: [UInt8], parsed: ParsedHead, peer: PeerAddress) {
        self.bytes = bytes
        self.parsed = parsed
        self.peer = peer
    }

    /// Parses a whole head, from the request line to the empty line, as the server would; nil if it would refuse it, or
    /// if `bytes` are not exactly one head. For tests of handlers.
    package init?(parsing bytes: [UInt8], peer: PeerAddress = .local) {
        var parser = RequestParser(limits: HTTPLimits())
        guard parser.parse(bytes.span) == .complete(byteCount: bytes.count) else { return nil }
        self.init(bytes: bytes, parsed: parser.head, peer: peer)
    }

    package var method: HTTPMethod { parsed.method }

    /// Bytes of the head as received.
    package var byteCount: Int { bytes.count }

    /// Whether the client speaks HTTP/1.0, whose replies cannot be chunked.
    package var isVersion10: Bool { parsed.isVersion10 }

    /// The path as sent, percent signs not decoded, without the query; "*" for `OPTIONS *`.
    package var path: String {
        if parsed.path.count > 0 { return text(parsed.path) }
        return parsed.method == .options ? "*" : "/"
    }

    /// The part of the target after the first question mark, as sent; nil if there is none.
    package var query: String? { parsed.query.map(text) }

    /// The length that the client announced; nil if the body is chunked. Zero if there is none.
    package var contentLength: Int? {
        switch parsed.framing {
        case .none: 0
        case .length(let length): length
        case .chunked: nil
        }
    }

    /// The coding of the body, as the client states it. A gzip body is inflated before `requestReceived`. A body with
    /// an unknown coding is passed on unchanged, so handlers that read bodies must refuse it (415, with
    /// Accept-Encoding).
    package var contentCoding: ContentCoding { parsed.contentCoding }

    /// Which codings of a reply the client accepts.
    package var acceptedCodings: AcceptedCodings { parsed.acceptedCodings }

    /// The value of the first field of that name, which is given in lower case; nil if there is none. Bytes that are not
    /// UTF-8 become U+FFFD.
    package func header(_ lowercaseName: String) -> String? {
        var name = lowercaseName
        return name.withUTF8 { name in
            for field in parsed.fields where isNamed(field, name) { return text(field.value) }
            return nil
        }
    }

    /// The values of all fields of that name (in lower case), in their order.
    package func headers(_ lowercaseName: String) -> [String] {
        var name = lowercaseName
        return name.withUTF8 { name in
            parsed.fields.filter { isNamed($0, name) }.map { text($0.value) }
        }
    }

    /// Whether the first field of that name (in lower case) has exactly this value. Makes no string.
    package func header(_ lowercaseName: String, is value: StaticString) -> Bool {
        var name = lowercaseName
        return name.withUTF8 { name in
            guard let field = parsed.fields.first(where: { isNamed($0, name) }) else { return false }
            return bytes.span.extracting(field.value.range).equals(value)
        }
    }

    /// The values of all fields of that name joined by ", ", which for a list means the same (RFC 9110 §5.3).
    package func combinedHeader(_ lowercaseName: String) -> String? {
        var name = lowercaseName
        return name.withUTF8 { name in
            var combined: String?
            for field in parsed.fields where isNamed(field, name) {
                combined = combined.map { $0 + ", " + text(field.value) } ?? text(field.value)
            }
            return combined
        }
    }

    /// All fields in their order, names as sent.
    package var allHeaders: [(name: String, value: String)] {
        parsed.fields.map { (text($0.name), text($0.value)) }
    }

    private func text(_ range: ByteRange) -> String {
        String(decoding: bytes[range.range], as: UTF8.self)
    }

    private func isNamed(_ field: FieldRange, _ name: UnsafeBufferPointer<UInt8>) -> Bool {
        guard field.name.count == name.count else { return false }
        let start = Int(field.name.lower)
        for index in 0..<name.count where bytes[start + index].lowercased != name[index] { return false }
        return true
    }
}

/// One complete request.
package struct HTTPRequest: Sendable {
    package var head: HTTPRequestHead
    /// The content, transfer coding and gzip removed.
    package var body: [UInt8]
    /// When the last byte arrived, in nanoseconds of CLOCK_MONOTONIC.
    package var receivedAt: UInt64

    package init(head: HTTPRequestHead, body: [UInt8], receivedAt: UInt64) {
        self.head = head
        self.body = body
        self.receivedAt = receivedAt
    }
}
