// One connection of a worker and the request on it.

internal import CLinux
internal import Glibc
internal import HTTP

/// A connection's socket, buffers and request. The worker drives it.
struct LoadConnection {
    enum State {
        /// No socket.
        case closed
        /// The socket is connecting; a request waits for it.
        case connecting
        /// Connected, without a request.
        case idle
        /// A request is being sent, or its reply awaited.
        case busy
    }

    /// What is recorded about a request.
    struct Request {
        /// Nil for requests of a replay.
        var visitor: Visitor?
        /// Whether it is an event sent in its own call.
        var isEvent: Bool
        /// Unique among the requests of a worker.
        var serial: Int
        /// When it was due, in nanoseconds since the start of the run, like the other times.
        var intended: UInt64
        /// When it was started.
        var begun: UInt64
        /// When it times out.
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
    /// Meaningful only while a request is in flight.
    var request = Request(
        visitor: nil,
        isEvent: false,
        serial: 0,
        intended: 0,
        begun: 0,
        timeout: 0
    )
    /// The request's bytes; those before `sent` have been handed to the system.
    var output: [UInt8] = []
    private var sent = 0
    private var parser = ReplyParser()
    /// The reply's content so far.
    private(set) var body: [UInt8] = []

    /// The status of the reply.
    var status: Int { parser.status }
    /// Whether another request may follow this reply: the whole request was sent and the server keeps the connection.
    var isReusable: Bool { parser.keepsAlive && sent == output.count }
    /// Whether the whole request has been handed to the system.
    var isSent: Bool { sent == output.count }

    /// Starts connecting. False, with errno set, if the system refuses; then nothing has changed.
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

    /// Closes the socket.
    mutating func close() {
        if socket >= 0 { Syscall.close(socket) }
        socket = -1
        state = .closed
    }

    /// The errno of the connection attempt; 0: connected.
    func connectError() -> Int32 {
        var code: Int32 = 0
        var length = socklen_t(MemoryLayout<Int32>.size)
        guard getsockopt(socket, SOL_SOCKET, SO_ERROR, &code, &length) == 0 else { return errno }
        return code
    }

    /// Resets the state for the new request in `output`.
    mutating func beginRequest() {
        sent = 0
        parser.reset()
        body.removeAll(keepingCapacity: true)
    }

    /// Sends as much of the rest as possible. Returns the bytes sent; nil if the connection is broken.
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

    /// Reads received bytes. `buffer` is scratch memory; `received` grows by the number of bytes.
    ///
    /// - Parameter isClosing: the server has closed its side, so read to the end.
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
                // epoll(7): a read that does not fill the buffer has emptied the socket, unless the stream ended.
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
                    // Bytes after the reply answer no open request.
                    return index == bytes.count ? .replied : .notHTTP
                }
            }
            return .waiting
        } catch {
            return .notHTTP
        }
    }
}
