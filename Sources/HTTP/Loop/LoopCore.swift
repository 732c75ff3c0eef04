// The work of one event loop: its epoll set, listeners, connections and timers. A struct that its loop enters once for
// each wake-up, so that everything inside belongs to one thread. EventLoop.swift wakes it.

import CLinux
import Glibc

/// The state of one event loop.
struct LoopCore {
    /// Connections accepted from one listener per turn.
    private static let acceptBudget = 64
    /// Turns of accepting spent on a backlog before its listener closes: more than any backlog holds.
    private static let backlogRounds = 1_024
    /// How long a listener pauses when accepting fails for lack of memory or descriptors.
    private static let restNanoseconds: UInt64 = 100_000_000
    private static let readBufferBytes = 65_536
    /// The generation of descriptors that are not connections.
    private static let ownGeneration: UInt32 = 0

    private let epoll: Int32
    /// Connections to other servers.
    private let sockets: LoopSockets
    private var context: LoopContext
    private let counter: ConnectionCounter
    /// Certificate and key of TCP connections; nil: plain HTTP.
    private let tls: TLSCredentials?
    private var listeners: [ListenSocket]
    /// When the listeners return to the epoll set; nil: they are in it.
    private var listenersRestUntil: UInt64?
    /// A spare descriptor. When none are left it is closed, so that a connection can be accepted and dropped.
    private var reserve: Int32

    /// Connections by descriptor.
    private var channels: [Channel?] = []
    private var channelCount = 0
    private var generation = LoopCore.ownGeneration
    private var wheel: TimerWheel
    /// Connections with more to read than one turn allows.
    private var turns: [Channel] = []

    private let events: UnsafeMutableBufferPointer<CLinux_epoll_event>
    private var messages: [LoopMessage] = []
    private var due: [(token: UInt64, tick: UInt64)] = []
    private var isEnding = false
    /// Draining or stopping is complete; nothing is left to do.
    private(set) var isOver = false

    init(
        settings: ConnectionSettings,
        handler: any HTTPHandler,
        mailbox: Mailbox,
        handle: LoopHandle,
        counter: ConnectionCounter,
        tls: TLSCredentials?
    ) throws(HTTPError) {
        epoll = CLinux_epoll_create()
        guard epoll >= 0 else {
            throw HTTPError(.system, "Cannot create an epoll descriptor: \(Syscall.message(errno)).")
        }
        let now = Syscall.now()
        let readBuffer = ReadBuffer(byteCount: LoopCore.readBufferBytes)
        sockets = LoopSockets(epoll: epoll, readBuffer: readBuffer, handle: handle)
        context = LoopContext(
            settings: settings,
            handler: handler,
            mailbox: mailbox,
            readBuffer: readBuffer,
            date: DateField(unixSeconds: Syscall.unixSeconds()),
            now: now
        )
        self.counter = counter
        self.tls = tls
        listeners = []
        reserve = Glibc.open("/dev/null", O_RDONLY | O_CLOEXEC)
        wheel = TimerWheel(now: now)
        events = .allocate(capacity: Int(CLinux_epoll_batch))
        guard watch(mailbox.eventDescriptor, CLinux_EPOLLIN | CLinux_EPOLLET) else {
            let error = HTTPError(.system, "An eventfd cannot be watched: \(Syscall.message(errno)).")
            tearDown()
            throw error
        }
    }

    /// The descriptor that becomes readable when there is work.
    var descriptor: Int32 { epoll }

    /// When `run` must be called at the latest; nil if no time-out is pending.
    var nextDue: UInt64? { [listenersRestUntil, wheel.nextDue, sockets.nextDue].compactMap(\.self).min() }

    /// Begins to accept.
    mutating func listen(on sockets: [ListenSocket]) {
        listeners = sockets
        watchListeners()
    }

    /// Frees everything the loop holds. The loop must not be used afterwards.
    mutating func tearDown() {
        for listener in listeners { Syscall.close(listener.fd) }
        listeners = []
        // Work requested by other targets still starts, so that they learn that it failed.
        for case .work(let work) in context.mailbox.close() { work(sockets) }
        sockets.end()
        if reserve >= 0 { Syscall.close(reserve) }
        Syscall.close(epoll)
        events.deallocate()
    }

    // MARK: Running

