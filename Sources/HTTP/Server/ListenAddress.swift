// Where a server listens, as an operator writes it: "127.0.0.1:8080", "[::1]:8080", "*:8080", "unix:/run/genrec.sock".

package import CLinux
import Glibc

/// An address to listen on.
package enum ListenAddress: Sendable, Hashable, CustomStringConvertible {
    /// A numeric IPv4 or IPv6 address, "localhost" for 127.0.0.1, or "*" for every interface in both families. Port 0
    /// lets the kernel choose.
    case tcp(host: String, port: UInt16)
    /// The path of a UNIX socket, at most 107 bytes.
    case unix(path: String)

    /// Reads the written form. Throws `invalidAddress`.
    package init(parsing text: String) throws(HTTPError) {
        if text.hasPrefix("unix:") {
            self = .unix(path: String(text.dropFirst(5)))
        } else {
            // UInt16 alone would also accept "+80".
            guard let colon = text.lastIndex(of: ":"), text[text.index(after: colon)...].utf8.allSatisfy(\.isDigit),
                let port = UInt16(text[text.index(after: colon)...])
            else {
                throw HTTPError(.invalidAddress, "The address \"\(text)\" is neither host:port nor unix:path.")
            }
            var host = text[..<colon]
            if host.hasPrefix("["), host.hasSuffix("]") { host = host.dropFirst().dropLast() }
            self = .tcp(host: String(host), port: port)
        }
        _ = try socketAddress()
    }

    /// The address that a socket is bound to; nil if it is neither TCP nor a UNIX socket with a path.
    init?(boundTo fd: Int32) {
        var storage = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let isKnown = withUnsafeMutablePointer(to: &storage) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(fd, $0, &length) == 0 }
        }
        guard isKnown else { return nil }
        switch Int32(storage.ss_family) {
        case CLinux_AF_INET, CLinux_AF_INET6:
            let address = PeerAddress(storage)
            self = .tcp(host: address.hostText, port: address.port)
        case CLinux_AF_UNIX:
            let path = withUnsafeBytes(of: storage) { bytes in
                bytes[min(Int(length), SocketAddress.pathOffset)..<Int(length)].prefix { $0 != 0 }
            }
            guard !path.isEmpty else { return nil }
            self = .unix(path: String(decoding: path, as: UTF8.self))
        default:
            return nil
        }
    }

    /// Whether connections to the address can be encrypted.
    package var isTCP: Bool {
        if case .tcp = self { true } else { false }
    }

    package var description: String {
        switch self {
        case .tcp(let host, let port): host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
        case .unix(let path): "unix:\(path)"
        }
    }

    /// The address as bind(2) takes it. Throws `invalidAddress`.
    func socketAddress() throws(HTTPError) -> SocketAddress {
        switch self {
        case .tcp(let host, let port):
            guard let address = SocketAddress(host: host, port: port) else {
                throw HTTPError(
                    .invalidAddress,
                    "\"\(host)\" is not a numeric IPv4 or IPv6 address, nor localhost, nor *."
                )
            }
            return address
        case .unix(let path):
            guard let address = SocketAddress(path: path) else {
                throw HTTPError(.invalidAddress, "The socket path \"\(path)\" is not 1 to 107 bytes long.")
            }
            return address
        }
    }
}

/// A `sockaddr` of any family with its length.
package struct SocketAddress: Sendable {
    private(set) var storage = sockaddr_storage()
    private(set) var length: socklen_t = 0

    package var family: Int32 { Int32(storage.ss_family) }

    /// nil if `host` is neither a numeric address nor "*" nor "localhost". Other names are not looked up: the operator
    /// must choose among their addresses.
    package init?(host: String, port: UInt16) {
        var v4 = sockaddr_in()
        if inet_pton(CLinux_AF_INET, host == "localhost" ? "127.0.0.1" : host, &v4.sin_addr) == 1 {
            v4.sin_family = sa_family_t(CLinux_AF_INET)
            v4.sin_port = port.bigEndian
            store(v4)
            return
        }
        var v6 = sockaddr_in6()
        guard inet_pton(CLinux_AF_INET6, host == "*" ? "::" : host, &v6.sin6_addr) == 1 else { return nil }
        v6.sin6_family = sa_family_t(CLinux_AF_INET6)
        v6.sin6_port = port.bigEndian
        store(v6)
    }

    /// nil if `path` does not fit.
    package init?(path: String) {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(CLinux_AF_UNIX)
        let bytes = Array(path.utf8)
        // One byte is kept for the NUL.
        let capacity = MemoryLayout.size(ofValue: address.sun_path) - 1
        guard !bytes.isEmpty, bytes.count <= capacity, !bytes.contains(0) else { return nil }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        store(address)
    }

    /// A copy of an address from the resolver; nil if it is longer than any address.
    package init?(copying address: UnsafePointer<sockaddr>, length: socklen_t) {
        guard length <= MemoryLayout<sockaddr_storage>.size else { return nil }
        withUnsafeMutableBytes(of: &storage) { target in
            target.copyMemory(from: UnsafeRawBufferPointer(start: address, count: Int(length)))
        }
        self.length = length
    }

    private mutating func store<Address>(_ address: Address) {
        withUnsafeMutableBytes(of: &storage) { target in
            withUnsafeBytes(of: address) { target.copyMemory(from: $0) }
        }
        length = socklen_t(MemoryLayout<Address>.size)
    }

    /// Replaces the port of an IPv4 or IPv6 address; it is at the same offset in both.
    mutating func setPort(_ port: UInt16) {
        withUnsafeMutableBytes(of: &storage) { bytes in
            bytes.storeBytes(of: port.bigEndian, toByteOffset: SocketAddress.portOffset, as: UInt16.self)
        }
    }

    static let pathOffset = MemoryLayout<sockaddr_un>.offset(of: \.sun_path) ?? 2
    private static let portOffset = MemoryLayout<sockaddr_in>.offset(of: \.sin_port) ?? 2

    /// Calls `body` with the address as a generic `sockaddr`.
    package func withSockaddr<Result>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Result) -> Result {
        withUnsafePointer(to: storage) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, length) }
        }
    }
}
