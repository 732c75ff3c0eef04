// The request parser: strict, incremental, on bytes (RFC 9112). A value with no socket and no clock. This file reads
// the request line and splits the field lines; RequestFields.swift interprets them and BodyParser.swift reads the body.
// The caller, Connection, passes all bytes from the first byte of the request, again with more at the end until the
// head is complete, and gets ranges back. No byte is examined twice, so a head that arrives in pieces costs the same as
// one that arrives whole, and the first error from the left decides the answer however the bytes are split.

/// Reads one request head after another.
struct RequestParser {
    /// The outcome of a call.
    enum Progress: Equatable {
        /// The head continues after these bytes.
        case incomplete
        /// The head takes this many bytes, the empty line included; `head` holds its parts.
        case complete(byteCount: Int)
        case refused(Refusal)
    }

    private let limits: HTTPLimits
    /// The parts found so far; complete once `parse` has returned `complete`.
    private(set) var head = ParsedHead()
    /// Facts from the field lines, judged at the end of the head.
    var facts = FieldFacts()

    /// Bytes already looked at.
    private var scanned = 0
    /// First byte of the line being read.
    private var lineStart = 0
    /// First byte of the field section; 0 while the request line is being read.
    private var fieldsStart = 0
    /// One empty line before the request line has been skipped (RFC 9112 §2.2).
    private var hasSkippedLine = false

    init(limits: HTTPLimits) {
        self.limits = limits
    }

    /// Prepares for the next request and keeps the storage.
    mutating func reset() {
        head.reset()
        facts = FieldFacts()
        scanned = 0
        lineStart = 0
        fieldsStart = 0
        hasSkippedLine = false
    }

    /// Whether anything has arrived except the one empty line that is allowed before a request.
    var hasBegun: Bool { fieldsStart > 0 || scanned > lineStart }

    /// A copy of the finished head with its own storage, so that the parser keeps its storage for the next request.
    func copyHead() -> ParsedHead {
        var copy = head
        copy.fields = head.fields.withUnsafeBufferPointer { source in
            [FieldRange](unsafeUninitializedCapacity: source.count) { target, count in
                count = source.count
                _ = target.initialize(from: source)
            }
        }
        return copy
    }

    /// Parses `bytes`, which start with the first byte of the request.
    mutating func parse(_ bytes: Span<UInt8>) -> Progress {
        do throws(Refusal) {
            if fieldsStart == 0 {
                guard try readRequestLine(bytes) else { return .incomplete }
            }
            let overflow = Overflow.fields(limits.fieldBytes)
            while let line = try nextLine(bytes, limit: fieldsStart + limits.fieldBytes, overflow: overflow) {
                if line.isEmpty {
                    try settleFraming(&head, facts)
                    return .complete(byteCount: lineStart)
                }
                guard head.fields.count < limits.fieldCount else {
                    throw Refusal(431, "The request has more than \(limits.fieldCount) field lines.")
                }
                let field = try fieldRange(bytes, line)
                head.fields.append(field)
                try interpret(bytes, field)
            }
            return .incomplete
        } catch {
            return .refused(error)
        }
    }

    /// True once the request line has been read.
    private mutating func readRequestLine(_ bytes: Span<UInt8>) throws(Refusal) -> Bool {
        let overflow = Overflow.requestLine(limits.requestLineBytes)
        while let line = try nextLine(bytes, limit: lineStart + limits.requestLineBytes, overflow: overflow) {
            if line.isEmpty {
                guard !hasSkippedLine else {
                    throw Refusal(400, "The request begins with more than one empty line.")
                }
                hasSkippedLine = true
                continue
            }
            try parseRequestLine(bytes, line)
            fieldsStart = lineStart
            return true
        }
        return false
    }

    // MARK: Lines

    /// The limit that applies to a line.
    private enum Overflow {
        case requestLine(Int)
        case fields(Int)

        var refusal: Refusal {
            switch self {
            case .requestLine(let limit): Refusal(414, "The request line is longer than \(limit) bytes.")
            case .fields(let limit): Refusal(431, "The field lines are longer than \(limit) bytes together.")
            }
        }
    }

