// A connection from this process to another server, on the loop whose requests need it, so that replies are handled on
// the same thread.

import CLinux
import Glibc

/// The user of a `LoopSocket`. Called on the loop.
package protocol LoopSocketUser: AnyObject {
    /// The connection is established, with TLS if requested.
    func socketOpened()
    /// Bytes have arrived; they are valid during the call.
    func socketReceived(_ bytes: UnsafeRawBufferPointer)
    /// The connection has ended or could not be made. Not called after `close`.
    func socketClosed(_ reason: String)
}

/// A connection to another server. Lives on one loop; no other thread touches it.
package final class LoopSocket {
    private enum Phase {
        case resolving
        case connecting
        case shakingHands
        case open
        case closed
    }

    /// Bytes read in one turn, so that a peer that never stops sending does not hold the loop.
    private static let readBudget = 4 << 20

    private unowned let sockets: LoopSockets
    private weak var user: (any LoopSocketUser)?
    private let tls: TLSClientContext?
    private let host: String
    private var phase = Phase.resolving
    private var transport: (any Transport)?
    private(set) var descriptor: Int32 = -1
    fileprivate(set) var token: UInt64 = 0
    private var output: [UInt8] = []
    /// Bytes of `output` that the socket has accepted.
    private var outputStart = 0
    private var isWritable = false
    fileprivate var isDirty = false

    fileprivate init(_ sockets: LoopSockets, host: String, tls: TLSClientContext?, user: any LoopSocketUser) {
        self.sockets = sockets
        self.host = host
        self.tls = tls
        self.user = user
    }

    deinit { if descriptor >= 0, phase != .closed { Syscall.close(descriptor) } }

    /// Bytes that the socket has not accepted.
    package var unsentCount: Int { output.count - outputStart }

    /// Sends bytes at the end of the loop's turn, together with everything else sent in that turn.
    package func send(_ bytes: some Collection<UInt8>) {
        guard phase != .closed else { return }
        output.append(contentsOf: bytes)
        markDirty()
    }

    private func markDirty() {
        guard !isDirty else { return }
        isDirty = true
        sockets.dirty.append(self)
    }

    /// Closes the connection without calling the user.
    package func close() {
        guard phase != .closed else { return }
        phase = .closed
        sockets.remove(self)
        if transport != nil { transport?.close(isOrderly: true) } else if descriptor >= 0 { Syscall.close(descriptor) }
        transport = nil
        output = []
        outputStart = 0
    }

    fileprivate func fail(_ reason: String) {
        guard phase != .closed else { return }
        close()
        user?.socketClosed(reason)
    }

    // MARK: Connecting

    /// Connects to the first address that the kernel accepts.
    fileprivate func connect(to addresses: [SocketAddress]) {
        guard phase == .resolving else { return }
        var reason = "has no address"
        for address in addresses {
            let descriptor = CLinux_stream_socket(address.family)
            guard descriptor >= 0 else {
                reason = Syscall.message(errno)
                continue
            }
            _ = CLinux_set_no_delay(descriptor)
            let result = Syscall.retrying { address.withSockaddr { Int(Glibc.connect(descriptor, $0, $1)) } }
            if case .failed(let code) = result, code != EINPROGRESS {
                reason = Syscall.message(code)
                Syscall.close(descriptor)
                continue
            }
            self.descriptor = descriptor
            phase = .connecting
            guard sockets.add(self) else { return fail("cannot be watched: \(Syscall.message(errno))") }
            return
        }
        fail("cannot be reached: \(reason)")
    }

    /// The kernel has reported the socket.
    fileprivate func ready(_ events: UInt32) {
        let failed = events & (CLinux_EPOLLHUP | CLinux_EPOLLERR) != 0
        let writable = events & CLinux_EPOLLOUT != 0 || failed
        if writable { isWritable = true }
        if phase == .connecting {
            guard writable else { return }
            var code: Int32 = 0
            var length = socklen_t(MemoryLayout<Int32>.size)
            _ = getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &code, &length)
            guard code == 0 else { return fail("cannot be reached: \(Syscall.message(code))") }
            guard begin() else { return fail("cannot be reached: there is not enough memory for TLS") }
        }
        if events & CLinux_EPOLLRDHUP != 0 || failed { transport?.peerHasClosed = true }
        transport?.becameReady(readable: events & CLinux_EPOLLIN != 0 || failed, writable: writable)
        if phase == .shakingHands { shakeHands() }
        if phase == .open { read() }
        if phase == .open, unsentCount > 0 { markDirty() }
    }

    /// False if there is no memory for TLS.
    private func begin() -> Bool {
        guard let tls else {
            transport = SocketTransport(fd: descriptor)
            open()
            return true
        }
        guard let secure = TLSTransport(fd: descriptor, client: tls, host: host) else { return false }
        transport = secure
        phase = .shakingHands
        return true
    }

    private func shakeHands() {
        switch transport?.shakeHands() {
        case .finished: open()
        case .failed(_, let detail): fail("refuses TLS: \(detail)")
        case .blocked, nil: break
        }
    }

    private func open() {
        phase = .open
        user?.socketOpened()
    }

    // MARK: Bytes

    private func read() {
        var budget = Self.readBudget
        while phase == .open, budget > 0 {
            let buffer = sockets.readBuffer
            switch transport?.read(into: buffer.bytes) {
            case .moved(let count, let isDrained):
                budget -= count
                user?.socketReceived(UnsafeRawBufferPointer(rebasing: buffer.bytes[..<count]))
                if isDrained { return }
            case .endOfStream: return fail("closed the connection")
            case .failed: return fail("broke the connection")
            case .blocked, nil: return
            }
        }
        // epoll reports only changes here, so the rest is read in a later turn.
        if phase == .open { sockets.unfinished.append(self) }
    }

    /// Reads what is available without waiting for an event.
    package func readNow() { if phase == .open { read() } }

    /// Writes as much of the output to the socket as it accepts.
    fileprivate func flush() {
        isDirty = false
        while phase == .open, isWritable, unsentCount > 0 {
            let result = output.withUnsafeMutableBytes { bytes in
                let entry = iovec(
                    iov_base: bytes.baseAddress.map { $0 + outputStart },
                    iov_len: bytes.count - outputStart
                )
                return withUnsafePointer(to: entry) { transport?.write(UnsafeBufferPointer(start: $0, count: 1)) }
            }
            switch result {
            case .moved(let count, _): outputStart += count
            case .blocked(let readiness):
                // A write that waits for readability is retried when the next bytes arrive.
                if readiness == .writable { isWritable = false }
                return
            case .endOfStream, .failed, nil: return fail("broke the connection")
            }
        }
        if unsentCount == 0 {
            output.removeAll(keepingCapacity: output.capacity <= 1 << 20)
            outputStart = 0
        }
    }
}

