// The life of a connection: order, persistence, 100-continue, rejection, HEAD, HTTP/1.0, streams, half-close
// (RFC 9112 §9, RFC 9110 §10.1.1). Scripted, without sockets.

import Testing

@testable import HTTP

private let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

private func post(_ fields: String, _ body: String = "") -> String {
    "POST / HTTP/1.1\r\nHost: a\r\n\(fields)\r\n\r\n\(body)"
}

@Suite struct PersistenceTests {
    @Test func reply_isWrittenWhole() {
        var script = ScriptedConnection(
            reply: HTTPResponse(status: 200, headers: [("Content-Type", "text/plain")], body: Array("hello".utf8))
        )
        script.receive(get)
        let expected =
            "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Type: text/plain\r\n"
            + "Content-Length: 5\r\n\r\nhello"
        #expect(script.takeOutput() == expected)
    }

    @Test func connection_isKept_byDefaultIn11() {
        var script = ScriptedConnection()
        for _ in 0..<3 {
            script.receive(get)
            let (text, ending) = script.finishOutput()
            #expect(!text.contains("Connection:"))
            #expect(ending == .none)
        }
        #expect(script.requests.count == 3)
    }

    @Test(arguments: ["close", "Close", "x, close", "keep-alive, close"])
    func connection_isClosed_whenAskedTo(_ option: String) {
        var script = ScriptedConnection()
        script.receive("GET / HTTP/1.1\r\nHost: a\r\nConnection: \(option)\r\n\r\n" + get)
        let (text, ending) = script.finishOutput()
        #expect(text.contains("\r\nConnection: close\r\n"))
        #expect(ending == .shutdownWrite)
        #expect(script.requests.count == 1)
    }

    @Test func connection_isClosed_byDefaultIn10() {
        var script = ScriptedConnection()
        script.receive("GET / HTTP/1.0\r\n\r\n")
        let (text, ending) = script.finishOutput()
        #expect(text.hasPrefix("HTTP/1.1 200 OK\r\n"))
        #expect(text.contains("\r\nConnection: close\r\n"))
        #expect(ending == .shutdownWrite)
    }

    @Test func connection_isKept_whenAskedToIn10() {
        var script = ScriptedConnection()
        script.receive("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n")
        let (text, ending) = script.finishOutput()
        #expect(text.contains("\r\nConnection: keep-alive\r\n"))
        #expect(ending == .none)
    }

    @Test func connection_isClosed_whenTheHandlerSaysSo() {
        var script = ScriptedConnection(reply: HTTPResponse(status: 200, closesConnection: true))
        script.receive(get)
        let (text, ending) = script.finishOutput()
        #expect(text.contains("\r\nConnection: close\r\n"))
        #expect(ending == .shutdownWrite)
    }

    @Test func head_getsTheLengthAndNoContent() {
        var script = ScriptedConnection(reply: HTTPResponse(status: 200, body: Array("hello".utf8)))
        script.receive("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n" + get)
        let replies = script.takeOutput()
        #expect(replies.contains("Content-Length: 5\r\n\r\nHTTP/1.1 200 OK"))
        #expect(replies.hasSuffix("Content-Length: 5\r\n\r\nhello"))
    }

    @Test(arguments: [204, 304]) func reply_hasNoContentAndNoLength_whenItsStatusHasNone(_ status: Int) {
        var script = ScriptedConnection(reply: HTTPResponse(status: status, body: Array("dropped".utf8)))
        script.receive(get)
        let text = script.takeOutput()
        #expect(!text.contains("Content-Length"))
        #expect(text.hasSuffix("\r\n\r\n"))
    }

    @Test func pipelinedRequests_areTakenOneAtATime_andAnsweredInOrder() {
        var script = ScriptedConnection(reply: nil)
        script.receive((1...3).map { "GET /\($0) HTTP/1.1\r\nHost: a\r\n\r\n" }.joined())
        for number in 1...3 {
            #expect(script.requests.map(\.head.path) == (1...number).map { "/\($0)" })
            script.respond(HTTPResponse(status: 200, body: Array("<\(number)>".utf8)))
        }
        let text = script.takeOutput()
        #expect(text.split(separator: "<").dropFirst().map { $0.first } == ["1", "2", "3"])
    }

    @Test func readingAhead_isBounded() {
        var limits = HTTPLimits()
        limits.readAheadBytes = 100
        let script = ScriptedConnection(limits: limits, reply: nil)
        var waiting = script
        waiting.receive(get)
        #expect(waiting.connection.wantsInput(unread: 99))
        #expect(!waiting.connection.wantsInput(unread: 100))
        #expect(script.connection.wantsInput(unread: 100))
    }

