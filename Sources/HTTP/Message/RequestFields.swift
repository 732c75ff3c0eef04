// Interprets the field lines that matter for the framing of a message (Host, Content-Length, Transfer-Encoding,
// Connection, Expect: RFC 9112 §3.2, §6, §9.3; RFC 9110 §10.1.1) and for its codings. Refuses ambiguous framing,
// because request smuggling needs two readers that disagree about where a request ends. Does not interpret other
// fields.

/// Facts collected from the fields so far, judged together when the head is complete.
struct FieldFacts {
    var hostCount = 0
    var contentLength: Int?
    /// There was a Transfer-Encoding of `chunked`. All other values are refused.
    var isChunked = false
    var connectionClose = false
    var connectionKeepAlive = false
    var expectsContinue = false
    var hasUnknownExpectation = false
    var contentCoding = ContentCoding.identity
    var acceptedCodings = AcceptedCodings()
}

extension RequestParser {
    /// field-name ":" OWS field-value OWS (RFC 9112 §5).
    func fieldRange(_ bytes: Span<UInt8>, _ line: Range<Int>) throws(Refusal) -> FieldRange {
        let number = head.fields.count + 1
        var colon = line.lowerBound
        while colon < line.upperBound, bytes[colon].isToken { colon += 1 }
        guard colon < line.upperBound, bytes[colon] == Byte.colon, colon > line.lowerBound else {
            if bytes[line.lowerBound].isSpaceOrTab {
                throw Refusal(400, "Field line \(number) begins with white space.")
            }
            if colon < line.upperBound, bytes[colon].isSpaceOrTab {
                throw Refusal(400, "Field line \(number) has white space before its colon.")
            }
            throw Refusal(400, "Field line \(number) does not begin with a field name and a colon.")
        }
        let value = bytes.trimming(colon + 1..<line.upperBound)
        return FieldRange(name: ByteRange(line.lowerBound..<colon), value: ByteRange(value))
    }

    /// Records a field that affects framing, the connection or codings.
    mutating func interpret(_ bytes: Span<UInt8>, _ field: FieldRange) throws(Refusal) {
        let name = bytes.extracting(field.name.range)
        let value = bytes.extracting(field.value.range)
        switch name.count {
        case 4 where name.equalsIgnoringCase("host"):
            facts.hostCount += 1
            guard facts.hostCount == 1 else { throw Refusal(400, "The request has more than one Host field.") }
            guard value.isHost else { throw Refusal(400, "The Host field is not a valid host.") }
        case 6 where name.equalsIgnoringCase("expect"):
            if value.equalsIgnoringCase("100-continue") {
                facts.expectsContinue = true
            } else {
                facts.hasUnknownExpectation = true
            }
        case 10 where name.equalsIgnoringCase("connection"):
            value.forEachListElement { option in
                if option.equalsIgnoringCase("close") { facts.connectionClose = true }
                if option.equalsIgnoringCase("keep-alive") { facts.connectionKeepAlive = true }
            }
        case 14 where name.equalsIgnoringCase("content-length"):
            guard facts.contentLength == nil else {
                throw Refusal(400, "The request has more than one Content-Length field.")
            }
            facts.contentLength = try contentLength(value)
        case 15 where name.equalsIgnoringCase("accept-encoding"):
            facts.acceptedCodings.add(value)
        case 16 where name.equalsIgnoringCase("content-encoding"):
            facts.contentCoding.add(value)
        case 17 where name.equalsIgnoringCase("transfer-encoding"):
            guard !facts.isChunked else {
                throw Refusal(400, "The request has more than one Transfer-Encoding field.")
            }
            try requireChunked(value)
            facts.isChunked = true
        default:
            break
        }
    }

    /// 1*DIGIT, decimal, within Int (RFC 9110 §8.6).
    private func contentLength(_ value: Span<UInt8>) throws(Refusal) -> Int {
        guard !value.isEmpty else { throw Refusal(400, "The Content-Length field is empty.") }
        var length = 0
        for index in value.indices {
            guard value[index].isDigit else {
                throw Refusal(400, "The Content-Length field has a byte that is not a digit.")
            }
            let (tenfold, tooMany) = length.multipliedReportingOverflow(by: 10)
            let (sum, tooLarge) = tenfold.addingReportingOverflow(Int(value[index] - Byte.zero))
            guard !tooMany, !tooLarge else {
                throw Refusal(400, "The Content-Length field is too large.")
            }
            length = sum
        }
        return length
    }

