// A minimal client: a blocking socket, bytes out, one reply in. It sends exactly what the test wrote, right or wrong,
// and parses replies strictly.

import Foundation
import TLSTesting
import Testing

/// A reply to one request.
struct TestReply {
    var status: Int
    /// Names in lower case.
    var headers: [String: String]
    var body: [UInt8]
    /// The connection closed before the mark of a complete chunked body.
    var isTruncated = false

    var text: String { String(decoding: body, as: UTF8.self) }

    /// The body as a JSON object.
    func json() throws -> [String: Any] {
        guard let object = try JSONSerialization.jsonObject(with: Data(body)) as? [String: Any] else {
            throw Genrec.Failure(description: "the body is not a JSON object: \(text)")
        }
        return object
    }

    /// The objects of an NDJSON body.
    func lines() throws -> [[String: Any]] {
        try text.split(separator: "\n").map { line in
            guard let object = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any] else {
                throw Genrec.Failure(description: "a line is not a JSON object: \(line)")
            }
            return object
        }
    }

    /// Ids of the items of a recommendation.
    func items() throws -> [String] {
        guard let items = try json()["items"] as? [[String: Any]] else {
            throw Genrec.Failure(description: "no items in \(text)")
        }
        return items.map { "\($0["item"] ?? "")" }
    }

    func scores() throws -> [Double] {
        (try json()["items"] as? [[String: Any]] ?? []).compactMap { $0["score"] as? Double }
    }
}

/// A connection to a server on this machine.
final class TestConnection {
    private let descriptor: Int32
    private var buffered: [UInt8] = []
    /// nil: plain HTTP.
    private(set) var tls: TLSTestStream?

    init(port: UInt16) throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let result = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic in
                Glibc.connect(descriptor, generic, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard result == 0 else { throw Genrec.Failure(description: "cannot connect: \(errno)") }
        setReceiveLimit()
    }