    @Test func pipelinedReplies_areBounded_whenTheClientDoesNotRead() {
        let size = 100_000
        var script = ScriptedConnection(reply: HTTPResponse(status: 200, body: [UInt8](repeating: 1, count: size)))
        script.receive(String(repeating: get, count: 20))
        #expect(script.connection.output.count <= Connection.pipelinedOutputLimit + size + 1_000)
        #expect(script.requests.count < 20)
        while script.takeOutput(limit: 50_000) != "" {}
        #expect(script.requests.count == 20)
    }
}

@Suite struct ContinueTests {
    @Test func continueIsSent_onceTheHeadIsAccepted() {
        var script = ScriptedConnection()
        script.receive(post("Content-Length: 5\r\nExpect: 100-Continue"))
        #expect(script.takeOutput() == "HTTP/1.1 100 Continue\r\n\r\n")
        script.receive("hello")
        #expect(script.takeOutput().hasPrefix("HTTP/1.1 200 OK\r\n"))
    }

    @Test func continueIsNotSent_whenTheBodyIsComingAnyway() {
        var script = ScriptedConnection()
        script.receive(post("Content-Length: 5\r\nExpect: 100-continue", "h"))
        #expect(script.takeOutput() == "")
    }

    @Test(arguments: [
        "GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n", post("Content-Length: 0\r\nExpect: 100-continue"),
    ])
    func continueIsNotSent_whenThereIsNoBody(_ request: String) {
        var script = ScriptedConnection()
        script.receive(request)
        #expect(script.takeOutput().hasPrefix("HTTP/1.1 200 OK\r\n"))
    }

    @Test func continueIsNotSent_toVersion10() {
        var script = ScriptedConnection()
        script.receive("POST / HTTP/1.0\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        #expect(script.takeOutput() == "")
    }

    @Test func finalStatusComesInstead_andTheConnectionCloses_whenRejected() {
        var script = ScriptedConnection()
        script.verdict = { _ in .reject(HTTPResponse(status: 401)) }
        script.receive(post("Content-Length: 5\r\nExpect: 100-continue"))
        let (text, ending) = script.finishOutput()
        #expect(text.hasPrefix("HTTP/1.1 401 Unauthorized\r\n"))
        #expect(text.contains("\r\nConnection: close\r\n"))
        #expect(ending == .shutdownWrite)
    }

    @Test func tooLargeABody_isRefusedInsteadOf100() {
        var script = ScriptedConnection()
        script.verdict = { _ in .accept(maximumBodyBytes: 4) }
        script.receive(post("Content-Length: 5\r\nExpect: 100-continue"))
        #expect(script.takeOutput().hasPrefix("HTTP/1.1 413 Content Too Large\r\n"))
    }
}

@Suite struct RejectionTests {
    private func rejecting(_ limits: HTTPLimits = HTTPLimits()) -> ScriptedConnection {
        var script = ScriptedConnection(limits: limits)
        script.verdict = { $0.path == "/" ? .reject(HTTPResponse(status: 404)) : .accept(maximumBodyBytes: 10) }
        return script
    }

    @Test func shortBody_isDroppedAndTheConnectionKept() {
        var script = rejecting()
        script.receive(post("Content-Length: 5", "hel"))
        let early = script.finishOutput()
        #expect(early.text.hasPrefix("HTTP/1.1 404 Not Found\r\n"))
        #expect(!early.text.contains("Connection: close"))
        #expect(early.ending == .none)
        script.receive("loGET /next HTTP/1.1\r\nHost: a\r\n\r\n")
        #expect(script.requests.map(\.head.path) == ["/next"])
    }

    @Test func longBody_closesTheConnection() {
        var limits = HTTPLimits()
        limits.droppedBodyBytes = 5
        for (length, isKept) in [(5, true), (6, false)] {
            var script = rejecting(limits)
            script.receive(post("Content-Length: \(length)"))
            let (text, ending) = script.finishOutput()
            #expect(text.contains("Connection: close") == !isKept)
            #expect(ending == (isKept ? .none : .shutdownWrite))
        }
    }

    @Test func chunkedBody_closesTheConnection() {
        var script = rejecting()
        script.receive(post("Transfer-Encoding: chunked", "5\r\nhello\r\n"))
        #expect(script.finishOutput().ending == .shutdownWrite)
    }

