// The destination of spans: a collector that accepts OTLP over plain HTTP, usually an agent on the same machine.

import Glibc

/// The address of a collector.
package struct CollectorEndpoint: Sendable, Equatable, CustomStringConvertible {
    let host: String
    let port: String
    /// The full path, ending in `/v1/traces`.
    let path: String

    /// nil unless `text` is `http://HOST[:PORT][/PATH]` (default port 4318; IPv6 in brackets). HTTPS is not supported:
    /// remote collectors are reached through an agent on this machine.
    package init?(_ text: String) {
        let scheme = "http://"
        guard text.hasPrefix(scheme), text.utf8.allSatisfy({ 0x21...0x7E ~= $0 }) else { return nil }
        let rest = text.dropFirst(scheme.count)
        let authority = rest.prefix { $0 != "/" }
        var prefix = rest.dropFirst(authority.count)
        while prefix.hasSuffix("/") { prefix = prefix.dropLast() }
        guard !prefix.contains(where: { $0 == "?" || $0 == "#" }) else { return nil }
        path = "\(prefix)/v1/traces"
        let name: Substring
        let tail: Substring
        if authority.hasPrefix("["), let end = authority.firstIndex(of: "]") {
            name = authority[authority.index(after: authority.startIndex)..<end]
            tail = authority[authority.index(after: end)...]
        } else {
            name = authority.prefix { $0 != ":" }
            tail = authority.dropFirst(name.count)
        }
        guard !name.isEmpty, !name.contains(where: { "@?#/".contains($0) }) else { return nil }
        host = String(name)
        if tail.isEmpty {
            port = "4318"
        } else {
            guard tail.hasPrefix(":"), let number = UInt16(tail.dropFirst()), number > 0 else { return nil }
            port = String(number)
        }
    }

    /// The form that `init` accepts.
    package var base: String { String(description.dropLast("/v1/traces".count)) }

    package var description: String { "http://\(host.contains(":") ? "[\(host)]" : host):\(port)\(path)" }

    /// Posts JSON and waits for the status, at most `seconds` per step.
    ///
    /// - Returns: nil, or what went wrong.
    func post(_ body: [UInt8], seconds: Int) -> String? {
        let connection: Int32
        switch connect(seconds: seconds) {
        case .success(let descriptor): connection = descriptor
        case .failure(let fault): return fault.reason
        }
        defer { close(connection) }
        let head = """
            POST \(path) HTTP/1.1\r
            Host: \(host.contains(":") ? "[\(host)]" : host):\(port)\r
            Content-Type: application/json\r
            Content-Length: \(body.count)\r
            Connection: close\r
            \r\n
            """
        var bytes = Array(head.utf8) + body
        while !bytes.isEmpty {
            let count = send(connection, bytes, bytes.count, Int32(MSG_NOSIGNAL))
            guard count > 0 else { return "sending failed: \(Self.message(errno))" }
            bytes.removeFirst(count)
        }
        return fault(inReplyOf: connection)
    }

    private struct Fault: Error {
        let reason: String
    }

    private func connect(seconds: Int) -> Result<Int32, Fault> {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var found: UnsafeMutablePointer<addrinfo>?
        let status = getaddrinfo(host, port, &hints, &found)
        guard status == 0 else { return .failure(Fault(reason: String(cString: gai_strerror(status)))) }
        defer { freeaddrinfo(found) }
        var reason = "no address"
        var next = found
        while let address = next?.pointee {
            next = address.ai_next
            let descriptor = socket(
                address.ai_family,
                address.ai_socktype | Int32(SOCK_CLOEXEC.rawValue),
                address.ai_protocol
            )
            guard descriptor >= 0 else { continue }
            // Limit connecting and sending, and receiving.
            var limit = timeval(tv_sec: seconds, tv_usec: 0)
            for option in [SO_SNDTIMEO, SO_RCVTIMEO] {
                setsockopt(descriptor, SOL_SOCKET, option, &limit, socklen_t(MemoryLayout<timeval>.size))
            }
            if Glibc.connect(descriptor, address.ai_addr, address.ai_addrlen) == 0 { return .success(descriptor) }
            reason = "connecting failed: \(Self.message(errno))"
            close(descriptor)
        }
        return .failure(Fault(reason: reason))
    }

    /// Reads the status line; the rest of the reply is not needed. Nil for a status of 200 to 299.
    private func fault(inReplyOf connection: Int32) -> String? {
        var reply: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 512)
        while reply.count < 13 {
            let count = recv(connection, &buffer, buffer.count, 0)
            guard count > 0 else { return count == 0 ? "the reply is incomplete" : "no reply: \(Self.message(errno))" }
            reply += buffer[..<count]
        }
        let line = String(decoding: reply.prefix(13), as: UTF8.self)
        guard line.hasPrefix("HTTP/1."), let status = Int(line.dropFirst(9).prefix(3)) else {
            return "the reply is not HTTP"
        }
        return 200..<300 ~= status ? nil : "status \(status)"
    }

    private static func message(_ code: Int32) -> String { String(cString: strerror(code)) }
}