    /// A server that does not answer must fail a test, not hang it.
    private func setReceiveLimit() {
        var limit = timeval(tv_sec: 30, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    }

    /// Connects to a UNIX socket.
    init(path: String) throws {
        descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let result = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic in
                Glibc.connect(descriptor, generic, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        guard result == 0 else { throw Genrec.Failure(description: "cannot connect: \(errno)") }
        setReceiveLimit()
    }

    /// Connects and completes the TLS handshake.
    convenience init(port: UInt16, tls options: TLSTestOptions) throws {
        try self.init(port: port)
        let stream = try TLSTestStream(options) { [unowned self] bytes in
            try sendBytes(bytes)
        } receive: { [unowned self] in
            try receiveBytes()
        }
        try stream.shakeHands()
        tls = stream
    }

    deinit { close(descriptor) }

    func send(_ text: String) throws { try send(Array(text.utf8)) }

    func send(_ bytes: [UInt8]) throws {
        if let tls { try tls.write(bytes) } else { try sendBytes(bytes) }
    }

    private func sendBytes(_ bytes: [UInt8]) throws {
        var sent = 0
        while sent < bytes.count {
            let count = bytes[sent...].withUnsafeBytes {
                Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { throw Genrec.Failure(description: "cannot send: \(errno)") }
            sent += count
        }
    }

    private static func withHost(_ headers: [String: String]) -> [String: String] {
        headers.merging(["Host": "localhost"]) { given, _ in given }
    }

    /// Requests recommendations; `body` is JSON.
    func recommend(_ body: String, headers: [String: String] = [:]) throws -> TestReply {
        try post("/recommend", body, headers: headers)
    }

    /// Sends `body` as JSON, and checks the reply against the OpenAPI document.
    func post(
        _ path: String,
        _ body: String,
        headers: [String: String] = [:],
        method: String = "POST"
    ) throws -> TestReply {
        var head = "\(method) \(path) HTTP/1.1\r\nContent-Type: application/json\r\n"
        for (name, value) in Self.withHost(headers) { head += "\(name): \(value)\r\n" }
        try send(head + "Content-Length: \(body.utf8.count)\r\n\r\n" + body)
        let reply = try receive()
        ServedContract.check(reply, to: method, path)
        return reply
    }

    /// Sends a request without a body, and checks the reply against the OpenAPI document.
    func get(_ path: String, headers: [String: String] = [:], method: String = "GET") throws -> TestReply {
        var head = "\(method) \(path) HTTP/1.1\r\n"
        for (name, value) in Self.withHost(headers) { head += "\(name): \(value)\r\n" }
        try send(head + "\r\n")
        let reply = try receive(hasBody: method != "HEAD")
        ServedContract.check(reply, to: method, path)
        return reply
    }

    /// Polls the metrics until they contain all these lines, for at most half a minute: engines and other connections
    /// may count an event after its reply.
    func expectMetrics(_ lines: String..., sourceLocation: SourceLocation = #_sourceLocation) throws {
        var missing = lines
        _ = try eventually {
            let text = try get("/metrics").text
            missing = lines.filter { !text.contains($0 + "\n") }
            return missing.isEmpty
        }
        #expect(missing == [], sourceLocation: sourceLocation)
    }

    /// Whether the server has closed the connection and nothing is left to read.
    func isClosedByServer() throws -> Bool {
        guard buffered.isEmpty else { return false }
        return try !fill()
    }

    /// Reads until the server closes.
    func receiveToEnd() throws -> String {
        while try fill() {}
        defer { buffered = [] }
        return String(decoding: buffered, as: UTF8.self)
    }

    /// Makes the close a reset; the close happens when the test releases the connection.
    func reset() {
        var option = linger(l_onoff: 1, l_linger: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
    }

    /// Reads up to and including `mark`.
    func receive(until mark: String) throws -> String { try read(until: mark) + mark }

    /// Reads to the end of the connection; true if it ended with an error instead of an orderly close.
    func endsByReset() throws -> Bool {
        var bytes = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = recv(descriptor, &bytes, bytes.count, 0)
            if count < 0, errno == ECONNRESET { return true }
            guard count >= 0 else { throw Genrec.Failure(description: "no end: \(errno)") }
            if count == 0 { return false }
        }
    }

    /// Reads one reply.
    func receive(hasBody: Bool = true) throws -> TestReply {
        let head = try read(until: "\r\n\r\n")
        var lines = head.components(separatedBy: "\r\n")
        let statusLine = lines.removeFirst()
        guard let status = Int(statusLine.split(separator: " ").dropFirst().first ?? "") else {
            throw Genrec.Failure(description: "not a status line: \(statusLine)")
        }
        var headers: [String: String] = [:]
        for line in lines where !line.isEmpty {
            guard let colon = line.firstIndex(of: ":") else {
                throw Genrec.Failure(description: "not a header line: \(line)")
            }
            let value = line[line.index(after: colon)...].trimmingCharacters(in: .whitespaces)
            headers[line[..<colon].lowercased()] = value
        }
        if hasBody, headers["transfer-encoding"] == "chunked" {
            let (body, isTruncated) = try receiveChunks()
            return TestReply(status: status, headers: headers, body: body, isTruncated: isTruncated)
        }
        let length = hasBody ? Int(headers["content-length"] ?? "0") ?? 0 : 0
        while buffered.count < length {
            guard try fill() else { throw Genrec.Failure(description: "the reply ends in its body") }
        }
        let body = Array(buffered.prefix(length))
        buffered.removeFirst(length)
        return TestReply(status: status, headers: headers, body: body)
    }

    /// A chunked body, and whether it ended before its last chunk.
    private func receiveChunks() throws -> (body: [UInt8], isTruncated: Bool) {
        var body: [UInt8] = []
        while true {
            guard let size = try? read(until: "\r\n") else { return (body, true) }
            guard let count = Int(size, radix: 16) else {
                throw Genrec.Failure(description: "not the size of a chunk: \(size)")
            }
            while buffered.count < count + 2 {
                guard try fill() else { return (body + buffered, true) }
            }
            body += buffered.prefix(count)
            guard buffered[count..<(count + 2)].elementsEqual("\r\n".utf8) else {
                throw Genrec.Failure(description: "no line end after a chunk")
            }
            buffered.removeFirst(count + 2)
            if count == 0 { return (body, false) }
        }
    }

    private func read(until mark: String) throws -> String {
        let mark = Data(mark.utf8)
        while true {
            if let range = Data(buffered).range(of: mark) {
                let text = String(decoding: buffered[..<range.lowerBound], as: UTF8.self)
                buffered.removeFirst(range.upperBound)
                return text
            }
            guard try fill() else { throw Genrec.Failure(description: "the connection closed before a reply") }
        }
    }

    /// False at the end of the stream.
    private func fill() throws -> Bool {
        let bytes = if let tls { try tls.read(limit: 65_536) } else { try receiveBytes() }
        guard let bytes else { return false }
        buffered += bytes
        return true
    }

    /// nil at the end of the connection.
    private func receiveBytes() throws -> [UInt8]? {
        var bytes = [UInt8](repeating: 0, count: 65_536)
        let count = recv(descriptor, &bytes, bytes.count, 0)
        if count < 0, errno == ECONNRESET { return nil }
        guard count >= 0 else { throw Genrec.Failure(description: "no reply: \(errno)") }
        return count > 0 ? Array(bytes[..<count]) : nil
    }
}
