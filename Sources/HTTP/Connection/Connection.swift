// One HTTP/1.1 connection as a state machine (RFC 9112 §9): a value with no socket, no clock and no handler. Events are
// calls (bytes, end of input, verdicts, replies, a timer, write progress, drain) with the time as an argument. `advance`
// returns the next step; `output`, `wantsInput`, `deadline` and `nextEnding` can be asked at any time. Channel drives it
// over a socket, the tests over a script. It takes one request at a time: it parses the next one only when the reply to the
// last is complete. Replies are therefore in order by construction, and pipelined requests wait as bytes, up to the
// read-ahead limit. Replies are in Replies.swift, time-outs and endings in Timeouts.swift.

/// The state of one connection.
struct Connection {
    /// The driver's next step. Before it advances again it calls `accept` or `reject` after `headReceived`, and
    /// `reply(toRefusal:)` after `refused`.
    enum Step {
        /// Do nothing until the next event.
        case wait
        case headReceived(HTTPRequestHead)
        case requestReceived(HTTPRequest)
        case refused(Refusal)
        /// The client of the open exchange has disconnected.
        case cancelled
    }

    /// How the input is read.
    enum Input: Equatable {
        /// Between requests; no byte of the next one has been seen.
        case idle
        /// In a request's head.
        case head
        /// The head is complete; the driver has yet to call `accept` or `reject`.
        case verdict
        /// In the body of an accepted request.
        case body
        /// A request has been delivered and its reply is not complete. Input is not consumed.
        case exchange
        /// In the body of a rejected request, short enough to be dropped to keep the connection.
        case dropping
        /// The last reply has been decided. Input is discarded, and the connection ends once the output is written.
        case stopped
        /// The write side is shut. Input is discarded until the client closes too.
        case lingering
        case closed
    }

    /// The state of the reply to the open exchange.
    enum Reply: Equatable {
        case none
        case awaited
        /// The head is written, content follows. `dropsContent`: it was HEAD.
        case streaming(ReplyFraming, dropsContent: Bool)
    }

    /// A reply whose last bytes may still be in the output.
    struct PendingRecord {
        var record: ReplyRecord
        /// The value of `output.flushed` at which it is complete; nil if it was cut short.
        var end: UInt64?
        var began: UInt64
    }

    /// Unsent bytes of replies beyond which the next pipelined request has to wait.
    static let pipelinedOutputLimit = 262_144

    let settings: ConnectionSettings
    let peer: PeerAddress
    private var parser: RequestParser
    private var bodyParser: BodyParser
    private var body: [UInt8] = []
    /// Inflates the body if it is gzip.
    private var decoder: GzipDecoder?
    private var owesContinue = false

    var input = Input.idle
    var reply = Reply.none
    /// The request being read or answered.
    var request: HTTPRequestHead?
    /// When its last byte arrived.
    var requestAt: UInt64 = 0
    /// The start of the time-out that applies to the present `input`.
    var mark: UInt64
    /// Bytes of body since `mark`.
    var windowBytes = 0
    /// No request has been seen yet, so the `firstByte` time-out applies rather than `idle`.
    var isFresh = true
    /// The client has shut its write side.
    var inputEnded = false
    /// The connection closes as soon as nothing is left to answer.
    var closesWhenIdle = false
    /// Received bytes that the last `advance` did not consume.
    private var bytesAhead = 0
    /// `bytesAhead` at the first reply of an ending server, minus the bytes consumed since; nil before that reply.
    private var owedBytes: Int?
    /// The client must not consider its data complete: its reply or its connection was cut short.
    var isTruncated = false
    var pendingRefusal: Refusal?
    var isCancelPending = false
    /// The reply was cut short, and an orderly close would mark it as complete.
    var endsByReset = false
    var records: [PendingRecord] = []
    /// The name of a reply's field that was omitted.
    var leftOutField: String?
    /// Status and label of the streamed reply, and whether the connection stays open after it.
    var streamStatus = 0
    var streamLabel = 0
    var streamKeeps = false
    /// The coder for the content of the streamed reply, if that is gzip.
    var encoder: GzipEncoder?
    /// The output that is still to be written.
    var output = OutputQueue()
    /// When the output last made progress, or stopped being empty.
    var outputMark: UInt64 = 0
    /// `appended` of the output when the reply being written began.
    var replyStart: UInt64 = 0

