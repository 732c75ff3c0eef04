// A server that speaks RESP and does what a test says: it answers, cuts, stalls and lies.

import CLinux
import Foundation
import HTTP
import Locking

@testable import Redis

/// Serves every connection on a thread of its own until it is stopped.
final class ScriptedRedis: Sendable {
    /// What it does with a command.
    enum Answer {
        case send(String)
        /// Nothing, and it reads on.
        case silence
        /// Sends these bytes and closes.
        case cut(String)
    }

    let port: UInt16
    private let listener: Int32
    private let script: Lock<@Sendable (_ connection: Int, _ words: [String]) -> Answer>
    private let heard = Lock<[[String]]>([])
    private let connections = Lock<[Int32]>([])

    /// - Parameter script: for each command but HELLO and PING, which are answered, with the connection's number.
    init(_ script: @escaping @Sendable (_ connection: Int, _ words: [String]) -> Answer) throws {
        self.script = Lock(script)
        let listener = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        self.listener = listener
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let result = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { name in
                bind(listener, name, length) == 0 && listen(listener, 64) == 0
                    && getsockname(listener, name, &length) == 0
            }
        }
        guard result else { throw POSIXError(.EADDRINUSE) }
        port = UInt16(bigEndian: address.sin_port)
        Thread.detachNewThread { [self] in
            while true {
                let connection = accept(listener, nil, nil)
                guard connection >= 0 else { return }
                let number = connections.withLock { connections in
                    connections.append(connection)
                    return connections.count - 1
                }
                Thread.detachNewThread { [self] in serve(connection, number) }
            }
        }
    }

    deinit { stop() }

    var address: RedisAddress { RedisAddress(host: "127.0.0.1", port: port) }
    var url: String { "redis://127.0.0.1:\(port)" }
    /// The commands that have come, without HELLO.
    var commands: [[String]] { heard.withLock { $0 } }
    var connectionCount: Int { connections.withLock { $0.count } }

    func answer(_ script: @escaping @Sendable (_ connection: Int, _ words: [String]) -> Answer) {
        self.script.withLock { $0 = script }
    }

    func stop() {
        shutdown(listener, Int32(SHUT_RDWR))
        close(listener)
        for connection in connections.withLock({ $0 }) { shutdown(connection, Int32(SHUT_RDWR)) }
    }

    private func serve(_ connection: Int32, _ number: Int) {
        defer { shutdown(connection, Int32(SHUT_RDWR)) }
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
                // On a busy machine a connection is silent for long, and the client asks.
                guard words.first != "PING" else {
                    Self.send("+PONG\r\n", connection)
                    continue
                }
                heard.withLock { $0.append(words) }
                let script = script.withLock { $0 }
                switch script(number, words) {
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

/// A client on loops of its own.
final class ClientFixture: Sendable {
    private final class Handler: HTTPHandler {
        func headReceived(_ head: HTTPRequestHead) -> HeadVerdict { .accept(maximumBodyBytes: 0) }
        func requestReceived(_ request: HTTPRequest, exchange: HTTPExchange) {}
        func errorResponse(status: Int, detail: String) -> HTTPResponse {
            HTTPResponse(status: status, headers: [], body: [])
        }
        func observe(_ event: HTTPEvent) {}
    }

    let client: RedisClient
    let reports: Reports
    private let server: HTTPServer

    final class Reports: Sendable {
        private let lines = Lock<[String]>([])
        var all: [String] { lines.withLock { $0 } }
        func add(_ line: String) { lines.withLock { $0.append(line) } }
    }

    /// - Parameter timeout: in milliseconds. Long unless the test is about it, for busy machines.
    init(_ urls: String, timeout: UInt64 = 20_000, connections: Int = 1, loops: Int = 1) throws {
        var configuration = try RedisConfiguration(urls: urls)
        configuration.timeout = timeout * 1_000_000
        configuration.connections = connections
        let reports = Reports()
        self.reports = reports
        client = try RedisClient(configuration) { reports.add($0) }
        server = try HTTPServer(
            configuration: HTTPServerConfiguration(addresses: [.tcp(host: "127.0.0.1", port: 0)], loops: loops),
            handler: Handler()
        )
        _ = try server.start()
        client.attach(to: server.loops)
    }

    deinit { server.stop() }

    /// Sends a request and waits for its end.
    func ask(
        _ commands: [String]...,
        repeatable: Bool = true,
        bulk: Bool = false
    ) async -> Result<[RESPValue], RedisError> {
        await withCheckedContinuation { continuation in
            let request = RedisRequest(
                commands.map { RedisCommand($0) },
                key: commands.first?.dropFirst().first ?? "",
                isRepeatable: repeatable,
                isBulk: bulk
            )
            client.send(request) { continuation.resume(returning: $0) }
        }
    }

    func stop() { server.stop() }
}