    /// Works until nothing is left to do and nothing has arrived for `patience` milliseconds. On return the mailbox is
    /// asleep, so a post makes `descriptor` readable.
    mutating func run(patience: Int32) {
        context.mailbox.wakeUp()
        while true {
            context.lookAtClock()
            context.date.update(unixSeconds: Syscall.unixSeconds())
            readMail()
            serveTurns()
            advanceTimers()
            if isEnding, channelCount == 0 {
                isOver = true
                return
            }
            sockets.flush()
            let sleeps = turns.isEmpty && !sockets.wantsTurn && context.mailbox.fallAsleep()
            let count = Syscall.waitForEvents(epoll, events, milliseconds: sleeps ? patience : 0)
            if sleeps, count == 0 { return }
            context.mailbox.wakeUp()
            context.lookAtClock()
            for index in 0..<count { handle(events[index]) }
        }
    }

    private mutating func handle(_ event: CLinux_epoll_event) {
        if let channel = channel(event.token) {
            channel.state.socketReady(event.events, &context)
            settle(channel)
        } else if UInt32(event.token >> 32) & LoopSockets.generationBit != 0 {
            sockets.handle(event)
        } else if UInt32(event.token >> 32) == LoopCore.ownGeneration {
            let fd = Int32(truncatingIfNeeded: event.token)
            if let listener = listeners.first(where: { $0.fd == fd }) { accept(listener) }
        }
        // Otherwise the event belongs to a connection that was closed earlier in this batch.
    }

    private mutating func readMail() {
        context.mailbox.take(into: &messages)
        guard !messages.isEmpty else { return }
        for message in messages {
            switch message {
            case .reply(let exchange):
                guard let channel = channel(exchange.token) else { continue }
                channel.state.pickUpReply(of: exchange, &context)
                settle(channel)
            case .work(let work):
                work(sockets)
            case .drain:
                drain()
            case .stop:
                stop()
            }
        }
        messages.removeAll(keepingCapacity: true)
    }

    private mutating func serveTurns() {
        guard !turns.isEmpty else { return }
        var served: [Channel] = []
        swap(&served, &turns)
        for channel in served where self.channel(channel.token) != nil {
            channel.state.read(&context)
            settle(channel)
        }
    }

    private mutating func advanceTimers() {
        if let rest = listenersRestUntil, context.now >= rest {
            listenersRestUntil = nil
            watchListeners()
        }
        sockets.advance(to: context.now)
        wheel.advance(to: context.now, into: &due)
        guard !due.isEmpty else { return }
        for (token, tick) in due {
            guard let channel = channel(token), channel.scheduledTick == tick else { continue }
            channel.scheduledTick = .max
            if let deadline = channel.state.deadline, deadline <= context.now {
                channel.state.timerFired(&context)
            }
            settle(channel)
        }
        due.removeAll(keepingCapacity: true)
    }

    /// Called after every event of a connection: closes it if it has ended, schedules its deadline, queues it for
    /// another turn.
    private mutating func settle(_ channel: Channel) {
        if channel.state.end(&context) {
            close(channel)
            return
        }
        if channel.state.wantsTurn { turns.append(channel) }
        if let deadline = channel.state.deadline {
            let tick = wheel.tick(for: deadline)
            if tick < channel.scheduledTick {
                channel.scheduledTick = tick
                wheel.insert(channel.token, at: tick)
            }
        }
    }

    // MARK: Connections

    private func channel(_ token: UInt64) -> Channel? {
        let fd = Int(UInt32(truncatingIfNeeded: token))
        guard fd < channels.count, let channel = channels[fd], channel.token == token else { return nil }
        return channel
    }

    /// Watches a descriptor that is not a connection. False if the kernel has no memory for it.
    private func watch(_ fd: Int32, _ events: UInt32) -> Bool {
        CLinux_epoll_add(epoll, fd, events, UInt64(UInt32(bitPattern: fd))) == 0
    }

    /// Watches the listeners. If that fails, all of them pause and are watched again later.
    private mutating func watchListeners() {
        for listener in listeners where !watch(listener.fd, CLinux_EPOLLIN) {
            restListeners()
            return
        }
    }

