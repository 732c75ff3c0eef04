// Accept-Encoding and its effect on replies (RFC 9110 §8.4, §12.5.3, §12.5.5).

import Dispatch
import Random
import Testing

@testable import HTTP

/// The codings that a request with these fields accepts.
private func accepted(_ fields: String...) throws -> AcceptedCodings {
    let lines = fields.map { "Accept-Encoding: \($0)\r\n" }.joined()
    return try #require(HTTPRequestHead(parsing: Array("GET / HTTP/1.1\r\nHost: a\r\n\(lines)\r\n".utf8)))
        .acceptedCodings
}

@Suite struct AcceptEncodingTests {
    @Test(
        arguments: [
            ("gzip", .gzip), ("x-gzip", .gzip), ("GZip", .gzip), ("*", .gzip), ("gzip, deflate, br", .gzip),
            ("gzip;q=0.001", .gzip), ("gzip ; Q=1.000", .gzip), ("gzip;q=0.5, identity;q=0.5", .gzip),
            ("br, *;q=0.1", .gzip),
            ("identity;q=0, gzip", .gzip), ("*;q=0, gzip;q=0.1", .gzip), ("identity;q=0, *", .gzip),
            ("", .identity), ("br", .identity), ("identity", .identity), ("gzip;q=0", .identity),
            ("gzip;q=0.000", .identity),
            ("gzip;q=0.4, identity;q=0.5", .identity), ("*;q=0.5, identity", .identity), ("*, gzip;q=0", .identity),
            ("*;q=0, identity", .identity), ("x-gzip;q=0", .identity), ("gzipped", .identity),
            ("br, deflate;q=0.5", .identity),
            // An invalid weight is ignored.
            ("gzip;q=2", .identity), ("gzip;q=", .identity), ("gzip;q=0.1234", .identity), ("gzip;q=-1", .identity),
            ("gzip;q=.5", .identity), ("gzip;level=1", .identity), ("gzip;q=1.001", .identity),
            ("gzip;q=0,5", .identity),
            ("*;q=0", nil), ("identity;q=0", nil), ("identity;q=0, br", nil), ("gzip;q=0, *;q=0", nil),
            ("identity;q=0, gzip;q=0", nil), ("identity;q=0.0, *;q=0", nil),
        ] as [(String, ContentCoding?)]
    )
    func coding_isChosen(_ field: String, _ coding: ContentCoding?) throws {
        #expect(try accepted(field).choose(offersGzip: true) == coding)
    }

    @Test func withoutAField_contentIsNotCoded() throws {
        #expect(try accepted().choose(offersGzip: true) == .identity)
    }

    @Test func severalFields_areOneList() throws {
        #expect(try accepted("br", "gzip").choose(offersGzip: true) == .gzip)
        #expect(try accepted("gzip;q=0.2", "identity").choose(offersGzip: true) == .identity)
    }

    @Test func gzip_isNotChosen_whereItIsNotOffered() throws {
        #expect(try accepted("gzip").choose(offersGzip: false) == .identity)
        #expect(try accepted("gzip, identity;q=0").choose(offersGzip: false) == nil)
    }
}

@Suite struct ReplyCompressionTests {
    private static let text = String(repeating: "{\"item\":\"scifi-1-04\",\"score\":0.5},", count: 100)

    private static func response(
        _ text: String = text,
        type: String = "application/json",
        status: Int = 200,
        more: HTTPFields = []
    ) -> HTTPResponse {
        HTTPResponse(status: status, headers: [("Content-Type", type)] + more, body: Array(text.utf8))
    }

    private static func coded(
        _ response: HTTPResponse,
        accept: String...,
        isOnLoop: Bool = false,
        change: (inout HTTPCompression) -> Void = { _ in }
    ) throws -> HTTPResponse {
        var settings = HTTPCompression()
        change(&settings)
        let codings = try accept.first.map { try accepted($0) } ?? AcceptedCodings()
        return ReplyCompression(settings: settings, accepted: codings).whole(response, isOnLoop: isOnLoop)
    }

    private static func field(_ name: String, _ response: HTTPResponse) -> [String] {
        response.headers.filter { $0.name == name }.map(\.value)
    }

    @Test func reply_isCoded_whereItIsAskedFor() throws {
        let coded = try Self.coded(Self.response(), accept: "gzip")
        #expect(Self.field("Content-Encoding", coded) == ["gzip"])
        #expect(Self.field("Vary", coded) == ["Accept-Encoding"])
        #expect(coded.body.count < Self.text.utf8.count / 10)
        let read = Gunzipped(coded.body)
        #expect(read.text == Self.text && read.isComplete)
    }

    @Test(arguments: [
        "application/problem+json", "text/html; charset=utf-8", "text/plain", "application/openmetrics-text",
    ])
    func textTypes_areCoded(_ type: String) throws {
        #expect(Self.field("Content-Encoding", try Self.coded(Self.response(type: type), accept: "gzip")) == ["gzip"])
    }

