// How a connection's octets get over its socket. The seam for TLS: a transport may need the socket to become writable
// before it can read on, and readable before it can write on, so a blocked transfer says what it waits for.

import CLinux
import Glibc

/// What a socket has to become before a transfer can go on.
enum Readiness {
    case readable
    case writable
}

/// What a transfer came to.
enum Transfer: Equatable {
    /// So many octets were moved; `isDrained` after a read: the socket has no more for now.
    case moved(Int, isDrained: Bool)
    case endOfStream
    case blocked(until: Readiness)
    /// The connection is broken.
    case failed
}

/// A non-blocking octet stream over one socket, which it owns.
protocol Transport {
    /// Reads what is there, up to the size of the buffer, which is not empty.
    mutating func read(into buffer: UnsafeMutableRawBufferPointer) -> Transfer
    /// Writes the buffers, of which there is at least one and none empty, as far as they go.
    mutating func write(_ vector: UnsafeBufferPointer<iovec>) -> Transfer
    /// Tells the client that nothing more will be written.
    mutating func shutdownWrite()
    /// Gives the socket back to the kernel. Nothing may be called after it.
    mutating func close()
}

/// The stream as it is.
struct SocketTransport: Transport {
    let fd: Int32
    /// The client has closed its side. A short read then does not mean that the socket is drained: the end is still in it.
    var peerHasClosed = false

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

    mutating func shutdownWrite() { Syscall.shutdownWrite(fd) }

    mutating func close() { Syscall.close(fd) }
}
