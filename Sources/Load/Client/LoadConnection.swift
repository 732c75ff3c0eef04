// One connection of a worker and the request that is on it.

internal import CLinux
internal import Glibc
internal import HTTP

/// A connection's socket, buffers and request. The worker decides what happens with it.
struct LoadConnection {
    enum State {
        /// There is no socket.
        case closed
        /// The socket connects, and a request waits for it.
        case connecting
        /// Connected, and without a request.
        case idle
        /// A request is being sent or its reply awaited.
        case busy
    }

    /// The facts that a request is remembered by.
    struct Request {
        /// Nil: it belongs to a replay.
        var visitor: Visitor?
        /// An event that was sent for itself.
        var isEvent: Bool
        /// Different for every request of a worker.
        var serial: Int
        /// When it was due: nanoseconds since the start of the run, like the other times.
        var intended: UInt64
        /// When it was.
        var begun: UInt64
        /// When it is given up.
        var timeout: UInt64
    }

    /// The result of reading.
    enum Progress: Equatable {
        /// Nothing more to read for now.
        case waiting
        /// The reply is complete.
        case replied
        /// The server closed or reset the connection.
        case lost
        case notHTTP
    }

    var state = State.closed
    private(set) var socket: Int32 = -1
    /// Distinguishes it from earlier sockets at this index, whose events may still arrive.
    private(set) var generation: UInt32 = 0
    /// Meaningless while no request is in flight.
    var request = Request(
        visitor: nil,
        isEvent: false,
        serial: 0,
        intended: 0,
        begun: 0,
        timeout: 0
    )
    /// The request; bytes below `sent` are with the system.
    var output: [UInt8] = []
    private var sent = 0
    private var parser = ReplyParser()
    /// The reply's content so far.
    private(set) var body: [UInt8] = []

    /// The status of the reply.
    var status: Int { parser.status }
    /// Whether another request may follow this reply: the whole request has been taken and nothing more was sent back.
    var isReusable: Bool { parser.keepsAlive && sent == output.count }
    /// The whole request is with the system.
    var isSent: Bool { sent == output.count }

    /// Begins to connect. False, with errno, if the system refuses; then nothing has changed.
    mutating func open(_ address: SocketAddress, epoll: Int32, slot: Int) -> Bool {
        let fd = CLinux_stream_socket(address.family)
        guard fd >= 0 else { return false }
        if address.family != CLinux_AF_UNIX { _ = CLinux_set_no_delay(fd) }
        generation &+= 1
        let connected = address.withSockaddr { connect(fd, $0, $1) }
        // A UNIX socket that cannot connect immediately returns EAGAIN: the server's backlog is full.
        guard connected == 0 || errno == EINPROGRESS,
            CLinux_epoll_add(
                epoll,
                fd,
                CLinux_EPOLLIN | CLinux_EPOLLOUT | CLinux_EPOLLRDHUP | CLinux_EPOLLET,
                UInt64(generation) << 32 | UInt64(slot)
            ) == 0
        else {
            let code = errno
            Syscall.close(fd)
            errno = code
            return false
        }
        socket = fd
        state = .connecting
        parser = ReplyParser()
        return true
    }

    /// Gives the socket back.
    mutating func close() {
        if socket >= 0 { Syscall.close(socket) }
        socket = -1
        state = .closed
    }

    /// The errno of connecting; 0: connected.
    func connectError() -> Int32 {
        var code: Int32 = 0
        var length = socklen_t(MemoryLayout<Int32>.size)
        guard getsockopt(socket, SOL_SOCKET, SO_ERROR, &code, &length) == 0 else { return errno }
        return code
    }

    /// A new request is in `output`.
    mutating func beginRequest() {
        sent = 0
        parser.reset()
        body.removeAll(keepingCapacity: true)
    }

    /// Sends what is left, as far as it goes. The bytes taken; nil if the connection is broken.
    mutating func send() -> Int? {
        let before = sent
        while sent < output.count {
            let result = output.withUnsafeBytes {
                Syscall.send(socket, UnsafeRawBufferPointer(rebasing: $0[sent...]))
            }
            switch result {
            case .value(let count): sent += count
            case .wouldBlock: return sent - before
            case .failed: return nil
            }
        }
        return sent - before
    }

    /// Reads received bytes. `buffer` is scratch memory; `received` is increased by the bytes.
    ///
    /// - Parameter isClosing: the server has closed its side, so reading continues to the end.
    mutating func receive(
        _ buffer: UnsafeMutableRawBufferPointer,
        isClosing: Bool,
        received: inout Int
    ) -> Progress {
        while true {
            switch Syscall.read(socket, into: buffer) {
            case .wouldBlock: return .waiting
            case .failed: return .lost
            case .value(0): return parser.endOfStream() ? .replied : .lost
            case .value(let count):
                received += count
                let bytes = UnsafeRawBufferPointer(rebasing: buffer[..<count])
                let progress = take(Span(_unsafeBytes: bytes))
                if progress != .waiting { return progress }
                // epoll(7): a read that does not fill the buffer has emptied the socket, unless its end is in it, too.
                if count < buffer.count, !isClosing { return .waiting }
            }
        }
    }

    private mutating func take(_ bytes: Span<UInt8>) -> Progress {
        var index = 0
        do throws(ReplyFault) {
            while index < bytes.count {
                let rest = bytes.extracting(index..<bytes.count)
                let step = try parser.parse(rest)
                if !step.content.isEmpty {
                    rest.extracting(step.content).withUnsafeBufferPointer { body.append(contentsOf: $0) }
                }
                index += step.consumed
                if step.isComplete {
                    // No request is open that could follow.
                    return index == bytes.count ? .replied : .notHTTP
                }
            }
            return .waiting
        } catch {
            return .notHTTP
        }
    }
}