    @Test func replyThatWouldBeCodedForOthers_saysSo() throws {
        let plain = try Self.coded(Self.response())
        #expect(plain.body == Array(Self.text.utf8))
        #expect(Self.field("Vary", plain) == ["Accept-Encoding"] && Self.field("Content-Encoding", plain).isEmpty)
        let negotiated = try Self.coded(Self.response(more: [("Vary", "Accept")]))
        #expect(Self.field("Vary", negotiated) == ["Accept, Accept-Encoding"])
    }

    @Test func replyThatIsNeverCoded_isLeftAlone() throws {
        let short = String(Self.text.prefix(HTTPCompression().minimumBytes - 1))
        let untouched = [
            Self.response(short), Self.response(""), Self.response(type: "image/png"), Self.response(status: 304),
            Self.response(more: [("Content-Encoding", "br")]), HTTPResponse(status: 200, body: Array(Self.text.utf8)),
        ]
        for response in untouched {
            let coded = try Self.coded(response, accept: "gzip")
            #expect(coded.body == response.body && coded.headers.count == response.headers.count)
        }
        let off = try Self.coded(Self.response(), accept: "gzip") { $0.level = 0 }
        #expect(off.headers.count == 1)
    }

    @Test func minimum_isAtItsLimit() throws {
        let response = Self.response()
        let count = response.body.count
        #expect(try Self.coded(response, accept: "gzip") { $0.minimumBytes = count }.body.count < count)
        #expect(try Self.coded(response, accept: "gzip") { $0.minimumBytes = count + 1 }.body.count == count)
    }

    @Test func longReply_isCoded_exceptOnALoop() throws {
        let long = Self.response(String(repeating: "a", count: ReplyCompression.loopBytes + 1))
        #expect(try Self.coded(long, accept: "gzip").body.count < 10_000)
        #expect(try Self.coded(long, accept: "gzip", isOnLoop: true).body.count == long.body.count)
        let atLimit = Self.response(String(repeating: "a", count: ReplyCompression.loopBytes))
        #expect(try Self.coded(atLimit, accept: "gzip", isOnLoop: true).body.count < 10_000)
    }

    @Test func identityThatIsForbidden_isNotSent() throws {
        let response = Self.response("{}")
        let coded = try Self.coded(response, accept: "gzip, identity;q=0", isOnLoop: true)
        #expect(Gunzipped(coded.body) == Gunzipped(gzip(Array("{}".utf8))))
        #expect(Self.field("Content-Encoding", coded) == ["gzip"])
    }

    @Test func contentThatDoesNotShrink_isSentAsItIs() throws {
        var generator = SplitMix64(seed: 3)
        let noise = (0..<2_000).map { _ in UInt8.random(in: 0...255, using: &generator) }
        let response = HTTPResponse(status: 200, headers: [("Content-Type", "text/plain")], body: noise)
        let coded = try Self.coded(response, accept: "gzip")
        #expect(coded.body == noise && Self.field("Content-Encoding", coded).isEmpty)
    }

    // MARK: Over a connection

    @Test func head_hasTheFieldsOfGet() throws {
        let handler = TestHandler { _, exchange in exchange.respond(Self.response()) }
        let server = try TestServer(handler: handler)
        let client = try TestClient(server.address)
        func head(_ method: String) -> [Substring] {
            client.send("\(method) / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n")
            let reply = client.read(until: "\r\n\r\n")
            return reply.split(separator: "\r\n").filter { !$0.hasPrefix("Date") }
        }
        let ofHead = head("HEAD")
        #expect(ofHead == head("GET"))
        #expect(ofHead.contains("Content-Encoding: gzip") && ofHead.contains("Vary: Accept-Encoding"))
    }

    @Test(arguments: [false, true]) func reply_isCoded_whereverItIsMade(_ isMadeOnTheLoop: Bool) throws {
        let handler = TestHandler { _, exchange in
            DispatchQueue.global().async {
                if isMadeOnTheLoop {
                    exchange.respond(making: { Self.response() })
                } else {
                    exchange.respond(Self.response())
                }
            }
        }
        let server = try TestServer(handler: handler)
        let client = try TestClient(server.address)
        client.send("GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\nConnection: close\r\n\r\n")
        let head = client.read(until: "\r\n\r\n")
        #expect(head.contains("\r\nContent-Encoding: gzip\r\n"))
        var body: [UInt8] = []
        while let piece = client.read() { body += piece }
        #expect(head.contains("\r\nContent-Length: \(body.count)\r\n"))
        #expect(Gunzipped(body).text == Self.text)
    }

