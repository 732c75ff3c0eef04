// A connection on its socket: feeds the state machine of Connection.swift from the socket and carries out its steps.
// A channel lives on one loop; no other thread touches it.

import CLinux

/// State shared by the channels of one loop.
struct LoopContext {
    let settings: ConnectionSettings
    let handler: any HTTPHandler
    let mailbox: Mailbox
    /// The buffer every channel reads into. Unused bytes are copied out before the channel returns.
    let readBuffer: ReadBuffer
    /// The output buffer lent to the running channel.
    var spareOutput: [UInt8] = []
    var date: DateField
    /// CLOCK_MONOTONIC when it was last read, in nanoseconds.
    var now: UInt64

    mutating func lookAtClock() {
        now = Syscall.now()
    }
}

/// A block of memory to read into.
final class ReadBuffer {
    let bytes: UnsafeMutableRawBufferPointer

    init(byteCount: Int) {
        bytes = .allocate(byteCount: byteCount, alignment: 64)
    }

    deinit { bytes.deallocate() }
}

/// A connection in a loop's table. A class, so that table entries are eight bytes; all state is in one struct, entered
/// once per event.
final class Channel {
    let token: UInt64
    let peer: PeerAddress
    var state: ChannelState
    /// The tick at which the loop's wheel holds this channel; `.max` if it does not.
    var scheduledTick = UInt64.max

    init(token: UInt64, peer: PeerAddress, state: ChannelState) {
        self.token = token
        self.peer = peer
        self.state = state
    }
}

/// Everything about one connection on one loop.
struct ChannelState {
    /// Bytes read from one connection per turn, counted before and after inflation. A single request is never split.
    private static let readBudget = 262_144
    /// A spare output buffer larger than this is freed.
    private static let spareLimit = 65_536

    let token: UInt64
    private var transport: any Transport
    var connection: Connection
    /// Deadline of the transport's handshake; nil if it has finished, or if there is none.
    private var handshakeDeadline: UInt64?
    /// The open exchange.
    private var exchange: HTTPExchange?
    /// Bytes read and not yet consumed: part of a head, or pipelined requests. Bytes before `unreadStart` are consumed.
    private var unread: [UInt8] = []
    private var unreadStart = 0
    /// Bytes of content that may still be delivered in this turn, and whether the turn has ended.
    private var contentBudget = ChannelState.readBudget
    private var isPaused = false
    /// The socket may be readable or writable; false after a call has said otherwise.
    private var isReadable = false
    private var isWritable: Bool
    /// The readiness that a blocked read or write waits for.
    private var readNeeds = Readiness.readable
    private var writeNeeds = Readiness.writable
    /// The client can no longer be written to.
    private var isHungUp = false
    /// Bytes of the streamed reply put into the output, and bytes reported as sent.
    private var contentHanded = 0
    private var contentReported = 0

    init(token: UInt64, transport: any Transport, connection: Connection, now: UInt64) {
        self.token = token
        self.transport = transport
        self.connection = connection
        isWritable = !transport.needsHandshake
        if transport.needsHandshake { handshakeDeadline = now &+ connection.settings.handshake }
    }

    /// More work is left; the loop returns after the turns of the other connections.
    var wantsTurn: Bool { isPaused || wantsRead }

    /// More input may be available, and reading is allowed.
    private var wantsRead: Bool {
        isReadable && handshakeDeadline == nil && connection.wantsInput(unread: unread.count - unreadStart)
    }

    /// When `timerFired` must be called; nil if no time-out applies now.
    var deadline: UInt64? { handshakeDeadline ?? connection.deadline }

    // MARK: Events

    /// epoll has reported the socket.
    mutating func socketReady(_ events: UInt32, _ context: inout LoopContext) {
        let isGone = events & (CLinux_EPOLLHUP | CLinux_EPOLLERR) != 0
        let canRead = isGone || events & (CLinux_EPOLLIN | CLinux_EPOLLRDHUP) != 0
        let canWrite = isGone || events & CLinux_EPOLLOUT != 0
        if isGone || events & CLinux_EPOLLRDHUP != 0 { transport.peerHasClosed = true }
        isHungUp = isHungUp || isGone
        if canRead && readNeeds == .readable || canWrite && readNeeds == .writable { isReadable = true }
        transport.becameReady(readable: canRead, writable: canWrite)
        if handshakeDeadline != nil {
            shakeHands(&context)
        } else if canWrite && writeNeeds == .writable || canRead && writeNeeds == .readable {
            isWritable = true
        }
        read(&context)
    }

    private mutating func shakeHands(_ context: inout LoopContext) {
        switch transport.shakeHands() {
        case .blocked:
            break
        case .finished(let isResumed):
            endHandshake()
            connection.begin(now: context.now)
            context.handler.observe(.handshakeFinished(isResumed: isResumed))
        case .failed(let failure, let detail):
            giveUpHandshake(failure, detail: detail, &context)
        }
    }

