// A server that answers as a test scripts it, correctly or not, over TCP or a UNIX socket.

import CLinux
import Foundation

/// A scripted server's response to a request.
enum ScriptedReply: Sendable {
    /// Sends these bytes and continues.
    case send(String)
    /// Sends these bytes and closes.
    case sendAndClose(String)
    /// Sends nothing and keeps the connection.
    case silence
    /// Waits this long, then sends; the stall that a load test must detect.
    case stall(TimeInterval, String)

    /// A recommendation with the usual framing.
    static let recommendation = send(reply(200, #"{"items":[],"history_used":4,"history_cached":3}"#))

    static func reply(_ status: Int, _ body: String, fields: String = "") -> String {
        "HTTP/1.1 \(status) X\r\n\(fields)Content-Length: \(body.utf8.count)\r\n\r\n\(body)"
    }
}

/// Serves every connection on a separate thread until it is stopped.
///
/// `@unchecked Sendable`: `received` is accessed only under the lock, and everything else never changes.
final class ScriptedServer: @unchecked Sendable {
    /// The request's number, from 0, and its text.
    typealias Script = @Sendable (Int, String) -> ScriptedReply

    let url: String
    private let listener: Int32
    private let script: Script
    private let lock = NSLock()
    private var received: [String] = []

    /// - Parameter path: of a UNIX socket; nil: a free port of 127.0.0.1.
    init(path: String? = nil, _ script: @escaping Script) throws {
        self.script = script
        if let path {
            let socket = Glibc.socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
            var address = sockaddr_un()
            address.sun_family = sa_family_t(AF_UNIX)
            withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array(path.utf8)) }
            try Self.listen(socket, &address)
            listener = socket
            url = "unix:\(path)"
        } else {
            let socket = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
            try Self.listen(socket, &address)
            var length = socklen_t(MemoryLayout<sockaddr_in>.size)
            _ = withUnsafeMutablePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(socket, $0, &length) }
            }
            listener = socket
            url = "http://127.0.0.1:\(UInt16(bigEndian: address.sin_port))"
        }
        Thread.detachNewThread { [self] in
            while true {
                let connection = accept(listener, nil, nil)
                guard connection >= 0 else {
                    close(listener)
                    return
                }
                Thread.detachNewThread { [self] in serve(connection) }
            }
        }
    }

    private static func listen<Address>(_ socket: Int32, _ address: inout Address) throws {
        let result = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(socket, $0, socklen_t(MemoryLayout<Address>.size))
            }
        }
        guard result == 0, Glibc.listen(socket, 128) == 0 else { throw POSIXError(.EADDRINUSE) }
    }

    /// The requests received so far.
    var requests: [String] { lock.withLock { received } }

    /// Stops accepting. The accepting thread closes the listener; otherwise it could take connections from another
    /// server that reuses the descriptor number.
    func stop() { shutdown(listener, Int32(SHUT_RDWR)) }

    private func serve(_ connection: Int32) {
        defer { close(connection) }
        var buffered: [UInt8] = []
        while let request = Self.nextRequest(connection, &buffered) {
            let number = lock.withLock {
                received.append(request)
                return received.count - 1
            }
            switch script(number, request) {
            case .send(let text): Self.send(text, connection)
            case .sendAndClose(let text):
                Self.send(text, connection)
                return
            case .silence: break
            case .stall(let seconds, let text):
                Thread.sleep(forTimeInterval: seconds)
                Self.send(text, connection)
            }
        }
    }

    private static func send(_ text: String, _ connection: Int32) {
        let bytes = Array(text.utf8)
        _ = bytes.withUnsafeBytes { Glibc.send(connection, $0.baseAddress, $0.count, CLinux_MSG_NOSIGNAL) }
    }

    /// Reads a request with its body; nil at the end of the stream.
    private static func nextRequest(_ connection: Int32, _ buffered: inout [UInt8]) -> String? {
        while true {
            let text = String(decoding: buffered, as: UTF8.self)
            if let end = text.range(of: "\r\n\r\n") {
                let length = text.firstMatch(of: #/Content-Length: (\d+)/#).flatMap { Int($0.1) } ?? 0
                let total = text[..<end.upperBound].utf8.count + length
                if buffered.count >= total {
                    defer { buffered.removeFirst(total) }
                    return String(decoding: buffered[..<total], as: UTF8.self)
                }
            }
            var bytes = [UInt8](repeating: 0, count: 65_536)
            let count = recv(connection, &bytes, bytes.count, 0)
            guard count > 0 else { return nil }
            buffered += bytes[..<count]
        }
    }
}
