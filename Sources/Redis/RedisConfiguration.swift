// The servers' URLs: `redis://[user:password@]HOST:PORT[/DB]`, or `rediss://` for TLS.

/// A server's host and port.
package struct RedisAddress: Sendable, Hashable, CustomStringConvertible {
    package var host: String
    package var port: UInt16

    package init(host: String, port: UInt16) {
        self.host = host
        self.port = port
    }

    /// Parses the address in a redirection, `HOST:PORT`; an empty host means the sender's. nil: invalid.
    init?(_ text: Substring, from sender: RedisAddress) {
        guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]), port > 0 else {
            return nil
        }
        var host = text[..<colon]
        if host.hasPrefix("["), host.hasSuffix("]") { host = host.dropFirst().dropLast() }
        self.init(host: host.isEmpty || host == "?" ? sender.host : String(host), port: port)
    }

    package var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}

/// The configuration of a client.
package struct RedisConfiguration: Sendable, Equatable {
    /// The servers to start with: one server, or nodes of a cluster; at least one.
    package var seeds: [RedisAddress]
    package var user: String?
    package var password: String?
    package var database = 0
    package var usesTLS = false
    /// Connections per server and loop; at least 1.
    package var connections = 2
    /// The maximum duration of a request in nanoseconds.
    package var timeout: UInt64 = 20_000_000
    /// The maximum length of a reply in bytes.
    package var replyLimit = 64 << 20

    /// What is wrong with a URL, as the rest of a sentence. It quotes nothing of the URL, which may contain a password.
    package struct Fault: Error, Equatable {
        package let predicate: String
    }

    /// - Parameter urls: one URL, or several separated by commas.
    package init(urls: String) throws(Fault) {
        seeds = []
        for (index, part) in urls.split(separator: ",", omittingEmptySubsequences: false).enumerated() {
            try add(part.trimmingSpaces, isFirst: index == 0)
        }
    }

    private mutating func add(_ url: Substring, isFirst: Bool) throws(Fault) {
        let form = Fault(predicate: "must be redis://[user:password@]HOST:PORT[/DB], or rediss:// for TLS")
        let isSecure = url.hasPrefix("rediss://")
        guard isSecure || url.hasPrefix("redis://") else { throw form }
        var rest = url.dropFirst(isSecure ? 9 : 8)
        var database = 0
        if let slash = rest.firstIndex(of: "/") {
            let text = rest[rest.index(after: slash)...]
            guard text.isEmpty || Int(text).map({ 0...65_535 ~= $0 }) == true else {
                throw Fault(predicate: "names a database that is not a number")
            }
            database = Int(text) ?? 0
            rest = rest[..<slash]
        }
        var user: String?
        var password: String?
        if let at = rest.lastIndex(of: "@") {
            let parts = rest[..<at].split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            guard let name = parts[0].percentDecoded, parts.count == 2, let secret = parts[1].percentDecoded else {
                throw Fault(predicate: "must have user:password, percent-encoded, before its @")
            }
            user = name.isEmpty ? nil : name
            password = secret
            rest = rest[rest.index(after: at)...]
        }
        var host = rest
        var port: UInt16 = 6_379
        if let colon = rest.lastIndex(of: ":"), !rest[colon...].contains("]") {
            guard let number = UInt16(rest[rest.index(after: colon)...]), number > 0 else {
                throw Fault(predicate: "has a port that is not from 1 to 65535")
            }
            host = rest[..<colon]
            port = number
        }
        if host.hasPrefix("["), host.hasSuffix("]") { host = host.dropFirst().dropLast() }
        guard !host.isEmpty else { throw form }
        seeds.append(RedisAddress(host: String(host), port: port))
        guard !isFirst else {
            (self.user, self.password, self.database, usesTLS) = (user, password, database, isSecure)
            return
        }
        let isSame = (user == nil || user == self.user) && (password == nil || password == self.password)
        guard isSame, database == self.database, usesTLS == isSecure else {
            throw Fault(predicate: "must have the same scheme, user, password and database for all nodes")
        }
    }
}

extension Substring {
    fileprivate var trimmingSpaces: Substring {
        var text = self
        while text.first == " " { text.removeFirst() }
        while text.last == " " { text.removeLast() }
        return text
    }

    /// Decodes percent-encoding (RFC 3986, section 2.1); nil if invalid.
    fileprivate var percentDecoded: String? {
        var bytes: [UInt8] = []
        var rest = utf8[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard rest.count >= 2, let value = UInt8(String(Substring(rest.prefix(2))), radix: 16) else { return nil }
            bytes.append(value)
            rest = rest.dropFirst(2)
        }
        return String(validating: bytes, as: UTF8.self)
    }
}
