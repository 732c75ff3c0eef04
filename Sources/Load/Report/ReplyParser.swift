// Parses replies from bytes as they arrive, split anywhere: the client's side of RFC 9112. It is strict only where
// leniency could confuse replies, because it must count faults of the measured server.

internal import HTTP

/// A reply that is not HTTP.
struct ReplyFault: Error, Equatable {
    /// What is wrong, in one sentence.
    let detail: String

    init(_ detail: String) { self.detail = detail }
}

/// Reads the replies of one connection in sequence.
struct ReplyParser {
    /// The result of parsing bytes.
    struct Step: Equatable {
        /// Number of bytes consumed.
        var consumed: Int
        /// Which of them are content.
        var content: Range<Int>
        /// Whether the reply is complete.
        var isComplete: Bool
    }

    private enum State {
        case statusLine
        case fields
        case body(BodyParser)
        /// The content ends when the server closes (RFC 9112 §6.3, rule 8).
        case untilClose
        case complete
    }

    /// The longest status line and field lines together.
    private static let headLimit = 65_536
    private static let bodyLimits = HTTPLimits()
    /// No reply to our requests comes close to it.
    private static let maximumBodyBytes = 256 << 20

    private var state = State.statusLine
    /// The start of a line whose end has not arrived yet.
    private var partialLine: [UInt8] = []
    private var headBytes = 0
    private var contentLength: Int?
    private var isChunked = false
    private var minorVersion: UInt8 = 1
    private var saysClose = false
    private var saysKeepAlive = false

    /// The reply's status; 0 until its status line has been read.
    private(set) var status = 0

    /// A parser at the start of a connection.
    init() {}

    /// Whether nothing of a reply has been read yet.
    var isAtStart: Bool {
        if case .statusLine = state { return partialLine.isEmpty }
        return false
    }

    /// Whether the connection may carry another request after this reply (RFC 9112 §9.3).
    var keepsAlive: Bool {
        if case .untilClose = state { return false }
        return !saysClose && (minorVersion > 0 || saysKeepAlive)
    }

    /// Resets for the next reply of the same connection; storage is kept.
    mutating func reset() {
        var kept = partialLine
        kept.removeAll(keepingCapacity: true)
        self = ReplyParser()
        partialLine = kept
    }

    /// Consumes bytes up to the end of the next run of content, up to the end of the reply, or all of them.
    mutating func parse(_ bytes: Span<UInt8>) throws(ReplyFault) -> Step {
        var index = 0
        while true {
            switch state {
            case .complete:
                return Step(consumed: index, content: 0..<0, isComplete: true)
            case .statusLine, .fields:
                guard let end = bytes.firstIndex(of: Byte.lineFeed, in: index..<bytes.count) else {
                    try keep(bytes.extracting(index..<bytes.count))
                    return Step(consumed: bytes.count, content: 0..<0, isComplete: false)
                }
                if partialLine.isEmpty {
                    try takeLine(bytes.extracting(index..<end))
                } else {
                    try keep(bytes.extracting(index..<end))
                    let line = partialLine
                    headBytes -= line.count
                    try takeLine(line.span)
                    partialLine.removeAll(keepingCapacity: true)
                }
                index = end + 1
            case .body(var parser):
                return try takeBody(&parser, bytes, from: index)
            case .untilClose:
                return Step(consumed: bytes.count, content: index..<bytes.count, isComplete: false)
            }
        }
    }

    /// Notes that the server has closed. True if that completes the reply, false if it truncates it.
    mutating func endOfStream() -> Bool {
        guard case .untilClose = state else { return false }
        saysClose = true
        state = .complete
        return true
    }

    // MARK: Head

    private mutating func keep(_ part: Span<UInt8>) throws(ReplyFault) {
        try count(part.count)
        for index in part.indices { partialLine.append(part[index]) }
    }

    private mutating func count(_ bytes: Int) throws(ReplyFault) {
        headBytes += bytes
        guard headBytes <= Self.headLimit else {
            throw ReplyFault("The head of a reply is longer than \(Self.headLimit) bytes.")
        }
    }

    /// Takes a line without its LF. A bare LF ends a line too, as RFC 9112 §2.2 lets a recipient accept.
    private mutating func takeLine(_ line: Span<UInt8>) throws(ReplyFault) {
        try count(line.count + 1)
        var count = line.count
        if count > 0, line[count - 1] == Byte.carriageReturn { count -= 1 }
        let line = line.extracting(0..<count)
        if case .statusLine = state {
            // RFC 9112 §2.2: skip an empty line between messages.
            if count == 0 { return }
            try takeStatusLine(line)
            state = .fields
        } else if count == 0 {
            try endHead()
        } else {
            try takeField(line)
        }
    }

