// Drives the connection's state machine without sockets or clocks: the test plays client, handler and time.

import Glibc
import Testing

@testable import HTTP

/// An action that the state machine requests from its driver.
enum ScriptEvent: Equatable, CustomStringConvertible {
    case head(String)
    case request(String)
    case refused(Int)
    case cancelled

    var description: String {
        switch self {
        case .head(let text): "head \(text)"
        case .request(let text): "request \(text)"
        case .refused(let status): "refused \(status)"
        case .cancelled: "cancelled"
        }
    }
}

/// A connection, its unread bytes, and a log of its steps.
struct ScriptedConnection {
    static let second: UInt64 = 1_000_000_000

    var connection: Connection
    private var unread: [UInt8] = []
    private(set) var events: [ScriptEvent] = []
    private(set) var requests: [HTTPRequest] = []
    /// The sentence of the last refusal.
    private(set) var detail = ""
    var now: UInt64 = 1_000 * second
    let date = DateField(unixSeconds: 784_111_777)

    /// The handler's verdict on a head.
    var verdict: (HTTPRequestHead) -> HeadVerdict = { _ in .accept(maximumBodyBytes: 1 << 20) }
    /// The handler's immediate reply; nil leaves the exchange open.
    var reply: HTTPResponse?

    init(
        limits: HTTPLimits = HTTPLimits(),
        timeouts: HTTPTimeouts = HTTPTimeouts(),
        reply: HTTPResponse? = HTTPResponse(status: 200)
    ) {
        let settings = ConnectionSettings(limits: limits, timeouts: timeouts)
        connection = Connection(settings: settings, peer: PeerAddress(ipv4: 0x7F00_0001, port: 1), now: now)
        self.reply = reply
    }

    mutating func receive(_ text: String) { receive(Array(text.utf8)) }

    mutating func receive(_ bytes: some Sequence<UInt8>) {
        unread.append(contentsOf: bytes)
        advance()
    }

    mutating func endInput() {
        connection.endOfInput(now: now)
        advance()
    }

    mutating func respond(_ response: HTTPResponse = HTTPResponse(status: 200)) {
        connection.respond(response, date: date, now: now)
        advance()
    }

    /// Advances the clock and calls the timer at its deadline.
    mutating func pass(seconds: Double) {
        let target = now + UInt64(seconds * Double(ScriptedConnection.second))
        while let deadline = connection.deadline, deadline <= target {
            now = max(now, deadline)
            connection.timerFired(now: now)
            advance()
            if connection.deadline == deadline { break }
        }
        now = target
    }

    mutating func advance() {
        while true {
            let bytes = unread
            let (consumed, step) = connection.advance(bytes.span, now: now)
            unread.removeFirst(consumed)
            switch step {
            case .wait:
                return
            case .headReceived(let head):
                events.append(.head("\(head.method) \(head.path)"))
                switch verdict(head) {
                case .accept(let maximum): connection.accept(maximumBodyBytes: maximum, now: now)
                case .reject(let response): connection.reject(response, date: date, now: now)
                }
            case .requestReceived(let request):
                requests.append(request)
                events.append(.request("\(request.head.method) \(request.head.path) \(request.body.count)"))
                if let reply { connection.respond(reply, date: date, now: now) }
            case .refused(let refusal):
                events.append(.refused(refusal.status))
                detail = refusal.detail
                let response = HTTPResponse(status: refusal.status, body: Array(refusal.detail.utf8))
                connection.reply(toRefusal: response, date: date, now: now)
            case .cancelled:
                events.append(.cancelled)
            }
        }
    }

    /// The number of unread bytes.
    var unreadCount: Int { unread.count }

    /// Lets the kernel take up to `limit` bytes of the output; returns them as text.
    mutating func takeOutput(limit: Int = .max) -> String {
        String(decoding: takeBytes(limit: limit), as: UTF8.self)
    }

    /// Lets the kernel take up to `limit` bytes of the output; returns them.
    mutating func takeBytes(limit: Int = .max) -> [UInt8] {
        var taken: [UInt8] = []
        while !connection.output.isEmpty, taken.count < limit {
            let piece = connection.output.withVector { vector in
                vector.flatMap { [UInt8](UnsafeRawBufferPointer(start: $0.iov_base, count: $0.iov_len)) }
            }
            let count = min(piece.count, limit - taken.count)
            taken.append(contentsOf: piece.prefix(count))
            connection.wrote(count, now: now)
        }
        advance()
        return taken
    }

    /// The record of the next finished reply; fails the test if there is none.
    mutating func nextRecord() throws -> ReplyRecord {
        let record = connection.nextRecord(now: now)
        return try #require(record)
    }

    /// Expects that every finished reply has been reported.
    mutating func expectNoRecord(sourceLocation: SourceLocation = #_sourceLocation) {
        let record = connection.nextRecord(now: now)
        #expect(record == nil, sourceLocation: sourceLocation)
    }

    /// All output so far, and what to do with the socket then.
    mutating func finishOutput() -> (text: String, ending: Connection.Ending) {
        let text = takeOutput()
        return (text, connection.nextEnding(now: now))
    }
}