    init(settings: ConnectionSettings, peer: PeerAddress, now: UInt64) {
        self.settings = settings
        self.peer = peer
        parser = RequestParser(limits: settings.limits)
        bodyParser = BodyParser(.none, maximumBytes: 0, limits: settings.limits)
        mark = now
    }

    // MARK: Input

    /// No byte of a next request has arrived, and no request is being answered.
    var isIdle: Bool { (input == .idle && bytesAhead == 0) || (input == .head && !hasBegunRequest) }

    /// Part of a request has arrived, not only the empty line that may precede one.
    var hasBegunRequest: Bool { parser.hasBegun }

    /// Whether to read more, given `unread` received bytes that `advance` has not consumed.
    func wantsInput(unread: Int) -> Bool {
        switch input {
        case .closed: false
        case .idle where output.count > Connection.pipelinedOutputLimit, .verdict, .exchange:
            !inputEnded && unread < settings.limits.readAheadBytes
        default: !inputEnded
        }
    }

    /// A request may be waiting in unread bytes and nothing is in its way.
    var canTakeRequest: Bool { input == .idle && output.count <= Connection.pipelinedOutputLimit }

    /// Consumes bytes up to the next step. `bytes` are all bytes read and not yet consumed; pass the rest again next
    /// time. Call it until it returns `wait`.
    mutating func advance(_ bytes: Span<UInt8>, now: UInt64) -> (consumed: Int, step: Step) {
        let (consumed, step) = takeStep(bytes, now: now)
        bytesAhead = bytes.count - consumed
        if let owed = owedBytes { owedBytes = owed - consumed }
        return (consumed, step)
    }

    /// Whether pipelined requests have arrived that an ending server should still answer. If so, the reply that is due
    /// must not say `Connection: close`, or the client would have to send them again (RFC 9112 §9.6). Only bytes that
    /// had arrived by the first reply after the end was announced count, so that no client can keep the connection
    /// open.
    ///
    /// - Parameter rejectedBytes: length of the body of a request that was rejected before its body was read.
    mutating func owesReplies(rejectedBytes: Int = 0) -> Bool {
        let owed = owedBytes ?? bytesAhead
        owedBytes = owed
        return owed > rejectedBytes
    }

    private mutating func takeStep(_ bytes: Span<UInt8>, now: UInt64) -> (consumed: Int, step: Step) {
        var consumed = 0
        while true {
            if isCancelPending {
                isCancelPending = false
                return (consumed, .cancelled)
            }
            if let refusal = pendingRefusal {
                pendingRefusal = nil
                return (consumed, .refused(refusal))
            }
            let rest = bytes.extracting(consumed..<bytes.count)
            switch input {
            case .idle:
                guard canTakeRequest else { return (consumed, .wait) }
                guard !rest.isEmpty else {
                    if inputEnded { input = .stopped }
                    return (consumed, .wait)
                }
                input = .head
                mark = now
            case .head:
                let (used, step) = advanceHead(rest)
                consumed += used
                if let step { return (consumed, step) }
            case .body, .dropping:
                let (used, step) = advanceBody(rest, now: now)
                consumed += used
                if let step { return (consumed, step) }
            case .verdict, .exchange:
                return (consumed, .wait)
            case .stopped, .lingering, .closed:
                return (bytes.count, .wait)
            }
        }
    }

    private mutating func advanceHead(_ rest: Span<UInt8>) -> (used: Int, step: Step?) {
        switch parser.parse(rest) {
        case .incomplete:
            guard inputEnded else { return (0, .wait) }
            if parser.hasBegun {
                refuse(Refusal(400, "The request ended within its head."))
            } else {
                input = .stopped
            }
            return (0, nil)
        case .refused(let refusal):
            refuse(refusal)
            return (0, nil)
        case .complete(let count):
            let head = HTTPRequestHead(bytes: rest.extracting(0..<count), parsed: parser.copyHead(), peer: peer)
            parser.reset()
            request = head
            isFresh = false
            input = .verdict
            return (count, .headReceived(head))
        }
    }

