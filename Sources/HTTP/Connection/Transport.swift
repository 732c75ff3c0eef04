// How a connection's bytes cross its socket: plain, or through TLS (TLS/TLSTransport.swift). A transport may need the
// socket to become writable before it can read, and readable before it can write, so a blocked transfer says what it
// waits for.

import CLinux
import Glibc

/// The readiness a transfer waits for.
enum Readiness {
    case readable
    case writable
}

/// The outcome of a transfer.
enum Transfer: Equatable {
    /// Bytes were moved. `isDrained`, after a read: the socket has no more for now.
    case moved(Int, isDrained: Bool)
    case endOfStream
    case blocked(until: Readiness)
    /// The connection is broken.
    case failed
}

/// The outcome of an attempt at the handshake.
enum Handshake {
    /// The stream is open.
    case finished(isResumed: Bool)
    /// Try again when the socket's readiness changes.
    case blocked
    /// The stream will not open. `detail` says why, for a log. From here on the transport moves plain bytes.
    case failed(TLSHandshakeFailure, detail: String)
}

/// A non-blocking byte stream over one socket, which it owns.
protocol Transport {
    /// The client has closed its side of the socket.
    var peerHasClosed: Bool { get set }
    /// A handshake must finish before anything is read or written.
    var needsHandshake: Bool { get }
    /// Continues the handshake.
    mutating func shakeHands() -> Handshake
    /// Reads available bytes, at most as many as the buffer holds. The buffer is not empty.
    mutating func read(into buffer: UnsafeMutableRawBufferPointer) -> Transfer
    /// Writes as much of the buffers as the socket takes. There is at least one buffer, and none is empty.
    mutating func write(_ vector: UnsafeBufferPointer<iovec>) -> Transfer
    /// Tells the client that nothing more will be written. If not `isOrderly` and the transport supports it, the client
    /// learns that its data is incomplete.
    mutating func shutdownWrite(isOrderly: Bool)
    /// The kernel reported the socket. Finishes what `shutdownWrite` had to leave undone.
    mutating func becameReady(readable: Bool, writable: Bool)
    /// Closes the socket. The transport must not be used afterwards. `isOrderly` as for `shutdownWrite`.
    mutating func close(isOrderly: Bool)
}

/// A plain socket.
struct SocketTransport: Transport {
    let fd: Int32
    /// If true, a short read does not mean that the socket is drained: the end of the stream is still in it.
    var peerHasClosed = false
    var needsHandshake: Bool { false }

    mutating func shakeHands() -> Handshake { .finished(isResumed: false) }

    mutating func read(into buffer: UnsafeMutableRawBufferPointer) -> Transfer {
        switch Syscall.read(fd, into: buffer) {
        case .value(0): .endOfStream
        // epoll(7): with edge triggering, a read that does not fill the buffer has emptied a stream socket.
        case .value(let count): .moved(count, isDrained: count < buffer.count && !peerHasClosed)
        case .wouldBlock: .blocked(until: .readable)
        case .failed: .failed
        }
    }

    mutating func write(_ vector: UnsafeBufferPointer<iovec>) -> Transfer {
        switch Syscall.send(fd, vector) {
        case .value(let count): .moved(count, isDrained: false)
        case .wouldBlock: .blocked(until: .writable)
        case .failed: .failed
        }
    }

    mutating func shutdownWrite(isOrderly: Bool) { Syscall.shutdownWrite(fd) }

    mutating func becameReady(readable: Bool, writable: Bool) {}

    mutating func close(isOrderly: Bool) { Syscall.close(fd) }
}