    @Test func pausedConnection_isServedToItsEnd() throws {
        // The inflated size of each request fills one turn of the loop; all requests arrive in one packet.
        let body = gzip([UInt8](repeating: 65, count: 300_000))
        var configured = 0
        let server = try TestServer.echoing { configuration in
            configuration.limits.inflationRatio = 2_000
            configured += 1
        }
        #expect(configured == 1)
        let client = try TestClient(server.address)
        let head = "POST /a HTTP/1.1\r\nHost: a\r\nContent-Encoding: gzip\r\nContent-Length: \(body.count)\r\n\r\n"
        for _ in 0..<3 { client.send((0..<20).flatMap { _ in Array(head.utf8) + body }) }
        for _ in 0..<60 { #expect(client.readReply().hasSuffix("/a 300000")) }
    }
}

@Suite struct StreamCompressionTests {
    private func streaming(_ fields: String, version: String = "1.1") -> ScriptedConnection {
        var script = ScriptedConnection(reply: nil)
        script.receive("GET / HTTP/\(version)\r\nHost: a\r\n\(fields)\r\n")
        let headers: HTTPFields = [("Content-Type", "application/x-ndjson")]
        script.connection.start(status: 200, headers: headers, label: 0, date: script.date, now: script.now)
        return script
    }

    /// The content of the chunks, and whether the last chunk arrived.
    private func chunks(_ bytes: [UInt8]) -> (pieces: [[UInt8]], isComplete: Bool) {
        var pieces: [[UInt8]] = []
        var rest = bytes[...]
        while let lineEnd = rest.firstIndex(of: 13) {
            let size = Int(String(decoding: rest[..<lineEnd], as: UTF8.self), radix: 16) ?? -1
            if size == 0 { return (pieces, true) }
            pieces.append(Array(rest[(lineEnd + 2)..<(lineEnd + 2 + size)]))
            rest = rest[(lineEnd + 4 + size)...]
        }
        return (pieces, false)
    }

    @Test func everyItem_canBeRead_onceItHasArrived() {
        var script = streaming("Accept-Encoding: gzip\r\n")
        let head = script.takeOutput()
        #expect(head.contains("\r\nContent-Encoding: gzip\r\n") && head.contains("\r\nVary: Accept-Encoding\r\n"))
        var received: [UInt8] = []
        var expected = ""
        for number in 0..<50 {
            let item = "{\"item\":\"scifi-\(number)\",\"rank\":\(number)}\n"
            expected += item
            script.connection.send(Array(item.utf8), now: script.now)
            received += chunks(script.takeBytes()).pieces.joined()
            #expect(Gunzipped(received).text == expected)
        }
        script.connection.finish(now: script.now)
        let (pieces, isComplete) = chunks(script.takeBytes())
        received += pieces.joined()
        #expect(isComplete)
        let read = Gunzipped(received)
        #expect(read.text == expected && read.isComplete)
        #expect(received.count < expected.utf8.count)
        #expect(script.finishOutput().ending == .none)
    }

    @Test func abortedStream_isTruncatedInBothCodings() {
        var script = streaming("Accept-Encoding: gzip\r\n")
        _ = script.takeOutput()
        script.connection.send(Array("{\"error\":{}}\n".utf8), now: script.now)
        script.connection.abort(now: script.now)
        let (pieces, isComplete) = chunks(script.takeBytes())
        let read = Gunzipped(Array(pieces.joined()))
        #expect(read.text == "{\"error\":{}}\n" && !read.isComplete && !isComplete)
        #expect(script.finishOutput().ending == .shutdownWrite)
    }

    @Test func nextReply_isNotCodedByTheLastStream() {
        var script = streaming("Accept-Encoding: gzip\r\n")
        script.connection.send([65], now: script.now)
        script.connection.finish(now: script.now)
        script.receive("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        script.connection.start(status: 200, headers: [], label: 0, date: script.date, now: script.now)
        _ = script.takeBytes()
        script.connection.send([65], now: script.now)
        #expect(script.takeOutput() == "1\r\nA\r\n")
    }

    @Test func stream_isNotCoded_whereItIsNotAskedFor() {
        var script = streaming("")
        script.connection.send([65], now: script.now)
        let text = script.takeOutput()
        #expect(text.contains("\r\nVary: Accept-Encoding\r\n") && !text.contains("Content-Encoding"))
        #expect(text.hasSuffix("1\r\nA\r\n"))
    }

    @Test func version10_getsACodedStream_thatEndsWithTheConnection() {
        var script = streaming("Accept-Encoding: gzip\r\n", version: "1.0")
        #expect(script.takeOutput().contains("\r\nContent-Encoding: gzip\r\n"))
        script.connection.send(Array("item\n".utf8), now: script.now)
        script.connection.finish(now: script.now)
        let read = Gunzipped(script.takeBytes())
        #expect(read.text == "item\n" && read.isComplete)
    }
}
