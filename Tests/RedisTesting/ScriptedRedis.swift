// A server that speaks RESP as a test scripts it: it answers, cuts, stalls and gives wrong answers.

internal import CLinux
internal import Foundation
internal import HTTP
internal import Locking
package import Redis

/// Serves every connection on a separate thread until it is stopped.
package final class ScriptedRedis: Sendable {
    /// The server's response to a command.
    package enum Answer {
        case send(String)
        /// No answer; continues to read.
        case silence
        /// Sends these bytes and closes.
        case cut(String)
    }

    /// A box: a lock around a bare closure wraps it in two more closures at each use, until the stack overflows.
    private struct Script: Sendable {
        let answer: @Sendable (_ connection: Int, _ words: [String]) -> Answer
    }

    package let port: UInt16
    private let listener: Int32
    private let script: Lock<Script>
    private let heard = Lock<[[String]]>([])
    private let connectionTotal = Lock(0)

    /// - Parameters:
    ///   - listens: false: connections are refused until `listen` is called; the port stays reserved.
    ///   - script: called for each command with the connection's number, except HELLO and PING, which are answered.
    package init(
        listens: Bool = true,
        _ script: @escaping @Sendable (_ connection: Int, _ words: [String]) -> Answer
    ) throws {
        self.script = Lock(Script(answer: script))
        let listener = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        self.listener = listener
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let result = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { name in
                bind(listener, name, length) == 0 && getsockname(listener, name, &length) == 0
            }
        }
        guard result else { throw POSIXError(.EADDRINUSE) }
        port = UInt16(bigEndian: address.sin_port)
        if listens { listen() }
    }

    /// Starts to accept connections.
    package func listen() {
        _ = Glibc.listen(listener, 64)
        Thread.detachNewThread { [self] in
            while true {
                let connection = accept(listener, nil, nil)
                guard connection >= 0 else {
                    // Without descriptors a connection waits until some are free again.
                    Thread.sleep(forTimeInterval: 0.01)
                    continue
                }
                let number = connectionTotal.withLock { total in
                    defer { total += 1 }
                    return total
                }
                Thread.detachNewThread { [self] in serve(connection, number) }
            }
        }
    }

    package var address: RedisAddress { RedisAddress(host: "127.0.0.1", port: port) }
    package var url: String { "redis://127.0.0.1:\(port)" }
    /// The commands received, without HELLO.
    package var commands: [[String]] { heard.withLock { $0 } }
    /// Number of connections ever made.
    package var connectionCount: Int { connectionTotal.withLock { $0 } }

    package func answer(_ script: @escaping @Sendable (_ connection: Int, _ words: [String]) -> Answer) {
        self.script.withLock { $0 = Script(answer: script) }
    }

    private func serve(_ connection: Int32, _ number: Int) {
        defer { close(connection) }
        var parser = RESPParser(limit: 1 << 24)
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = recv(connection, &buffer, buffer.count, 0)
            guard count > 0 else { return }
            buffer[..<count].withUnsafeBytes { parser.append($0) }
            while let value = try? parser.next() {
                let words = value.elements?.compactMap(\.string) ?? []
                guard words.first != "HELLO" else {
                    Self.send("%1\r\n$4\r\nmode\r\n$10\r\nstandalone\r\n", connection)
                    continue
                }
                // On a busy machine a connection may be silent for long, and the client sends PING.
                guard words.first != "PING" else {
                    Self.send("+PONG\r\n", connection)
                    continue
                }
                heard.withLock { $0.append(words) }
                let script = script.withLock { $0 }
                switch script.answer(number, words) {
                case .send(let text): Self.send(text, connection)
                case .silence: break
                case .cut(let text):
                    Self.send(text, connection)
                    return
                }
            }
        }
    }

    private static func send(_ text: String, _ connection: Int32) {
        let bytes = Array(text.utf8)
        _ = bytes.withUnsafeBytes { Glibc.send(connection, $0.baseAddress, $0.count, CLinux_MSG_NOSIGNAL) }
    }
}