    /// The next complete line without its CRLF, or nil if it has not arrived. `limit` is the first index that the
    /// line's last byte must not reach. Controls, a stray CR and a bare LF are refused as soon as they are seen.
    private mutating func nextLine(
        _ bytes: Span<UInt8>,
        limit: Int,
        overflow: Overflow
    ) throws(Refusal) -> Range<Int>? {
        let available = min(bytes.count, limit)
        let lineFeed = scanned < available ? bytes.firstIndex(of: Byte.lineFeed, in: scanned..<available) : nil
        let end = lineFeed ?? available
        // A CR is legal only directly before an LF, which may still arrive if the CR is the last byte so far.
        let endsInCR = end > lineStart && bytes[end - 1] == Byte.carriageReturn
        let textEnd = endsInCR ? end - 1 : end
        if scanned < textEnd, let bad = bytes.firstControl(in: scanned..<textEnd) {
            throw bytes[bad] == Byte.carriageReturn
                ? Refusal(400, "Byte \(bad) of the request is a CR without an LF after it.")
                : Refusal(400, "Byte \(bad) of the request is the control byte \(bytes[bad]).")
        }
        guard let lineFeed else {
            if available == limit { throw overflow.refusal }
            scanned = textEnd
            return nil
        }
        guard endsInCR else {
            throw Refusal(400, "Byte \(lineFeed) of the request is an LF without a CR before it.")
        }
        let line = lineStart..<textEnd
        lineStart = lineFeed + 1
        scanned = lineStart
        return line
    }

    // MARK: Request line

    /// method SP target SP version (RFC 9112 §3).
    private mutating func parseRequestLine(_ bytes: Span<UInt8>, _ line: Range<Int>) throws(Refusal) {
        guard let methodEnd = bytes.firstIndex(of: Byte.space, in: line) else {
            throw Refusal(400, "The request line has no space after its method.")
        }
        let methodBytes = bytes.extracting(line.lowerBound..<methodEnd)
        guard methodEnd > line.lowerBound, methodBytes.isToken else {
            throw Refusal(400, "The request line does not begin with a method.")
        }
        let targetStart = methodEnd + 1
        guard let targetEnd = bytes.firstIndex(of: Byte.space, in: targetStart..<line.upperBound) else {
            throw Refusal(400, "The request line has no version.")
        }
        guard targetEnd > targetStart else {
            throw Refusal(400, "The request line has two spaces, or no target, after its method.")
        }
        try parseVersion(bytes.extracting(targetEnd + 1..<line.upperBound))
        guard let method = HTTPMethod(methodBytes) else {
            throw Refusal(501, "The method of the request is not supported.")
        }
        head.method = method
        try parseTarget(bytes, targetStart..<targetEnd)
    }

    /// Exactly "HTTP/" digit "." digit.
    private mutating func parseVersion(_ bytes: Span<UInt8>) throws(Refusal) {
        guard bytes.count == 8, bytes.extracting(0..<5).equals("HTTP/"), bytes[5].isDigit, bytes[6] == Byte.point,
            bytes[7].isDigit
        else { throw Refusal(400, "The request line does not end in a version of the form HTTP/1.1.") }
        guard bytes[5] == Byte.zero + 1 else {
            throw Refusal(505, "The request's major version of HTTP is not 1.")
        }
        head.minorVersion = bytes[7] - Byte.zero
    }

    /// origin-form, absolute-form, or the asterisk of OPTIONS (RFC 9112 §3.2). The fourth form belongs to CONNECT,
    /// which this server does not support.
    private mutating func parseTarget(_ bytes: Span<UInt8>, _ target: Range<Int>) throws(Refusal) {
        for index in target {
            let byte = bytes[index]
            guard byte > Byte.space, byte < Byte.delete, byte != Byte.numberSign else {
                throw Refusal(400, "Byte \(index) of the request is not allowed in a request target.")
            }
        }
        var pathStart = target.lowerBound
        if bytes[pathStart] != Byte.slash {
            if target.count == 1, bytes[pathStart] == Byte.asterisk {
                guard head.method == .options else {
                    throw Refusal(400, "The request target * is only allowed with OPTIONS.")
                }
                head.path = ByteRange(target)
                return
            }
            pathStart = try authorityEnd(bytes, target)
        }
        let question = bytes.firstIndex(of: Byte.question, in: pathStart..<target.upperBound)
        head.path = ByteRange(pathStart..<(question ?? target.upperBound))
        if let question { head.query = ByteRange(question + 1..<target.upperBound) }
    }

    /// The start of the path in an absolute target.
    private func authorityEnd(_ bytes: Span<UInt8>, _ target: Range<Int>) throws(Refusal) -> Int {
        let text = bytes.extracting(target)
        let schemeCount: Int
        if text.count > 7, text.extracting(0..<7).equalsIgnoringCase("http://") {
            schemeCount = 7
        } else if text.count > 8, text.extracting(0..<8).equalsIgnoringCase("https://") {
            schemeCount = 8
        } else {
            throw Refusal(400, "The request target is neither a path nor an absolute http URI.")
        }
        var end = schemeCount
        while end < text.count, text[end] != Byte.slash, text[end] != Byte.question { end += 1 }
        let authority = text.extracting(schemeCount..<end)
        guard !authority.isEmpty, authority.isHost else {
            throw Refusal(400, "The authority of the request target is not a valid host.")
        }
        return target.lowerBound + end
    }
}

extension Span<UInt8> {
    /// Not empty, and token bytes only.
    var isToken: Bool {
        for index in indices where !self[index].isToken { return false }
        return !isEmpty
    }
}
