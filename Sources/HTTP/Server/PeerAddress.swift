// The address of a connection's client, created once when the connection is accepted.

import CLinux
import Glibc

/// The address of a client.
package struct PeerAddress: Sendable, Hashable, CustomStringConvertible {
    private enum Host: Sendable, Hashable {
        /// In host byte order.
        case ipv4(UInt32)
        /// The first and the last eight bytes, in host byte order.
        case ipv6(UInt64, UInt64)
        /// A UNIX socket: some process on this machine.
        case local
    }

    private let host: Host
    /// The TCP port; 0 for a UNIX socket.
    package let port: UInt16

    /// A client on a UNIX socket.
    package static let local = PeerAddress(host: .local, port: 0)

    private init(host: Host, port: UInt16) {
        self.host = host
        self.port = port
    }

    /// An IPv4 client; `address` in host byte order (127.0.0.1 is 0x7F00_0001).
    package init(ipv4 address: UInt32, port: UInt16) {
        self.init(host: .ipv4(address), port: port)
    }

    /// An IPv6 client; the two halves of its address in host byte order. An IPv4-mapped address becomes that IPv4 one,
    /// so that dual-stack and plain listeners describe a client in the same way.
    package init(ipv6 high: UInt64, _ low: UInt64, port: UInt16) {
        if high == 0, low >> 32 == 0xFFFF {
            self.init(host: .ipv4(UInt32(truncatingIfNeeded: low)), port: port)
        } else {
            self.init(host: .ipv6(high, low), port: port)
        }
    }

    /// A numeric IPv4 address in canonical form or an IPv6 address without brackets, with port 0; nil for anything
    /// else.
    package init?(numericHost text: String) {
        guard text != "localhost", text != "*", let address = SocketAddress(host: text, port: 0) else { return nil }
        self.init(address.storage)
    }

    /// The address that accept(2) or getsockname(2) wrote.
    init(_ storage: sockaddr_storage) {
        switch Int32(storage.ss_family) {
        case CLinux_AF_INET:
            let address = withUnsafeBytes(of: storage) { $0.loadUnaligned(as: sockaddr_in.self) }
            self.init(ipv4: UInt32(bigEndian: address.sin_addr.s_addr), port: UInt16(bigEndian: address.sin_port))
        case CLinux_AF_INET6:
            let address = withUnsafeBytes(of: storage) { $0.loadUnaligned(as: sockaddr_in6.self) }
            let (high, low) = withUnsafeBytes(of: address.sin6_addr) {
                ($0.loadUnaligned(as: UInt64.self), $0.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
            }
            let port = UInt16(bigEndian: address.sin6_port)
            self.init(ipv6: UInt64(bigEndian: high), UInt64(bigEndian: low), port: port)
        default:
            self = .local
        }
    }

    /// On this machine: 127.0.0.0/8, ::1, or a UNIX socket.
    package var isLoopback: Bool {
        switch host {
        case .ipv4(let address): address >> 24 == 127
        case .ipv6(let high, let low): high == 0 && low == 1
        case .local: true
        }
    }

    /// The key that connections are counted by: the IPv4 address, or the /64 of an IPv6 subscriber; nil for UNIX
    /// sockets, whose clients are not distinguished.
    var countingKey: UInt64? {
        switch host {
        // IPv6 prefixes that begin with FFFF are multicast, which no client has, so the keys do not collide.
        case .ipv4(let address): 0xFFFF_FFFF_0000_0000 | UInt64(address)
        case .ipv6(let high, _): high
        case .local: nil
        }
    }

    /// "192.0.2.1:80", "[2001:db8::1]:80" or "unix".
    package var description: String {
        switch host {
        case .ipv4(let address):
            String(unsafeUninitializedCapacity: 21) { PeerAddress.write(address, port: port, to: $0, at: 0) }
        case .ipv6: "[\(hostText)]:\(port)"
        case .local: hostText
        }
    }

    /// `description` without port and brackets.
    package var hostText: String {
        switch host {
        case .ipv4(let address):
            String(unsafeUninitializedCapacity: 15) { PeerAddress.write(address, to: $0, at: 0) }
        case .ipv6(let high, let low):
            PeerAddress.text(high, low)
        case .local:
            "unix"
        }
    }

    /// The longest description, in bytes.
    package static let maximumByteCount = 64

    /// Writes the description at an offset, where there must be room, and returns the end offset. Every line of an
    /// access log has one.
    package func write(to text: UnsafeMutableBufferPointer<UInt8>, at start: Int) -> Int {
        guard case .ipv4(let address) = host else {
            return text[start...].update(fromContentsOf: Array(description.utf8))
        }
        return PeerAddress.write(address, port: port, to: text, at: start)
    }

    /// Writes four numbers and perhaps the port, 21 bytes at most.
    private static func write(
        _ address: UInt32,
        port: UInt16? = nil,
        to text: UnsafeMutableBufferPointer<UInt8>,
        at start: Int
    ) -> Int {
        precondition(start >= 0 && start &+ (port == nil ? 15 : 21) <= text.count, "there is no room for an address")
        guard let base = text.baseAddress else { return start }
        var next = base + start
        write(address >> 24, to: &next)
        for shift: UInt32 in [16, 8, 0] {
            write(Byte.point, to: &next)
            write(address >> shift & 255, to: &next)
        }
        if let port {
            write(Byte.colon, to: &next)
            write(UInt32(port), to: &next)
        }
        return next - base
    }

    /// Writes a number of at most five digits.
    @inline(__always)
    private static func write(_ number: UInt32, to next: inout UnsafeMutablePointer<UInt8>) {
        if number >= 10 {
            if number >= 100 {
                if number >= 1_000 {
                    if number >= 10_000 { write(digit: number / 10_000, to: &next) }
                    write(digit: number / 1_000 % 10, to: &next)
                }
                write(digit: number / 100 % 10, to: &next)
            }
            write(digit: number / 10 % 10, to: &next)
        }
        write(digit: number % 10, to: &next)
    }

    @inline(__always)
    private static func write(digit: UInt32, to next: inout UnsafeMutablePointer<UInt8>) {
        write(Byte.zero &+ UInt8(truncatingIfNeeded: digit), to: &next)
    }

    @inline(__always)
    private static func write(_ byte: UInt8, to next: inout UnsafeMutablePointer<UInt8>) {
        next.pointee = byte
        next += 1
    }

    /// RFC 5952 text of an IPv6 address, as inet_ntop(3) writes it.
    private static func text(_ high: UInt64, _ low: UInt64) -> String {
        let bytes = (high.bigEndian, low.bigEndian)
        return withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(INET6_ADDRSTRLEN)) { buffer in
            let isWritten = withUnsafePointer(to: bytes) {
                inet_ntop(CLinux_AF_INET6, $0, buffer.baseAddress, socklen_t(buffer.count)) != nil
            }
            guard isWritten, let start = buffer.baseAddress else { return "?" }
            return String(cString: start)
        }
    }
}
