// All system calls on the request path: EINTR is retried, EAGAIN is a value rather than an error, and errno is read
// before anything else can run. Set-up calls are in ListenSocket.swift.

import CLinux
import Glibc

/// The outcome of a call that moves bytes or creates a descriptor.
package enum SyscallResult: Equatable {
    /// The non-negative value that the call returned.
    case value(Int)
    /// Nothing available now (EAGAIN).
    case wouldBlock
    /// errno.
    case failed(Int32)
}

/// System calls, wrapped.
package enum Syscall {
    /// Repeats `call` while it is interrupted by a signal.
    @inline(__always)
    package static func retrying(_ call: () -> Int) -> SyscallResult {
        while true {
            let value = call()
            if value >= 0 { return .value(value) }
            let code = errno
            if code == EINTR { continue }
            return code == EAGAIN || code == EWOULDBLOCK ? .wouldBlock : .failed(code)
        }
    }

    package static func read(_ fd: Int32, into buffer: UnsafeMutableRawBufferPointer) -> SyscallResult {
        retrying { Glibc.read(fd, buffer.baseAddress, buffer.count) }
    }

    /// Sends without SIGPIPE.
    static func send(_ fd: Int32, _ vector: UnsafeBufferPointer<iovec>) -> SyscallResult {
        retrying { CLinux_send_vector(fd, vector.baseAddress, Int32(vector.count)) }
    }

    /// Sends without SIGPIPE.
    package static func send(_ fd: Int32, _ bytes: UnsafeRawBufferPointer) -> SyscallResult {
        var piece = iovec(iov_base: UnsafeMutableRawPointer(mutating: bytes.baseAddress), iov_len: bytes.count)
        return withUnsafePointer(to: &piece) { send(fd, UnsafeBufferPointer(start: $0, count: 1)) }
    }

    static func accept(_ fd: Int32) -> (result: SyscallResult, peer: PeerAddress) {
        var storage = sockaddr_storage()
        let result = retrying {
            var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
            return Int(CLinux_accept(fd, &storage, &length))
        }
        return (result, PeerAddress(storage))
    }

    static func shutdownWrite(_ fd: Int32) {
        // Fails only if the connection has already ended, which the next read reports.
        _ = shutdown(fd, Int32(SHUT_WR))
    }

    /// Makes closing a TCP socket reset its connection (SO_LINGER of no time, socket(7)). A UNIX socket has no resets.
    static func resetOnClose(_ fd: Int32) {
        var option = linger(l_onoff: 1, l_linger: 0)
        // Fails only on descriptors that are not sockets.
        _ = setsockopt(fd, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
    }

    /// close(2) is not retried: on Linux the descriptor is freed even if the call was interrupted.
    package static func close(_ fd: Int32) {
        _ = Glibc.close(fd)
    }

    /// Waits at most `milliseconds`. Returns the number of events written to `events`.
    static func waitForEvents(
        _ epoll: Int32,
        _ events: UnsafeMutableBufferPointer<CLinux_epoll_event>,
        milliseconds: Int32
    ) -> Int {
        let capacity = Int32(events.count)
        let result = retrying { Int(CLinux_epoll_wait(epoll, events.baseAddress, capacity, milliseconds)) }
        guard case .value(let count) = result else { return 0 }
        return count
    }

    /// Makes an eventfd readable.
    static func signal(_ eventDescriptor: Int32) {
        var one: UInt64 = 1
        _ = retrying { Glibc.write(eventDescriptor, &one, 8) }
    }

    /// Nanoseconds of CLOCK_MONOTONIC.
    package static func now() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec)
    }

    /// Seconds since the epoch.
    static func unixSeconds() -> Int { time(nil) }

    /// The system's message for an errno.
    package static func message(_ code: Int32) -> String {
        String(cString: strerror(code))
    }
}