    /// HTTP starts here. The handshake may already have read its first bytes, so the socket need not be readable.
    private mutating func endHandshake() {
        handshakeDeadline = nil
        isReadable = true
        isWritable = true
    }

    private mutating func giveUpHandshake(
        _ failure: TLSHandshakeFailure,
        detail: String,
        _ context: inout LoopContext
    ) {
        endHandshake()
        context.handler.observe(.handshakeFailed(failure, detail: detail))
        switch failure {
        case .timeout, .disconnected: connection.vanished()
        // A client that speaks plain HTTP gets an answer in HTTP; beyond the cap on connections, the one about that.
        case .plainHTTP:
            if connection.input == .idle { connection.refuse(Refusal(400, "This port expects HTTPS, not HTTP.")) }
        // The client gets the transport's alert, and a close that does not overtake it.
        default: connection.stop()
        }
    }

    /// Reads within the budget and runs the state machine over the bytes.
    mutating func read(_ context: inout LoopContext) {
        var budget = ChannelState.readBudget
        contentBudget = ChannelState.readBudget
        isPaused = false
        connection.output.borrowBuffer(from: &context.spareOutput)
        while wantsRead, budget > 0, !isPaused {
            // While a request is being answered, at most the read-ahead limit.
            let room = max(1, connection.settings.limits.readAheadBytes - (unread.count - unreadStart))
            let size = min(context.readBuffer.bytes.count, connection.input == .exchange ? room : .max)
            let target = UnsafeMutableRawBufferPointer(rebasing: context.readBuffer.bytes[..<size])
            switch transport.read(into: target) {
            case .moved(let count, let isDrained):
                context.lookAtClock()
                readNeeds = .readable
                if isDrained { isReadable = false }
                budget -= count
                use(UnsafeRawBufferPointer(rebasing: target[..<count]), &context)
            case .endOfStream:
                isReadable = false
                connection.endOfInput(now: context.now)
            case .blocked(let needs):
                isReadable = false
                readNeeds = needs
            case .failed:
                isReadable = false
                connection.vanished()
            }
        }
        // Both sides are shut and all input has been read, so no one waits for an answer.
        if isHungUp { connection.vanished() }
        run(&context)
    }

    /// The open exchange may have parts of its reply to pick up.
    mutating func pickUpReply(of exchange: HTTPExchange, _ context: inout LoopContext) {
        guard self.exchange === exchange else { return }
        connection.output.borrowBuffer(from: &context.spareOutput)
        exchange.takeParts { apply($0, &context) }
        run(&context)
    }

    mutating func timerFired(_ context: inout LoopContext) {
        if handshakeDeadline != nil {
            giveUpHandshake(.timeout, detail: "the handshake took too long", &context)
        } else {
            connection.timerFired(now: context.now)
        }
        run(&context)
    }

    /// Closes the connection once nothing is left to answer. An idle connection may have a request in its socket
    /// already, so that is read first. A connection in its handshake may still send its first request.
    mutating func drain(_ context: inout LoopContext) {
        if handshakeDeadline != nil {
            connection.closesWhenIdle = true
            return
        }
        if connection.isIdle {
            isReadable = true
            read(&context)
        }
        connection.drain(now: context.now)
        run(&context)
    }

    /// The server stops immediately.
    mutating func cut(_ context: inout LoopContext) {
        connection.vanished()
        run(&context)
    }

    /// Runs the state machine and writes its output until neither makes progress.
    mutating func run(_ context: inout LoopContext) {
        connection.output.borrowBuffer(from: &context.spareOutput)
        repeat {
            use(UnsafeRawBufferPointer(start: nil, count: 0), &context)
            flush(&context)
        } while unread.count > unreadStart && connection.canTakeRequest && isWritable && !isPaused
        connection.output.returnBuffer(to: &context.spareOutput, limit: ChannelState.spareLimit)
        report(&context)
    }

    /// Carries out the state machine's ending. True if the connection has ended and the socket is closed.
    mutating func end(_ context: inout LoopContext) -> Bool {
        switch connection.nextEnding(now: context.now) {
        case .none:
            return false
        case .shutdownWrite:
            transport.shutdownWrite(isOrderly: !connection.isTruncated)
            return false
        case .reset:
            // The descriptor is the lower half of the token.
            Syscall.resetOnClose(Int32(truncatingIfNeeded: token))
            report(&context)
            transport.close(isOrderly: false)
            return true
        case .close:
            report(&context)
            transport.close(isOrderly: !connection.isTruncated)
            return true
        }
    }

    // MARK: Driving the state machine

    /// Runs the state machine over leftover and new bytes.
    private mutating func use(_ fresh: UnsafeRawBufferPointer, _ context: inout LoopContext) {
        if unread.isEmpty {
            let used = advance(fresh, &context)
            if used < fresh.count { unread.append(contentsOf: fresh[used...]) }
            return
        }
        // Moved out while the state machine borrows it.
        var held: [UInt8] = []
        swap(&held, &unread)
        held.append(contentsOf: fresh)
        unreadStart += held.withUnsafeBytes { bytes in
            advance(UnsafeRawBufferPointer(rebasing: bytes[unreadStart...]), &context)
        }
        if unreadStart == held.count {
            unreadStart = 0
            return
        }
        if unreadStart > held.count / 2 {
            held.removeFirst(unreadStart)
            unreadStart = 0
        }
        swap(&held, &unread)
    }