    @Test func bodylessRequest_keepsTheConnection() {
        var script = rejecting()
        script.receive(get + "GET /next HTTP/1.1\r\nHost: a\r\n\r\n")
        #expect(script.requests.map(\.head.path) == ["/next"])
        #expect(script.finishOutput().ending == .none)
    }

    @Test func closing_waitsForTheClient_soThatItSeesTheReply() {
        var script = ScriptedConnection()
        script.receive("BROKEN\r\n\r\n")
        let (text, ending) = script.finishOutput()
        #expect(text.hasPrefix("HTTP/1.1 400 Bad Request\r\n"))
        #expect(ending == .shutdownWrite)
        #expect(script.connection.wantsInput(unread: 0))
        script.receive(String(repeating: "x", count: 100_000))
        #expect(script.unreadCount == 0)
        #expect(script.connection.nextEnding(now: script.now) == .none)
        script.endInput()
        #expect(script.connection.nextEnding(now: script.now) == .close)
    }
}

@Suite struct StreamTests {
    private func streaming(_ request: String = get) -> ScriptedConnection {
        var script = ScriptedConnection(reply: nil)
        script.receive(request)
        script.connection.start(
            status: 200,
            headers: [("Content-Type", "x/y")],
            label: 7,
            date: script.date,
            now: script.now
        )
        return script
    }

    @Test func stream_isChunked() {
        var script = streaming()
        #expect(script.takeOutput().hasSuffix("Content-Type: x/y\r\nTransfer-Encoding: chunked\r\n\r\n"))
        script.connection.send(Array("hello".utf8), now: script.now)
        #expect(script.takeOutput() == "5\r\nhello\r\n")
        script.connection.send([], now: script.now)
        #expect(script.takeOutput() == "")
        script.connection.send([UInt8](repeating: 0x61, count: 20_000), now: script.now)
        #expect(script.takeOutput() == "4e20\r\n" + String(repeating: "a", count: 20_000) + "\r\n")
        script.connection.finish(now: script.now)
        let (text, ending) = script.finishOutput()
        #expect(text == "0\r\n\r\n")
        #expect(ending == .none)
        script.receive(get)
        #expect(script.requests.count == 2)
    }

    @Test func stream_endsWithTheConnection_inVersion10() {
        var script = streaming("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        let head = script.takeOutput()
        #expect(head.contains("\r\nConnection: close\r\n"))
        #expect(!head.contains("Transfer-Encoding"))
        script.connection.send(Array("hello".utf8), now: script.now)
        script.connection.finish(now: script.now)
        let (text, ending) = script.finishOutput()
        #expect(text == "hello")
        #expect(ending == .shutdownWrite)
    }

    @Test func stream_hasNoContent_afterHead() {
        var script = streaming("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n")
        script.connection.send(Array("hello".utf8), now: script.now)
        script.connection.finish(now: script.now)
        let (text, ending) = script.finishOutput()
        #expect(text.hasSuffix("\r\n\r\n"))
        #expect(!text.contains("hello"))
        #expect(ending == .none)
    }

    @Test func stream_endsWithoutTheLastChunk_whenAborted() throws {
        var script = streaming()
        script.connection.send(Array("hello".utf8), now: script.now)
        script.connection.abort(now: script.now)
        let (text, ending) = script.finishOutput()
        #expect(text.hasSuffix("5\r\nhello\r\n"))
        #expect(ending == .shutdownWrite)
        let record = try script.nextRecord()
        #expect(!record.isComplete)
        #expect(record.label == 7)
    }

    @Test func abortedStream_isAReset_inVersion10() {
        for isAborted in [true, false] {
            var script = streaming("GET / HTTP/1.0\r\n\r\n")
            script.connection.send(Array("part".utf8), now: script.now)
            if isAborted { script.connection.abort(now: script.now) } else { script.connection.finish(now: script.now) }
            // The connection writes pending output first.
            #expect(script.connection.nextEnding(now: script.now) == .none)
            let (text, ending) = script.finishOutput()
            #expect(text.hasSuffix("part") && ending == (isAborted ? .reset : .shutdownWrite))
        }
    }

    @Test func replies_afterTheFirst_areIgnored() {
        var script = streaming()
        script.respond(HTTPResponse(status: 500))
        script.connection.finish(now: script.now)
        script.connection.finish(now: script.now)
        script.connection.send(Array("late".utf8), now: script.now)
        let text = script.takeOutput()
        #expect(text.hasSuffix("\r\n\r\n0\r\n\r\n"))
        #expect(!text.contains("500"))
    }
}

@Suite struct DisconnectTests {
    @Test func halfClosedClient_getsItsReply() {
        var script = ScriptedConnection(reply: nil)
        script.receive("GET / HTTP/1.0\r\n\r\n")
        script.endInput()
        script.respond(HTTPResponse(status: 200, body: Array("hello".utf8)))
        let (text, ending) = script.finishOutput()
        #expect(text.hasSuffix("hello"))
        #expect(ending == .close)
        #expect(!script.events.contains(.cancelled))
    }

