// Connections during shutdown: announced, then drained. Scripted, without sockets.

import Testing

@testable import HTTP

private let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

@Suite struct DrainTests {
    private let closeLine = "\r\nConnection: close\r\n"

    @Test func idleConnection_closesAtOnce() {
        var script = ScriptedConnection()
        script.receive(get)
        _ = script.takeOutput()
        script.connection.drain(now: script.now)
        #expect(script.connection.nextEnding(now: script.now) == .close)
    }

    @Test func connectionThatHasJustCome_mayStillSendItsRequest() {
        var script = ScriptedConnection()
        script.connection.drain(now: script.now)
        #expect(script.connection.nextEnding(now: script.now) == .none)
        script.receive(get)
        let (text, ending) = script.finishOutput()
        #expect(text.hasPrefix("HTTP/1.1 200 OK\r\n") && text.contains(closeLine))
        #expect(ending == .shutdownWrite)
    }

    @Test func connectionThatSendsNothing_closesSoon() throws {
        var script = ScriptedConnection()
        let start = script.now
        script.connection.drain(now: start)
        #expect(script.connection.deadline == start + Connection.freshGrace)
        script.connection.timerFired(now: start + Connection.freshGrace)
        #expect(script.connection.nextEnding(now: script.now) == .close)
        var older = ScriptedConnection()
        older.connection.drain(now: start + Connection.freshGrace)
        #expect(older.connection.nextEnding(now: script.now) == .close)
    }

    @Test func openExchange_isFinished_andItsReplySaysClose() {
        var script = ScriptedConnection(reply: nil)
        script.receive(get)
        script.connection.drain(now: script.now)
        #expect(script.connection.nextEnding(now: script.now) == .none)
        script.respond()
        let (text, ending) = script.finishOutput()
        #expect(text.contains(closeLine))
        #expect(ending == .shutdownWrite)
    }

    @Test func pipelinedRequests_areAnswered_andTheLastReplySaysClose() {
        var script = ScriptedConnection(reply: nil)
        script.receive(get + get + get)
        script.connection.drain(now: script.now)
        script.respond()
        script.respond()
        #expect(!script.takeOutput().contains(closeLine))
        script.respond()
        let (text, ending) = script.finishOutput()
        #expect(text.contains(closeLine))
        #expect(ending == .shutdownWrite)
        #expect(script.requests.count == 3)
    }

    @Test func requestsThatComeOnceTheServerEnds_doNotKeepTheConnection() {
        var script = ScriptedConnection(reply: nil)
        script.receive(get + get)
        script.connection.settings.beginEnding()
        script.respond()
        #expect(!script.takeOutput().contains(closeLine))
        script.receive(get)
        script.respond()
        let (text, ending) = script.finishOutput()
        #expect(text.contains(closeLine))
        #expect(ending == .shutdownWrite)
        #expect(script.requests.count == 2)
    }

    @Test func announcedEnd_keepsAnIdleConnection_forOneMoreRequest() {
        var script = ScriptedConnection()
        script.receive(get)
        #expect(!script.takeOutput().contains(closeLine))
        script.connection.settings.beginEnding()
        #expect(script.connection.nextEnding(now: script.now) == .none)
        script.receive(get)
        let (text, ending) = script.finishOutput()
        #expect(text.contains(closeLine))
        #expect(ending == .shutdownWrite)
    }

    @Test func rejectedRequest_isNotTakenForTheOneBehindIt() {
        var script = ScriptedConnection()
        script.verdict = { _ in .reject(HTTPResponse(status: 415)) }
        script.connection.settings.beginEnding()
        script.receive("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody")
        let (text, ending) = script.finishOutput()
        #expect(text.contains(closeLine))
        #expect(ending == .shutdownWrite)
        // A request that follows is answered.
        script = ScriptedConnection()
        script.verdict = { $0.method == .post ? .reject(HTTPResponse(status: 415)) : .accept(maximumBodyBytes: 0) }
        script.connection.settings.beginEnding()
        script.receive("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody" + get)
        let replies = script.finishOutput().text.split(separator: "HTTP/1.1 ")
        #expect(replies.count == 2)
        #expect(replies.map { $0.contains(closeLine) } == [false, true])
    }

    @Test func streamThatHasBegun_isFinished_andTheConnectionClosesBehindIt() {
        var script = ScriptedConnection(reply: nil)
        script.receive(get)
        script.connection.start(status: 200, headers: [], label: 0, date: script.date, now: script.now)
        script.connection.send([1], now: script.now)
        script.connection.drain(now: script.now)
        script.connection.send([2], now: script.now)
        script.connection.finish(now: script.now)
        let (text, ending) = script.finishOutput()
        #expect(text.hasSuffix("1\r\n\u{2}\r\n0\r\n\r\n"))
        #expect(ending == .shutdownWrite)
    }

    @Test func emptyLineThatMayPrecedeARequest_isNoReasonToWait() {
        var script = ScriptedConnection()
        script.receive(get)
        _ = script.takeOutput()
        script.receive("\r\n")
        script.connection.drain(now: script.now)
        #expect(script.connection.nextEnding(now: script.now) == .close)
    }

    @Test func requestThatHasBegun_isFinished() {
        var script = ScriptedConnection()
        script.receive("GET / HT")
        script.connection.drain(now: script.now)
        script.receive("TP/1.1\r\nHost: a\r\n\r\n")
        #expect(script.requests.count == 1)
        #expect(script.takeOutput().contains("\r\nConnection: close\r\n"))
    }

    @Test func writtenReply_isStillDelivered() {
        var script = ScriptedConnection()
        script.receive(get)
        script.connection.drain(now: script.now)
        #expect(script.connection.nextEnding(now: script.now) == .none)
        let (text, ending) = script.finishOutput()
        #expect(text.hasPrefix("HTTP/1.1 200 OK\r\n"))
        #expect(ending == .shutdownWrite)
    }
}
