// The one funnel for system calls: EINTR is retried, EAGAIN is a value and not an error, errno is read before anything
// else can run. Whatever these functions do not cover is set-up, in ListenSocket.swift.

import CLinux
import Glibc

/// What a call that moves octets or makes a descriptor came to.
package enum SyscallResult: Equatable {
    /// The non-negative value that the call returned.
    case value(Int)
    /// Nothing to be had now (EAGAIN).
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
        // Fails only if the connection is gone already, which the next read will tell.
        _ = shutdown(fd, Int32(SHUT_WR))
    }

    /// Makes closing a TCP socket reset its connection (SO_LINGER of no time, socket(7)). A UNIX socket has no resets.
    static func resetOnClose(_ fd: Int32) {
        var option = linger(l_onoff: 1, l_linger: 0)
        // Fails only on what is no socket.
        _ = setsockopt(fd, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
    }

    /// close(2) is not retried: on Linux the descriptor is gone even when it was interrupted.
    package static func close(_ fd: Int32) {
        _ = Glibc.close(fd)
    }

    /// The number of events written to `events`. Waits at most so many milliseconds.
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

    /// The kernel's words for an errno.
    package static func message(_ code: Int32) -> String {
        String(cString: strerror(code))
    }
}
