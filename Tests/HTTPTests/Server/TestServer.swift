// A server on port 0 whose handler is a closure, and which counts events.

import Dispatch
import Glibc
import Synchronization
import Testing

@testable import HTTP

/// Answers through closures.
final class TestHandler: HTTPHandler {
    typealias Answer = @Sendable (HTTPRequest, HTTPExchange) -> Void

    private let verdict: @Sendable (HTTPRequestHead) -> HeadVerdict
    private let answer: Answer
    let counts = Box(EventCounts())

    init(
        verdict: @escaping @Sendable (HTTPRequestHead) -> HeadVerdict = { _ in .accept(maximumBodyBytes: 1 << 22) },
        answer: @escaping Answer
    ) {
        self.verdict = verdict
        self.answer = answer
    }

    func headReceived(_ head: HTTPRequestHead) -> HeadVerdict { verdict(head) }

    func requestReceived(_ request: HTTPRequest, exchange: HTTPExchange) { answer(request, exchange) }

    func errorResponse(status: Int, detail: String, to head: HTTPRequestHead?) -> HTTPResponse {
        HTTPResponse(status: status, headers: [("Content-Type", "text/plain")], body: Array(detail.utf8))
    }

    func observe(_ event: HTTPEvent) {
        counts.update { $0.add(event) }
    }
}

/// The number of events of each kind.
struct EventCounts: Sendable {
    var opened = 0
    var closed = 0
    var refused = 0
    var dropped = 0
    var acceptFailures = 0
    var cancelled = 0
    var leftOut = 0
    var records: [ReplyRecord] = []
    var fullHandshakes = 0
    var resumedHandshakes = 0
    var failedHandshakes: [TLSHandshakeFailure] = []

    mutating func add(_ event: HTTPEvent) {
        switch event {
        case .connectionOpened: opened += 1
        case .connectionClosed: closed += 1
        case .connectionRefused(let wasDropped): if wasDropped { dropped += 1 } else { refused += 1 }
        case .acceptFailed: acceptFailures += 1
        case .exchangeCancelled: cancelled += 1
        case .fieldLeftOut: leftOut += 1
        case .replyFinished(let record): records.append(record)
        case .handshakeFinished(let isResumed): if isResumed { resumedHandshakes += 1 } else { fullHandshakes += 1 }
        case .handshakeFailed(let failure, _): failedHandshakes.append(failure)
        }
    }
}

/// A running server; it stops when the test releases it.
final class TestServer {
    let server: HTTPServer
    let handler: TestHandler
    let addresses: [ListenAddress]

    var address: ListenAddress { addresses[0] }

    init(
        listen: [ListenAddress] = [.tcp(host: "127.0.0.1", port: 0)],
        loops: Int = 1,
        handler: TestHandler,
        configure: (inout HTTPServerConfiguration) -> Void = { _ in }
    ) throws {
        var configuration = HTTPServerConfiguration(addresses: listen, loops: loops)
        configure(&configuration)
        self.handler = handler
        server = try HTTPServer(configuration: configuration, handler: handler)
        addresses = try server.start()
    }

    /// Answers every request with its path and the length of its body.
    static func echoing(
        listen: [ListenAddress] = [.tcp(host: "127.0.0.1", port: 0)],
        loops: Int = 1,
        configure: (inout HTTPServerConfiguration) -> Void = { _ in }
    ) throws -> TestServer {
        let handler = TestHandler { request, exchange in
            exchange.respond(HTTPResponse(status: 200, body: Array("\(request.head.path) \(request.body.count)".utf8)))
        }
        return try TestServer(listen: listen, loops: loops, handler: handler, configure: configure)
    }

    deinit { server.stop() }

    /// Whether the settled loops never poll during a period far longer than their patience. On a busy machine they may
    /// settle late, so several periods are tried.
    func staysAsleep() -> Bool {
        (0..<20).contains { _ in
            let looks = server.looks
            usleep(200_000)
            return looks == server.looks
        }
    }

    /// Waits until the condition holds; false after a time that only a broken server exceeds.
    static func waitUntil(_ condition: () -> Bool) -> Bool {
        for _ in 0..<20_000 {
            if condition() { return true }
            usleep(1_000)
        }
        return condition()
    }
}

/// A signal from another thread.
final class Signal: Sendable {
    private let semaphore = DispatchSemaphore(value: 0)

    func raise() { semaphore.signal() }

    /// False after a time that only a broken server exceeds.
    func wait() -> Bool { semaphore.wait(timeout: .now() + .seconds(20)) == .success }
}

/// A temporary folder, which the test removes.
func temporaryFolder() throws -> String {
    var template = Array("/tmp/genrec-http-XXXXXX".utf8CString)
    try #require(mkdtemp(&template) != nil)
    return String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
}
