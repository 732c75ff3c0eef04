// The server that requests go to, as given on the command line.

internal import Glibc
internal import HTTP

/// The server of a load test: `http://HOST[:PORT][/PATH]` or `unix:PATH`.
package struct LoadTarget: Sendable, Equatable {
    /// How to reach it.
    enum Endpoint: Sendable, Equatable {
        case tcp(host: String, port: UInt16)
        case unix(path: String)
    }

    let endpoint: Endpoint
    /// The value of `Host` (RFC 9112 §3.2).
    let authority: String
    /// The path before `/recommend`: empty, or `/…` without a trailing slash.
    let basePath: String

    /// Parses the command-line form.
    package init(parsing text: String) throws(LoadError) {
        guard text.utf8.allSatisfy({ 0x21...0x7E ~= $0 }) else {
            throw LoadError("the URL contains a space or a non-ASCII character")
        }
        let lowercase = text.lowercased()
        if lowercase.hasPrefix("unix:") {
            let path = String(text.dropFirst(5))
            guard SocketAddress(path: path) != nil else {
                throw LoadError("the socket path \"\(path)\" is not 1 to 107 bytes long")
            }
            endpoint = .unix(path: path)
            authority = "localhost"
            basePath = ""
            return
        }
        if lowercase.hasPrefix("https://") {
            throw LoadError(
                "https is not supported: give the address of a listener without TLS, http://HOST:PORT or unix:PATH"
            )
        }
        guard lowercase.hasPrefix("http://") else {
            throw LoadError("\"\(text)\" is neither http://HOST:PORT nor unix:PATH")
        }
        let rest = text.dropFirst(7)
        let slash = rest.firstIndex(of: "/") ?? rest.endIndex
        guard !rest.contains("?"), !rest.contains("#"), !rest.contains("\\") else {
            throw LoadError("the URL \"\(text)\" must not have a query or a fragment")
        }
        var path = String(rest[slash...])
        while path.hasSuffix("/") { path.removeLast() }
        basePath = path
        authority = String(rest[..<slash])
        endpoint = try Self.endpoint(authority, in: text)
    }

    private static func endpoint(_ authority: String, in text: String) throws(LoadError) -> Endpoint {
        // The text before the @ may be a secret, so the message does not repeat the URL.
        guard !authority.contains("@") else {
            throw LoadError("the URL must not name a user; genrec reads an API key from the environment")
        }
        var host = authority[...]
        var port: UInt16 = 80
        // A colon within brackets belongs to an IPv6 address.
        if let colon = authority.lastIndex(of: ":"), !authority[colon...].contains("]") {
            let digits = authority[authority.index(after: colon)...]
            guard let number = UInt16(digits), number > 0, digits.utf8.allSatisfy(\.isDigit) else {
                throw LoadError("\"\(digits)\" in the URL \"\(text)\" is not a port from 1 to 65535")
            }
            port = number
            host = authority[..<colon]
        }
        if host.hasPrefix("["), host.hasSuffix("]") { host = host.dropFirst().dropLast() }
        guard !host.isEmpty else { throw LoadError("the URL \"\(text)\" has no host") }
        return .tcp(host: String(host), port: port)
    }

    /// Resolves the host.
    ///
    /// - Returns: at least one address, in the order to try them.
    func addresses() throws(LoadError) -> [SocketAddress] {
        switch endpoint {
        case .unix(let path):
            guard let address = SocketAddress(path: path) else { throw LoadError("\"\(path)\" is not a socket path") }
            return [address]
        case .tcp(let host, let port):
            // The server listens on localhost as 127.0.0.1; "*" is a valid host only for listeners.
            if host != "*", let address = SocketAddress(host: host, port: port) { return [address] }
            return try Self.lookUp(host, port)
        }
    }

    private static func lookUp(_ host: String, _ port: UInt16) throws(LoadError) -> [SocketAddress] {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        hints.ai_flags = AI_NUMERICSERV
        var list: UnsafeMutablePointer<addrinfo>?
        let status = getaddrinfo(host, String(port), &hints, &list)
        guard status == 0 else {
            throw LoadError("the host \"\(host)\" cannot be found: \(String(cString: gai_strerror(status)))")
        }
        defer { freeaddrinfo(list) }
        var found: [SocketAddress] = []
        var next = list
        while let entry = next {
            if let address = entry.pointee.ai_addr.flatMap({
                SocketAddress(copying: $0, length: entry.pointee.ai_addrlen)
            }) {
                found.append(address)
            }
            next = entry.pointee.ai_next
        }
        guard !found.isEmpty else { throw LoadError("the host \"\(host)\" has no address") }
        return found
    }
}