    @Test func halfClosedClient_isProbed_whileItsReplyIsOutstanding() {
        var script = ScriptedConnection(reply: nil)
        script.receive(get)
        script.endInput()
        #expect(script.takeOutput() == "HTTP/1.1 100 Continue\r\n\r\n")
        script.respond()
        let (text, ending) = script.finishOutput()
        #expect(text.hasPrefix("HTTP/1.1 200 OK\r\n"))
        #expect(ending == .close)
    }

    @Test func halfClosedClient_getsEveryPipelinedReply() {
        var script = ScriptedConnection()
        script.reply = nil
        script.receive(get + get + get)
        script.endInput()
        for _ in 0..<3 { script.respond() }
        #expect(script.requests.count == 3)
        #expect(script.takeOutput().ranges(of: "HTTP/1.1 200 OK").count == 3)
    }

    @Test func vanishedClient_cancelsItsExchange_once() {
        var script = ScriptedConnection(reply: nil)
        script.receive(get)
        script.connection.vanished()
        script.connection.vanished()
        script.advance()
        #expect(script.events == [.head("GET /"), .request("GET / 0"), .cancelled])
        #expect(script.connection.nextEnding(now: script.now) == .close)
        script.respond()
        #expect(script.takeOutput() == "")
    }

    @Test func vanishedClient_cancelsNothing_betweenRequests() {
        var script = ScriptedConnection()
        script.receive(get)
        script.connection.vanished()
        script.advance()
        #expect(!script.events.contains(.cancelled))
    }

    @Test func vanishedClient_leavesItsStreamIncomplete() throws {
        var script = ScriptedConnection(reply: nil)
        script.receive(get)
        script.connection.start(status: 200, headers: [], label: 3, date: script.date, now: script.now)
        _ = script.takeOutput()
        script.connection.vanished()
        script.advance()
        let record = try script.nextRecord()
        #expect(!record.isComplete && record.status == 200 && record.label == 3)
        script.expectNoRecord()
    }

    @Test(arguments: ["GET / HT", "GET / HTTP/1.1\r\nHost: a\r\n", post("Content-Length: 5", "hell")])
    func request_isAnswered400_whenItEndsTooEarly(_ text: String) {
        var script = ScriptedConnection()
        script.receive(text)
        script.endInput()
        #expect(script.events.last == .refused(400))
        #expect(script.finishOutput().ending == .close)
    }

    @Test(arguments: ["", "\r\n", get, get + "\r\n"]) func connection_closesSilently_whenItEndsBetweenRequests(
        _ text: String
    ) {
        var script = ScriptedConnection()
        script.receive(text)
        _ = script.takeOutput()
        script.endInput()
        #expect(script.finishOutput().text == "")
        #expect(script.connection.nextEnding(now: script.now) == .close)
    }
}

@Suite struct RecordTests {
    @Test func record_isMade_onceTheLastByteIsTaken() throws {
        var script = ScriptedConnection(reply: HTTPResponse(status: 201, body: [1, 2, 3], label: 42))
        script.receive(get)
        script.expectNoRecord()
        let head = script.takeOutput(limit: 10)
        script.expectNoRecord()
        script.now += 5_000
        let rest = script.takeOutput()
        let record = try script.nextRecord()
        let expected = ReplyRecord(
            method: .get,
            status: 201,
            label: 42,
            isFromHandler: true,
            byteCount: head.utf8.count + rest.utf8.count,
            durationNanoseconds: 5_000,
            isComplete: true
        )
        #expect(record == expected)
    }

    @Test func record_saysThatHTTPAnswered() throws {
        var script = ScriptedConnection()
        script.receive("BROKEN\r\n\r\n")
        _ = script.takeOutput()
        let record = try script.nextRecord()
        #expect(record.method == nil && record.status == 400 && !record.isFromHandler)
    }
}