/// Anything other than a connection that lives on a loop and has work at certain times. Called on the loop.
package protocol LoopResident: AnyObject {
    /// The latest time to call `timePassed`, in nanoseconds of the monotonic clock; nil if it need not be called.
    var nextDue: UInt64? { get }
    func timePassed(_ now: UInt64)
    /// The loop ends; its sockets close after this.
    func loopEnded()
}

/// The sockets of one loop to other servers. Only the loop's thread touches it.
package final class LoopSockets {
    /// Generations of these sockets have this bit, and those of clients' connections do not.
    static let generationBit: UInt32 = 1 << 31

    private let epoll: Int32
    fileprivate let readBuffer: ReadBuffer
    private var generation: UInt32 = 0
    private var table: [UInt64: LoopSocket] = [:]
    /// Sockets with output that has not been passed to the kernel.
    fileprivate var dirty: [LoopSocket] = []
    /// Sockets with more to read than one turn allows.
    fileprivate var unfinished: [LoopSocket] = []
    private var residents: [any LoopResident] = []
    private let handle: LoopHandle

    init(epoll: Int32, readBuffer: ReadBuffer, handle: LoopHandle) {
        self.epoll = epoll
        self.readBuffer = readBuffer
        self.handle = handle
    }

    /// Keeps a resident until the loop ends.
    package func add(_ resident: any LoopResident) { residents.append(resident) }

    /// Starts a connection. Every call looks its name up anew, on another thread, because a server's address may
    /// change.
    ///
    /// - Parameter host: a name or a numeric address; with TLS, the certificate must be for it.
    package func connect(
        host: String,
        port: UInt16,
        tls: TLSClientContext?,
        user: any LoopSocketUser
    ) -> LoopSocket {
        let socket = LoopSocket(self, host: host, tls: tls, user: user)
        generation = generation == Self.generationBit - 1 ? 1 : generation + 1
        let number = UInt64(generation)
        resolving[number] = socket
        let numeric = SocketAddress(host: host, port: port)
        if let numeric, host != "*" {
            // In a separate turn, so that the caller has the socket before the callback.
            handle.run { $0.resolved(number, [numeric]) }
        } else {
            HostName.lookUp(host, port) { [handle] addresses in handle.run { $0.resolved(number, addresses) } }
        }
        return socket
    }

    /// Sockets whose address is being looked up, by number.
    private var resolving: [UInt64: LoopSocket] = [:]

    private func resolved(_ number: UInt64, _ addresses: [SocketAddress]) {
        resolving.removeValue(forKey: number)?.connect(to: addresses)
    }

    fileprivate func add(_ socket: LoopSocket) -> Bool {
        generation = generation == Self.generationBit - 1 ? 1 : generation + 1
        let token = UInt64(generation | Self.generationBit) << 32 | UInt64(UInt32(bitPattern: socket.descriptor))
        socket.token = token
        let interest = CLinux_EPOLLIN | CLinux_EPOLLOUT | CLinux_EPOLLRDHUP | CLinux_EPOLLET
        guard CLinux_epoll_add(epoll, socket.descriptor, interest, token) == 0 else { return false }
        table[token] = socket
        return true
    }

    fileprivate func remove(_ socket: LoopSocket) { table.removeValue(forKey: socket.token) }

    // MARK: For the loop

    func handle(_ event: CLinux_epoll_event) { table[event.token]?.ready(event.events) }

    /// Whether the loop must take another turn without waiting for an event.
    var wantsTurn: Bool { !unfinished.isEmpty }

    /// When `advance` must be called at the latest.
    var nextDue: UInt64? { residents.lazy.compactMap(\.nextDue).min() }

    func advance(to now: UInt64) {
        if !unfinished.isEmpty {
            var sockets: [LoopSocket] = []
            swap(&sockets, &unfinished)
            for socket in sockets { socket.readNow() }
        }
        for resident in residents where (resident.nextDue ?? .max) <= now { resident.timePassed(now) }
    }

    /// Passes to the kernel everything sent in this turn.
    func flush() {
        while !dirty.isEmpty {
            var sockets: [LoopSocket] = []
            swap(&sockets, &dirty)
            for socket in sockets { socket.flush() }
        }
    }

    func end() {
        for resident in residents { resident.loopEnded() }
        residents = []
        for socket in Array(table.values) { socket.close() }
        for socket in resolving.values { socket.close() }
        resolving = [:]
    }
}