    /// Accepts exactly `chunked` and refuses everything else with its reason (RFC 9112 §6.1, §6.3).
    private func requireChunked(_ value: Span<UInt8>) throws(Refusal) {
        if value.equalsIgnoringCase("chunked") { return }
        var isWellFormed = true
        var chunkedCount = 0
        var endsInChunked = false
        value.forEachListElement { coding in
            if !coding.isToken { isWellFormed = false }
            endsInChunked = coding.equalsIgnoringCase("chunked")
            if endsInChunked { chunkedCount += 1 }
        }
        guard isWellFormed else {
            throw Refusal(400, "The Transfer-Encoding field is not a list of plain transfer codings.")
        }
        guard endsInChunked, chunkedCount == 1 else {
            throw Refusal(400, "The Transfer-Encoding field does not have chunked as its last coding, once.")
        }
        throw Refusal(501, "The only supported transfer coding is chunked.")
    }

    /// Settles the framing from all fields, once the head is complete.
    func settleFraming(_ head: inout ParsedHead, _ facts: FieldFacts) throws(Refusal) {
        if facts.hostCount == 0, !head.isVersion10 {
            throw Refusal(400, "The request has no Host field.")
        }
        if facts.isChunked {
            guard !head.isVersion10 else {
                throw Refusal(400, "HTTP/1.0 does not allow a Transfer-Encoding field.")
            }
            guard facts.contentLength == nil else {
                throw Refusal(400, "The request has both Content-Length and Transfer-Encoding.")
            }
            head.framing = .chunked
        } else if let length = facts.contentLength {
            head.framing = length == 0 ? .none : .length(length)
        } else if head.method.requiresBodyLength {
            throw Refusal(411, "A \(head.method) request needs Content-Length or chunked transfer coding.")
        }
        if !head.isVersion10 {
            guard !facts.hasUnknownExpectation else {
                throw Refusal(417, "The only supported expectation is 100-continue.")
            }
            head.expectsContinue = facts.expectsContinue
        }
        head.contentCoding = facts.contentCoding
        head.acceptedCodings = facts.acceptedCodings
        head.keepsAlive = !facts.connectionClose && (!head.isVersion10 || facts.connectionKeepAlive)
    }
}

extension Span<UInt8> {
    /// uri-host [ ":" port ] of RFC 3986 §3.2.2, by its bytes. An empty host is legal (RFC 9112 §3.2).
    var isHost: Bool {
        var index = 0
        if index < count, self[index] == Byte.leftBracket {
            // IP-literal: hexadecimal digits, colons, dots.
            index += 1
            let start = index
            while index < count, self[index].isAddressByte { index += 1 }
            guard index > start, index < count, self[index] == Byte.rightBracket else { return false }
            index += 1
        } else {
            while index < count, self[index].isRegisteredNameByte { index += 1 }
        }
        guard index < count else { return true }
        guard self[index] == Byte.colon else { return false }
        var port = 0
        for place in index + 1..<count {
            guard self[place].isDigit else { return false }
            port = port * 10 + Int(self[place] - Byte.zero)
            guard port <= 65_535 else { return false }
        }
        return true
    }
}

extension UInt8 {
    /// The characters allowed between the brackets of an IPv6 literal.
    fileprivate var isAddressByte: Bool { hexadecimalValue != nil || self == Byte.colon || self == Byte.point }

    /// unreserved, sub-delims and "%" of RFC 3986: token bytes without "^", "`" and "|", and with "(),;=".
    fileprivate var isRegisteredNameByte: Bool {
        switch self {
        case 0x28, 0x29, Byte.comma, Byte.semicolon, 0x3D: true
        case Byte.numberSign, 0x5E, 0x60, 0x7C: false
        default: isToken
        }
    }
}
