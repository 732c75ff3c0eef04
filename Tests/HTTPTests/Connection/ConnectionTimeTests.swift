// All time-outs, on a clock that the test advances.

import Testing

@testable import HTTP

private let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

@Suite struct ConnectionTimeTests {
    private func timeouts() -> HTTPTimeouts {
        var timeouts = HTTPTimeouts()
        timeouts.firstByte = .seconds(5)
        timeouts.header = .seconds(10)
        timeouts.bodyWindow = .seconds(4)
        timeouts.bodyBytesPerSecond = 10
        timeouts.idle = .seconds(60)
        timeouts.writeStall = .seconds(20)
        timeouts.linger = .seconds(3)
        return timeouts
    }

    private func script(reply: HTTPResponse? = HTTPResponse(status: 200)) -> ScriptedConnection {
        ScriptedConnection(timeouts: timeouts(), reply: reply)
    }

    @Test func firstByte_closesSilently() {
        var script = script()
        script.pass(seconds: 4.9)
        #expect(script.connection.nextEnding(now: script.now) == .none)
        script.pass(seconds: 0.1)
        #expect(script.finishOutput() == ("", .close))
    }

    @Test func firstByte_countsFromTheEndOfAHandshake() {
        var script = script()
        script.now += 60 * ScriptedConnection.second
        script.connection.begin(now: script.now)
        script.pass(seconds: 4.9)
        #expect(script.connection.nextEnding(now: script.now) == .none)
        script.pass(seconds: 0.1)
        #expect(script.finishOutput() == ("", .close))
    }

    @Test func idle_closesSilently() {
        var script = script()
        script.receive(get)
        _ = script.takeOutput()
        script.pass(seconds: 59.9)
        #expect(script.connection.nextEnding(now: script.now) == .none)
        script.pass(seconds: 0.1)
        #expect(script.finishOutput() == ("", .close))
    }

    @Test func emptyLine_doesNotMakeARequest() {
        var script = script()
        script.receive("\r\n")
        script.pass(seconds: 10)
        #expect(script.finishOutput() == ("", .close))
    }

    @Test func header_isAnswered408_however_itDrips() {
        var script = script()
        for byte in "GET / HTTP".utf8 {
            script.receive([byte])
            script.pass(seconds: 0.9)
        }
        #expect(script.events.isEmpty)
        script.pass(seconds: 1)
        #expect(script.events == [.refused(408)])
        let (text, ending) = script.finishOutput()
        #expect(text.hasPrefix("HTTP/1.1 408 Request Timeout\r\n"))
        #expect(ending == .shutdownWrite)
    }

    @Test func header_hasItsFullTime_onAKeptConnection() {
        var script = script()
        script.receive(get)
        _ = script.takeOutput()
        script.pass(seconds: 59)
        script.receive("GET / HT")
        script.pass(seconds: 9)
        script.receive("TP/1.1\r\nHost: a\r\n\r\n")
        #expect(script.requests.count == 2)
    }

    @Test func body_isAnswered408_belowItsRate() {
        var script = script()
        script.receive("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n")
        // 40 bytes in each window of four seconds are enough.
        for _ in 0..<3 {
            script.receive(String(repeating: "x", count: 40))
            script.pass(seconds: 4)
        }
        #expect(!script.events.contains(.refused(408)))
        script.receive(String(repeating: "x", count: 39))
        script.pass(seconds: 4)
        #expect(script.events.last == .refused(408))
        #expect(script.requests.isEmpty)
    }

    @Test func body_mayNotLiveOnOneBurst() {
        var script = script()
        script.receive("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n")
        script.receive(String(repeating: "x", count: 90_000))
        script.pass(seconds: 8)
        #expect(script.events.last == .refused(408))
    }

    @Test func droppedBody_endsTheConnection_belowItsRate() {
        var script = script()
        script.verdict = { _ in .reject(HTTPResponse(status: 404)) }
        script.receive("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n")
        #expect(script.finishOutput().ending == .none)
        script.pass(seconds: 4)
        #expect(!script.events.contains(.refused(408)))
        #expect(script.finishOutput() == ("", .shutdownWrite))
    }

    @Test func exchange_isNotLimited() {
        var script = script(reply: nil)
        script.receive(get)
        #expect(script.connection.deadline == nil)
        script.pass(seconds: 100_000)
        script.respond()
        #expect(script.takeOutput().hasPrefix("HTTP/1.1 200 OK\r\n"))
    }

    @Test func write_cutsTheConnection_whenItMakesNoProgress() throws {
        var script = script(reply: HTTPResponse(status: 200, body: [UInt8](repeating: 0, count: 10_000)))
        script.receive(get)
        for _ in 0..<5 {
            script.pass(seconds: 19)
            _ = script.takeOutput(limit: 10)
        }
        #expect(script.connection.nextEnding(now: script.now) == .none)
        script.pass(seconds: 20)
        #expect(script.connection.nextEnding(now: script.now) == .close)
        let record = try script.nextRecord()
        #expect(!record.isComplete)
    }

    @Test func write_cancelsTheStream_whenItMakesNoProgress() {
        var script = script(reply: nil)
        script.receive(get)
        script.connection.start(status: 200, headers: [], label: 0, date: script.date, now: script.now)
        script.connection.send([1, 2, 3], now: script.now)
        script.pass(seconds: 20)
        #expect(script.events.last == .cancelled)
        #expect(script.connection.nextEnding(now: script.now) == .close)
    }

    @Test func writeTime_countsFromTheFirstWaitingByte() {
        var script = script(reply: nil)
        script.receive(get)
        script.connection.start(status: 200, headers: [], label: 0, date: script.date, now: script.now)
        _ = script.takeOutput()
        script.pass(seconds: 1_000)
        script.connection.send([1, 2, 3], now: script.now)
        script.pass(seconds: 19)
        #expect(!script.events.contains(.cancelled))
    }

    @Test func linger_ends_whenTheClientDoesNotClose() {
        var script = script()
        script.receive("BROKEN\r\n\r\n")
        #expect(script.finishOutput().ending == .shutdownWrite)
        script.pass(seconds: 2)
        script.receive("more")
        script.pass(seconds: 0.9)
        #expect(script.connection.nextEnding(now: script.now) == .none)
        script.pass(seconds: 0.1)
        #expect(script.connection.nextEnding(now: script.now) == .close)
    }
}