    /// `HTTP/1.x SP 3DIGIT SP [reason]` (RFC 9112 §4).
    private mutating func takeStatusLine(_ line: Span<UInt8>) throws(ReplyFault) {
        guard line.count >= 12, line.extracting(0..<7).equals("HTTP/1."), line[7].isDigit, line[8] == Byte.space,
            line[9].isDigit, line[10].isDigit, line[11].isDigit, line.count == 12 || line[12] == Byte.space
        else { throw ReplyFault("A reply does not begin with an HTTP/1 status line.") }
        minorVersion = line[7] - 0x30
        status = Int(line[9] - 0x30) * 100 + Int(line[10] - 0x30) * 10 + Int(line[11] - 0x30)
        guard (100...599).contains(status) else { throw ReplyFault("A reply has the status \(status).") }
    }

    private mutating func takeField(_ line: Span<UInt8>) throws(ReplyFault) {
        guard let colon = line.firstIndex(of: Byte.colon, in: 0..<line.count), colon > 0, line[0].isToken else {
            throw ReplyFault("A field line of a reply has no name.")
        }
        let name = line.extracting(0..<colon)
        let value = line.extracting(colon + 1..<line.count)
        switch colon {
        case 10 where name.equalsIgnoringCase("connection"):
            var says = (close: false, keepAlive: false)
            value.forEachListElement { element in
                if element.equalsIgnoringCase("close") { says.close = true }
                if element.equalsIgnoringCase("keep-alive") { says.keepAlive = true }
            }
            saysClose = saysClose || says.close
            saysKeepAlive = saysKeepAlive || says.keepAlive
        case 14 where name.equalsIgnoringCase("content-length"):
            let length = try Self.length(value)
            guard contentLength == nil || contentLength == length else {
                throw ReplyFault("A reply has two different lengths.")
            }
            contentLength = length
        case 17 where name.equalsIgnoringCase("transfer-encoding"):
            var codings = 0
            var isOnlyChunked = true
            value.forEachListElement { coding in
                codings += 1
                if !coding.equalsIgnoringCase("chunked") { isOnlyChunked = false }
            }
            guard codings == 1, isOnlyChunked, !isChunked else {
                throw ReplyFault("A reply has a transfer coding other than chunked.")
            }
            isChunked = true
        default: break
        }
    }

    /// Only digits, whereas `Int(_:)` also accepts a sign.
    private static func length(_ value: Span<UInt8>) throws(ReplyFault) -> Int {
        var lower = 0
        var upper = value.count
        while lower < upper, value[lower].isSpaceOrTab { lower += 1 }
        while upper > lower, value[upper - 1].isSpaceOrTab { upper -= 1 }
        guard 1...15 ~= upper - lower else { throw ReplyFault("The length of a reply is not a number.") }
        var length = 0
        for index in lower..<upper {
            guard value[index].isDigit else { throw ReplyFault("The length of a reply is not a number.") }
            length = length * 10 + Int(value[index] - 0x30)
        }
        return length
    }

    /// Determines how the content is framed (RFC 9112 §6.3); all our requests are POST or GET.
    private mutating func endHead() throws(ReplyFault) {
        if status < 200 {
            guard status != 101 else { throw ReplyFault("A reply switches protocols, which was not requested.") }
            // An interim reply: the real one follows (RFC 9110 §15.2).
            reset()
            return
        }
        guard !isChunked || contentLength == nil else {
            throw ReplyFault("A reply has both a length and a transfer coding.")
        }
        let framing: BodyFraming
        if status == 204 || status == 304 {
            state = .complete
            return
        } else if isChunked {
            framing = .chunked
        } else if let contentLength {
            guard contentLength > 0 else {
                state = .complete
                return
            }
            framing = .length(contentLength)
        } else {
            state = .untilClose
            return
        }
        state = .body(BodyParser(framing, maximumBytes: Self.maximumBodyBytes, limits: Self.bodyLimits))
    }

    // MARK: Body

    private mutating func takeBody(
        _ parser: inout BodyParser,
        _ bytes: Span<UInt8>,
        from index: Int
    ) throws(ReplyFault) -> Step {
        let step: BodyParser.Step
        do throws(Refusal) {
            step = try parser.parse(bytes.extracting(index..<bytes.count))
        } catch {
            throw ReplyFault("The body of a reply is malformed: \(error.detail)")
        }
        state = step.isComplete ? .complete : .body(parser)
        return Step(
            consumed: index + step.consumed,
            content: index + step.content.lowerBound..<index + step.content.upperBound,
            isComplete: step.isComplete
        )
    }
}