    /// The handler accepts the request, with at most `maximumBodyBytes` bytes of content.
    mutating func accept(maximumBodyBytes: Int, now: UInt64) {
        guard input == .verdict, let request else { return }
        let maximum = min(maximumBodyBytes, settings.limits.bodyBytes)
        if case .length(let length) = request.framing, length > maximum {
            refuse(Refusal(413, "The body of the request is longer than \(maximum) bytes."))
            return
        }
        beginBody(request.framing, maximumBytes: maximum, as: .body, now: now)
        if request.contentCoding == .gzip, request.framing != .none {
            decoder = GzipDecoder(limits: settings.limits)
            if decoder == nil {
                refuse(Refusal(503, "There is not enough memory to inflate the content of the request."))
            }
        }
        owesContinue = request.expectsContinue && request.framing != .none
    }

    /// Starts to read, or to drop, the body of the present request.
    mutating func beginBody(_ framing: BodyFraming, maximumBytes: Int, as input: Input, now: UInt64) {
        bodyParser = BodyParser(framing, maximumBytes: maximumBytes, limits: settings.limits)
        body = []
        decoder = nil
        self.input = input
        mark = now
        windowBytes = 0
    }

    private mutating func advanceBody(_ rest: Span<UInt8>, now: UInt64) -> (used: Int, step: Step?) {
        if owesContinue {
            owesContinue = false
            // A client that sends without waiting needs no permission (RFC 9110 §10.1.1).
            if rest.isEmpty { write("HTTP/1.1 100 Continue\r\n\r\n", now: now) }
        }
        let step: BodyParser.Step
        do throws(Refusal) {
            step = try bodyParser.parse(rest)
            if input == .body {
                if !step.content.isEmpty { try appendBody(rest.extracting(step.content)) }
                if step.isComplete { try decoder?.finish() }
            }
        } catch {
            stopBody(error)
            return (0, nil)
        }
        windowBytes += step.consumed
        if step.isComplete {
            finishBody(now: now)
            guard input == .exchange, let request else { return (step.consumed, nil) }
            let received = HTTPRequest(head: request, body: body, receivedAt: now)
            body = []
            decoder = nil
            return (step.consumed, .requestReceived(received))
        }
        if step.consumed < rest.count || !step.content.isEmpty { return (step.consumed, nil) }
        guard inputEnded else { return (step.consumed, .wait) }
        stopBody(Refusal(400, "The request ended within its body."))
        return (step.consumed, nil)
    }

    private mutating func appendBody(_ content: Span<UInt8>) throws(Refusal) {
        if let decoder {
            try decoder.decode(content, into: &body)
            return
        }
        if body.isEmpty, case .length(let length) = request?.framing {
            // Memory for an announced body is reserved only up to 64 KiB.
            body.reserveCapacity(max(content.count, min(length, 65_536)))
        }
        content.withUnsafeBufferPointer { body.append(contentsOf: $0) }
    }

    private mutating func finishBody(now: UInt64) {
        if input == .dropping {
            becomeIdle(now: now)
        } else {
            input = .exchange
            reply = .awaited
            requestAt = now
        }
    }

    /// The rest of the body cannot be read. A rejected request already has its reply.
    mutating func stopBody(_ refusal: Refusal) {
        if input == .dropping {
            input = .stopped
        } else {
            refuse(refusal)
        }
    }

    /// HTTP refuses the request being read. No reply is outstanding, because requests are read one at a time.
    mutating func refuse(_ refusal: Refusal) {
        body = []
        decoder = nil
        pendingRefusal = refusal
        input = .stopped
    }

    /// The request has ended and the connection stays open.
    mutating func becomeIdle(now: UInt64) {
        request = nil
        reply = .none
        mark = now
        input = closesWhenIdle && !owesReplies() ? .stopped : .idle
    }

    /// Appends to the output and notes when it stopped being empty.
    mutating func write(_ literal: StaticString, now: UInt64) {
        if output.isEmpty { outputMark = now }
        output.append(literal)
    }
}
