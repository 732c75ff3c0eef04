// A request as handlers see it: the head once it is complete, then the whole request. The head keeps the bytes as
// received and makes strings only on demand.

/// The request line and the field lines of one request.
///
/// Heads are passed around a lot, so a copy is one reference. `@unchecked Sendable`: nothing changes after the
/// handler's note is attached, and until then only the loop has the head.
package struct HTTPRequestHead: @unchecked Sendable {
    private struct Facts {
        let parsed: ParsedHead
        let peer: PeerAddress
        let byteCount: Int
        var note: (any HTTPNote)?
    }

    /// The facts of the head, followed in the same block by its bytes, into which `parsed` points.
    private let storage: ManagedBuffer<Facts, UInt8>

    /// `parsed` must be the result of parsing `bytes`.
    init(bytes: Span<UInt8>, parsed: ParsedHead, peer: PeerAddress) {
        let count = bytes.count
        storage = ManagedBuffer.create(minimumCapacity: count) { _ in
            Facts(parsed: parsed, peer: peer, byteCount: count)
        }
        storage.withUnsafeMutablePointerToElements { place in
            bytes.withUnsafeBufferPointer { source in
                if let start = source.baseAddress { place.initialize(from: start, count: count) }
            }
        }
    }

    /// Attaches the handler's note. Call it once, before the head is passed on.
    func attach(_ note: any HTTPNote) { storage.withUnsafeMutablePointerToHeader { $0.pointee.note = note } }

    /// Reads one fact without copying the others.
    private func fact<Fact>(_ read: (borrowing Facts) -> Fact) -> Fact {
        storage.withUnsafeMutablePointerToHeader { read($0.pointee) }
    }

    private func withBytes<Result>(_ body: (UnsafeBufferPointer<UInt8>) -> Result) -> Result {
        storage.withUnsafeMutablePointers { facts, place in
            body(UnsafeBufferPointer(start: place, count: facts.pointee.byteCount))
        }
    }

    var parsed: ParsedHead { fact { $0.parsed } }
    /// The client.
    package var peer: PeerAddress { fact { $0.peer } }
    /// The handler's note on the request (`HTTPHandler.note`).
    package var note: (any HTTPNote)? { fact { $0.note } }

    /// Parses a whole head, from the request line to the empty line, as the server would; nil if it would refuse it, or
    /// if `bytes` are not exactly one head. For tests of handlers.
    package init?(parsing bytes: [UInt8], peer: PeerAddress = .local) {
        var parser = RequestParser(limits: HTTPLimits())
        guard parser.parse(bytes.span) == .complete(byteCount: bytes.count) else { return nil }
        self.init(bytes: bytes.span, parsed: parser.head, peer: peer)
    }

    package var method: HTTPMethod { fact { $0.parsed.method } }

    /// Bytes of the head as received.
    package var byteCount: Int { fact { $0.byteCount } }

    /// Whether the client speaks HTTP/1.0, whose replies cannot be chunked.
    package var isVersion10: Bool { fact { $0.parsed.isVersion10 } }

    /// The path as sent, percent signs not decoded, without the query; "*" for `OPTIONS *`.
    package var path: String {
        let path = fact { $0.parsed.path }
        if path.count > 0 { return text(path) }
        return method == .options ? "*" : "/"
    }

    /// The part of the target after the first question mark, as sent; nil if there is none.
    package var query: String? { fact { $0.parsed.query }.map(text) }

    /// The length that the client announced; nil if the body is chunked. Zero if there is none.
    package var contentLength: Int? {
        switch framing {
        case .none: 0
        case .length(let length): length
        case .chunked: nil
        }
    }

    var framing: BodyFraming { fact { $0.parsed.framing } }

    /// The coding of the body, as the client states it. A gzip body is inflated before `requestReceived`. A body with
    /// an unknown coding is passed on unchanged, so handlers that read bodies must refuse it (415, with
    /// Accept-Encoding).
    package var contentCoding: ContentCoding { fact { $0.parsed.contentCoding } }

    /// Which codings of a reply the client accepts.
    package var acceptedCodings: AcceptedCodings { fact { $0.parsed.acceptedCodings } }

    /// Whether the client wants the connection kept.
    var keepsAlive: Bool { fact { $0.parsed.keepsAlive } }
    /// Whether the client waits for 100 before it sends its body.
    var expectsContinue: Bool { fact { $0.parsed.expectsContinue } }

    /// The value of the first field of that name (in lower case); nil if there is none. Bytes that are not UTF-8 become
    /// U+FFFD.
    package func header(_ lowercaseName: StaticString) -> String? {
        first(lowercaseName).map(text)
    }

    /// The values of all fields of that name (in lower case), in their order.
    package func headers(_ lowercaseName: StaticString) -> [String] {
        var values: [String] = []
        forEachField(lowercaseName) { values.append(text($0)) }
        return values
    }

    /// Whether the first field of that name (in lower case) has exactly this value. Makes no string.
    package func header(_ lowercaseName: StaticString, is value: StaticString) -> Bool {
        guard let range = first(lowercaseName) else { return false }
        return withBytes { Span(_unsafeElements: $0).extracting(range.range).equals(value) }
    }

    /// The values of all fields of that name joined by ", ", which is equivalent for a list (RFC 9110 §5.3).
    package func combinedHeader(_ lowercaseName: StaticString) -> String? {
        var combined: String?
        forEachField(lowercaseName) { range in
            combined = combined.map { $0 + ", " + text(range) } ?? text(range)
        }
        return combined
    }

    /// All fields in their order, names as sent.
    package var allHeaders: [(name: String, value: String)] {
        parsed.fields.map { (text($0.name), text($0.value)) }
    }

    private func text(_ range: ByteRange) -> String {
        withBytes { String(decoding: UnsafeBufferPointer(rebasing: $0[range.range]), as: UTF8.self) }
    }

    /// The value of the first field of a name.
    private func first(_ name: StaticString) -> ByteRange? {
        storage.withUnsafeMutablePointers { facts, bytes in
            facts.pointee.parsed.fields.withUnsafeBufferPointer { fields in
                for field in fields where Self.isNamed(field, name, bytes) { return field.value }
                return nil
            }
        }
    }

    /// The values of all fields of a name.
    private func forEachField(_ name: StaticString, _ body: (ByteRange) -> Void) {
        storage.withUnsafeMutablePointers { facts, bytes in
            facts.pointee.parsed.fields.withUnsafeBufferPointer { fields in
                for field in fields where Self.isNamed(field, name, bytes) { body(field.value) }
            }
        }
    }

    /// Whether the field is called `name` (in lower case). `bytes` are the head's.
    @inline(__always)
    private static func isNamed(_ field: FieldRange, _ name: StaticString, _ bytes: UnsafePointer<UInt8>) -> Bool {
        let count = name.utf8CodeUnitCount
        guard field.name.count == count else { return false }
        let start = bytes + Int(field.name.lower)
        let other = name.utf8Start
        for index in 0..<count where start[index].lowercased != other[index] { return false }
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