    /// Carries out the state machine's steps. Returns the number of bytes consumed.
    private mutating func advance(_ bytes: UnsafeRawBufferPointer, _ context: inout LoopContext) -> Int {
        let bytes = bytes.assumingMemoryBound(to: UInt8.self)
        var used = 0
        while true {
            let rest = Span(_unsafeElements: UnsafeBufferPointer(rebasing: bytes[used...]))
            let (consumed, step) = connection.advance(rest, now: context.now)
            used += consumed
            switch step {
            case .wait:
                return used
            case .headReceived(let head):
                if let note = context.handler.note(for: head) { head.attach(note) }
                switch context.handler.headReceived(head) {
                case .accept(let maximumBodyBytes):
                    connection.accept(maximumBodyBytes: maximumBodyBytes, now: context.now)
                case .reject(let response):
                    connection.reject(response, date: context.date, now: context.now)
                }
            case .requestReceived(let request):
                contentBudget -= request.body.count
                deliver(request, &context)
                // A few bytes of gzip can inflate to a thousand times as many, with each request.
                if contentBudget <= 0 {
                    isPaused = true
                    return used
                }
            case .refused(let refusal):
                let response = context.handler.errorResponse(
                    status: refusal.status,
                    detail: refusal.detail,
                    to: connection.request
                )
                connection.reply(toRefusal: response, date: context.date, now: context.now)
            case .cancelled:
                let since = connection.requestAt
                context.handler.observe(
                    .exchangeCancelled(
                        note: connection.request?.note,
                        nanoseconds: context.now > since ? context.now - since : 0
                    )
                )
                exchange?.cancel()
                exchange = nil
            }
        }
    }

    private mutating func deliver(_ request: HTTPRequest, _ context: inout LoopContext) {
        let settings = connection.settings
        let exchange = HTTPExchange(
            token: token,
            mailbox: context.mailbox,
            limits: settings.limits,
            compression: ReplyCompression(settings: settings.compression, accepted: request.head.acceptedCodings)
        )
        self.exchange = exchange
        contentHanded = 0
        contentReported = 0
        context.handler.requestReceived(request, exchange: exchange)
        exchange.takeParts { apply($0, &context) }
    }

    private mutating func apply(_ part: HTTPExchange.Part, _ context: inout LoopContext) {
        switch part {
        case .whole(let response):
            connection.respond(response, date: context.date, now: context.now)
            exchange = nil
        case .made(let make):
            let response = make()
            connection.respond(exchange?.coded(response) ?? response, date: context.date, now: context.now)
            exchange = nil
        case .start(let status, let headers, let label):
            connection.start(status: status, headers: headers, label: label, date: context.date, now: context.now)
        case .content(let content):
            contentHanded += content.count
            connection.send(content, now: context.now)
        case .finish:
            connection.finish(now: context.now)
            exchange = nil
        case .abort:
            connection.abort(now: context.now)
            exchange = nil
        }
    }

    // MARK: Output

    private mutating func flush(_ context: inout LoopContext) {
        while !connection.output.isEmpty, isWritable {
            switch Self.write(connection.output, to: &transport) {
            case .moved(let count, _):
                // The handler may have answered at once, and taken its time.
                context.lookAtClock()
                connection.wrote(count, now: context.now)
                // The kernel reports writability once, so a read that waits for it is retried too.
                if readNeeds == .writable {
                    readNeeds = .readable
                    isReadable = true
                }
            case .blocked(let needs):
                isWritable = false
                writeNeeds = needs
            case .failed, .endOfStream:
                isWritable = false
                connection.vanished()
                // Yields `cancelled` if an exchange was open.
                use(UnsafeRawBufferPointer(start: nil, count: 0), &context)
            }
        }
    }

    /// Static, because a closure that takes both from `self` would copy it.
    private static func write(_ output: borrowing OutputQueue, to transport: inout any Transport) -> Transfer {
        output.withVector { transport.write($0) }
    }

    /// Reports finished replies to the handler, and progress to the writer of a stream.
    private mutating func report(_ context: inout LoopContext) {
        while let record = connection.nextRecord(now: context.now) {
            context.handler.observe(.replyFinished(record))
        }
        if let name = connection.leftOutField {
            connection.leftOutField = nil
            context.handler.observe(.fieldLeftOut(name: name))
        }
        if let exchange, contentHanded > contentReported {
            // The output is mostly content; counting its framing as content errs on the safe side.
            let left = max(0, contentHanded - connection.output.count) - contentReported
            if left > 0 {
                contentReported += left
                exchange.contentLeft(left)
            }
        }
    }
}