    /// Accepts waiting connections, within the budget. True if there may be more.
    @discardableResult
    private mutating func accept(_ listener: ListenSocket) -> Bool {
        for _ in 0..<LoopCore.acceptBudget {
            let (result, peer) = Syscall.accept(listener.fd)
            switch result {
            case .value(let fd):
                open(Int32(truncatingIfNeeded: fd), peer: peer)
            case .wouldBlock:
                return false
            case .failed(let code):
                context.handler.observe(.acceptFailed(errno: code))
                switch code {
                case EMFILE, ENFILE:
                    if !shedConnection(of: listener) { restListeners() }
                    return false
                case ENOBUFS, ENOMEM:
                    restListeners()
                    return false
                default:
                    // The client disconnected before it was accepted (ECONNABORTED and network errors, accept(2)).
                    continue
                }
            }
        }
        return true
    }

    /// Out of descriptors: gives up the reserve to accept and close one connection, which would otherwise stay in the
    /// backlog and keep the loop busy. False if there was no reserve.
    private mutating func shedConnection(of listener: ListenSocket) -> Bool {
        guard reserve >= 0 else {
            reserve = Glibc.open("/dev/null", O_RDONLY | O_CLOEXEC)
            return false
        }
        Syscall.close(reserve)
        if case .value(let fd) = Syscall.accept(listener.fd).result { Syscall.close(Int32(truncatingIfNeeded: fd)) }
        reserve = Glibc.open("/dev/null", O_RDONLY | O_CLOEXEC)
        return true
    }

    private mutating func restListeners() {
        listenersRestUntil = context.now + LoopCore.restNanoseconds
        for listener in listeners { _ = CLinux_epoll_remove(epoll, listener.fd) }
    }

    private mutating func open(_ fd: Int32, peer: PeerAddress) {
        let admission = counter.admit(peer)
        if case .dropped = admission {
            Syscall.close(fd)
            context.handler.observe(.connectionRefused(wasDropped: true))
            return
        }
        generation = generation == LoopSockets.generationBit - 1 ? LoopCore.ownGeneration + 1 : generation + 1
        let token = UInt64(generation) << 32 | UInt64(UInt32(bitPattern: fd))
        let interest = CLinux_EPOLLIN | CLinux_EPOLLOUT | CLinux_EPOLLRDHUP | CLinux_EPOLLET
        guard let transport = transport(fd, peer), CLinux_epoll_add(epoll, fd, interest, token) == 0 else {
            Syscall.close(fd)
            counter.release(peer)
            context.handler.observe(.connectionRefused(wasDropped: true))
            return
        }
        var connection = Connection(settings: context.settings, peer: peer, now: context.now)
        if case .refused = admission {
            context.handler.observe(.connectionRefused(wasDropped: false))
            connection.refuse(Refusal(503, "The server has reached its limit of connections."))
        }
        let state = ChannelState(token: token, transport: transport, connection: connection, now: context.now)
        let channel = Channel(token: token, peer: peer, state: state)
        let index = Int(fd)
        if index >= channels.count {
            channels.append(contentsOf: repeatElement(nil, count: max(64, index + 1 - channels.count)))
        }
        channels[index] = channel
        channelCount += 1
        context.handler.observe(.connectionOpened)
        if case .refused = admission { channel.state.run(&context) }
        settle(channel)
    }

    /// TLS is for TCP only; the file system decides who may open a UNIX socket. nil if there is no memory.
    private func transport(_ fd: Int32, _ peer: PeerAddress) -> (any Transport)? {
        guard let tls, peer != .local else { return SocketTransport(fd: fd) }
        return TLSTransport(fd: fd, context: tls.current)
    }

    /// The socket is closed already.
    private mutating func close(_ channel: Channel) {
        channels[Int(UInt32(truncatingIfNeeded: channel.token))] = nil
        channelCount -= 1
        counter.release(channel.peer)
        context.handler.observe(.connectionClosed)
    }

    // MARK: Ending

    private mutating func drain() {
        guard !isEnding else { return }
        // Closing the listener would reset connections in its backlog, so these are accepted and answered first.
        // Connections of a handed socket wait for its next owner.
        for listener in listeners where !listener.isHanded {
            for _ in 0..<LoopCore.backlogRounds {
                guard accept(listener) else { break }
            }
        }
        closeListeners()
        for case let channel? in channels {
            channel.state.drain(&context)
            settle(channel)
        }
    }

    private mutating func stop() {
        closeListeners()
        for case let channel? in channels {
            channel.state.cut(&context)
            settle(channel)
        }
    }

    private mutating func closeListeners() {
        isEnding = true
        listenersRestUntil = nil
        for listener in listeners { Syscall.close(listener.fd) }
        listeners = []
    }
}
