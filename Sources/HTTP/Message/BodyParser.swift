// Parses the body of a request: a counted run of bytes, or the chunked coding (RFC 9112 §7.1). Outside chunk data it
// works byte by byte, so it keeps only its state between calls. Chunk extensions and trailers are checked, counted
// against their limits and dropped.

/// Reads one request body.
package struct BodyParser {
    /// The outcome for the bytes passed in.
    package struct Step: Equatable {
        /// Bytes consumed.
        package var consumed: Int
        /// The range of content among the consumed bytes.
        package var content: Range<Int>
        /// The body is complete.
        package var isComplete = false
    }

    /// The state before the next byte.
    private enum State: Equatable {
        case complete
        /// `left` bytes remain, of the chunk if the body is chunked, otherwise of the body.
        case data(left: Int)
        /// In the hexadecimal size, `digits` of which have been read.
        case size(value: Int, digits: Int)
        /// White space after the size; only an extension may follow (RFC 9112 §7.1.1).
        case sizePadding(value: Int)
        case sizeExtension(value: Int)
        /// The CR after size or extension has been read.
        case sizeLineFeed(value: Int)
        case dataCarriageReturn
        case dataLineFeed
        /// At the beginning of a line of the trailer section.
        case trailerStart
        case trailerName
        case trailerValue
        case trailerLineFeed
        /// The CR of the empty line at the very end has been read.
        case lastLineFeed
    }

    /// The most digits of a chunk size, leading zeros included: as many as the largest Int has.
    private static let sizeDigits = 16

    private let limits: HTTPLimits
    private let isChunked: Bool
    private var state: State
    /// Content bytes that may still arrive before the body is too large.
    private var allowance: Int
    private var extensionBytes = 0
    private var trailerBytes = 0

    /// A parser for a body with this framing and at most `maximumBytes` content bytes.
    package init(_ framing: BodyFraming, maximumBytes: Int, limits: HTTPLimits) {
        self.limits = limits
        allowance = maximumBytes
        switch framing {
        case .none:
            isChunked = false
            state = .complete
        case .length(let length):
            isChunked = false
            state = .data(left: length)
        case .chunked:
            isChunked = true
            state = .size(value: 0, digits: 0)
        }
    }

    /// Consumes bytes up to the end of the next run of content, the end of the body, or all of them.
    package mutating func parse(_ bytes: Span<UInt8>) throws(Refusal) -> Step {
        var index = 0
        while true {
            if state == .complete { return Step(consumed: index, content: 0..<0, isComplete: true) }
            guard index < bytes.count else { return Step(consumed: index, content: 0..<0) }
            if case .data(let left) = state {
                return try takeData(left: left, from: index, available: bytes.count)
            }
            try take(bytes[index])
            index += 1
        }
    }

    private mutating func takeData(left: Int, from index: Int, available: Int) throws(Refusal) -> Step {
        let taken = min(left, available - index)
        guard taken <= allowance else { throw tooLarge }
        allowance -= taken
        if taken < left {
            state = .data(left: left - taken)
        } else {
            state = isChunked ? .dataCarriageReturn : .complete
        }
        let end = index + taken
        return Step(consumed: end, content: index..<end, isComplete: state == .complete)
    }

    private var tooLarge: Refusal { Refusal(413, "The body of the request is too large.") }

    /// One byte of the chunked coding outside of chunk data.
    private mutating func take(_ byte: UInt8) throws(Refusal) {
        switch state {
        case .complete, .data:
            preconditionFailure("not a place between chunks")
        case .size(let value, let digits):
            try takeSize(byte, value, digits)
        case .sizePadding(let value):
            try countExtension()
            if byte == Byte.semicolon {
                state = .sizeExtension(value: value)
            } else if !byte.isSpaceOrTab {
                throw Refusal(400, "A chunk size is followed by white space without an extension.")
            }
        case .sizeExtension(let value):
            if byte == Byte.carriageReturn {
                state = .sizeLineFeed(value: value)
                return
            }
            try countExtension()
            guard !byte.isControl else { throw Refusal(400, "A chunk extension has a control byte.") }
        case .sizeLineFeed(let value):
            try expect(byte, Byte.lineFeed, "A chunk size does not end in CR LF.")
            state = value == 0 ? .trailerStart : .data(left: value)
        case .dataCarriageReturn:
            try expect(byte, Byte.carriageReturn, "A chunk is longer than its size says.")
            state = .dataLineFeed
        case .dataLineFeed:
            try expect(byte, Byte.lineFeed, "A chunk's data does not end in CR LF.")
            state = .size(value: 0, digits: 0)
        case .trailerStart, .trailerName, .trailerValue, .trailerLineFeed, .lastLineFeed:
            try takeTrailer(byte)
        }
    }

    private mutating func takeSize(_ byte: UInt8, _ value: Int, _ digits: Int) throws(Refusal) {
        if let digit = byte.hexadecimalValue {
            let (sixteenfold, overflow) = value.multipliedReportingOverflow(by: 16)
            guard !overflow, digits < BodyParser.sizeDigits else {
                throw Refusal(400, "A chunk size is too large.")
            }
            state = .size(value: sixteenfold | Int(digit), digits: digits + 1)
            return
        }
        guard digits > 0 else { throw Refusal(400, "A chunk does not begin with its size.") }
        switch byte {
        case Byte.carriageReturn: state = .sizeLineFeed(value: value)
        case Byte.semicolon:
            try countExtension()
            state = .sizeExtension(value: value)
        case Byte.space, Byte.tab:
            try countExtension()
            state = .sizePadding(value: value)
        default: throw Refusal(400, "A chunk size has a byte that is not a hexadecimal digit.")
        }
        // Refused before the data arrives, because the client may be waiting for permission to send it.
        guard value <= allowance else { throw tooLarge }
    }

    private mutating func takeTrailer(_ byte: UInt8) throws(Refusal) {
        if state == .lastLineFeed {
            try expect(byte, Byte.lineFeed, "The body does not end in CR LF.")
            state = .complete
            return
        }
        if state == .trailerStart, byte == Byte.carriageReturn {
            state = .lastLineFeed
            return
        }
        trailerBytes += 1
        guard trailerBytes <= limits.trailerBytes else {
            throw Refusal(431, "The trailer lines are longer than \(limits.trailerBytes) bytes together.")
        }
        switch state {
        case .trailerStart:
            guard byte.isToken else { throw Refusal(400, "A trailer line does not begin with a field name.") }
            state = .trailerName
        case .trailerName:
            if byte == Byte.colon {
                state = .trailerValue
            } else if !byte.isToken {
                throw Refusal(400, "A trailer line has no colon after its field name.")
            }
        case .trailerValue:
            if byte == Byte.carriageReturn {
                state = .trailerLineFeed
            } else if byte.isControl {
                throw Refusal(400, "A trailer line has a control byte.")
            }
        default:
            try expect(byte, Byte.lineFeed, "A trailer line does not end in CR LF.")
            state = .trailerStart
        }
    }

    private mutating func countExtension() throws(Refusal) {
        extensionBytes += 1
        guard extensionBytes <= limits.chunkExtensionBytes else {
            throw Refusal(
                400,
                "The chunk extensions are longer than \(limits.chunkExtensionBytes) bytes together."
            )
        }
    }

    private func expect(_ byte: UInt8, _ wanted: UInt8, _ sentence: String) throws(Refusal) {
        guard byte == wanted else { throw Refusal(400, sentence) }
    }
}
