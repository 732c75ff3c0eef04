// `POST /recommend` record by record, over the wire.

import Foundation
import Testing

@Suite struct StreamTests {
    private static let ndjson = "application/x-ndjson"
    private static let history = """
        {"items":["anime-4-01","anime-4-02","anime-6-01"],"timestamps":[1700709188,1700782710,1700784705]}
        """

    private static func body(_ rest: String = "", k: Int = 5) -> String {
        "{\"history\":\(history),\"request_time\":1700800000,\"k\":\(k)\(rest)}"
    }

    @Test func ndjson_HasTheItemsOfTheWholeReply_ThenTheRestOfIt() throws {
        let server = try RunningServer()
        defer { server.stop() }
        let connection = try server.connect()
        let whole = try connection.recommend(Self.body())
        for (body, accept) in [
            (Self.body(",\"stream\":true"), "*/*"), (Self.body(",\"stream\":true"), Self.ndjson),
            (Self.body(), Self.ndjson), (Self.body(",\"stream\":false"), Self.ndjson),
        ] {
            let reply = try connection.recommend(body, headers: ["Accept": accept, "X-Request-Id": "trace-7"])
            #expect(reply.status == 200 && !reply.isTruncated)
            #expect(reply.headers["content-type"] == Self.ndjson)
            #expect(reply.headers["transfer-encoding"] == "chunked")
            #expect(reply.headers["cache-control"] == "no-store")
            var lines = try reply.lines()
            let done = lines.removeLast()
            #expect(lines.map { $0["item"] as? String } == (try whole.items()))
            #expect(lines.map { $0["score"] as? Double } == (try whole.scores()))
            #expect(lines.map { $0["rank"] as? Int } == [1, 2, 3, 4, 5])
            #expect(lines.allSatisfy { $0.count == 3 })
            #expect(done["done"] as? Bool == true && done["request_id"] as? String == "trace-7")
            #expect(Set(done.keys) == Set(try whole.json().keys).subtracting(["items"]).union(["done"]))
        }
        // The connection stays open.
        #expect(try connection.get("/health/live").status == 200)
    }

    @Test func serverSentEvents_AreItemsAndOneDone() throws {
        let server = try RunningServer()
        defer { server.stop() }
        let reply = try server.connect().recommend(Self.body(k: 2), headers: ["Accept": "text/event-stream"])
        #expect(reply.headers["content-type"] == "text/event-stream")
        let events = reply.text.components(separatedBy: "\n\n")
        #expect(events.count == 4 && events.last?.isEmpty == true)
        #expect(events[0].hasPrefix("event: item\ndata: {\"item\":") && events[0].hasSuffix(",\"rank\":1}"))
        #expect(events[1].hasPrefix("event: item\ndata: {\"item\":") && events[1].hasSuffix(",\"rank\":2}"))
        #expect(events[2].hasPrefix("event: done\ndata: {\"done\":true,"))
    }

    @Test func coldStart_AndNothingEligible_AreStreamedToo() throws {
        let server = try RunningServer()
        defer { server.stop() }
        let connection = try server.connect()
        let cold = try connection.recommend("{\"history\":[],\"k\":3,\"stream\":true}").lines()
        #expect(cold.count == 4 && cold[3]["source"] as? String == "popularity")
        let nothing = try connection.recommend(Self.body(",\"stream\":true,\"allow\":{\"items\":[]}")).lines()
        #expect(nothing.count == 1 && nothing[0]["exhausted"] as? Bool == true)
    }

    @Test func whatIsWrongBeforeTheStatusLine_IsAnOrdinaryProblem() throws {
        let server = try RunningServer()
        defer { server.stop() }
        let connection = try server.connect()
        let json = try connection.recommend(Self.body(",\"stream\":true"), headers: ["Accept": "application/json"])
        #expect(json.status == 406 && json.headers["content-type"] == "application/problem+json")
        #expect(try connection.recommend(Self.body(), headers: ["Accept": "text/html"]).status == 406)
        let unusable = try connection.recommend("{\"history\":1,\"stream\":true}", headers: ["Accept": Self.ndjson])
        #expect(unusable.status == 422 && unusable.headers["content-type"] == "application/problem+json")
    }

    @Test func engineThatRefuses_AnswersAStreamWithItsStatus() throws {
        // A batch waits for company longer than the request's deadline.
        let server = try RunningServer(environment: ["GENREC_SCHEDULER_MIN_WAIT_US": "1000000"])
        defer { server.stop() }
        let reply = try server.connect().recommend(Self.body(",\"stream\":true,\"deadline_ms\":50"))
        #expect([429, 504].contains(reply.status))
        #expect(reply.headers["content-type"] == "application/problem+json")
    }

    @Test func streamOfEveryItem_IsWholeAndInOrder_ForAReaderThatWaits() throws {
        let server = try RunningServer(environment: ["GENREC_LIMITS_MAX_K": "1200"])
        defer { server.stop() }
        let connection = try server.connect()
        let body = Self.body(",\"stream\":true,\"exclude\":{\"seen\":false}", k: 1_200)
        // Ten streams are requested before any is read: the server must buffer them, and lose nothing.
        let request =
            "POST /recommend HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\n"
            + "Content-Length: \(body.utf8.count)\r\n\r\n\(body)"
        try connection.send(String(repeating: request, count: 10))
        for _ in 0..<10 {
            let lines = try connection.receive().lines()
            #expect(lines.count == 1_201)
            #expect(lines.dropLast().compactMap { $0["rank"] as? Int } == Array(1...1_200))
            #expect(Set(lines.dropLast().compactMap { $0["item"] as? String }).count == 1_200)
        }
    }

    /// A sequence whose generation takes far longer than any test: items may repeat, so it is never exhausted.
    private static let endless = body(",\"mode\":\"sequence\",\"exclude\":{\"seen\":false}", k: 100_000)
    private static let manyItems = ["GENREC_LIMITS_MAX_K": "100000"]

    @Test func sequence_IsStreamedItemByItem_AndEndsWithItsClient() throws {
        let server = try RunningServer(environment: Self.manyItems)
        defer { server.stop() }
        var connection: TestConnection? = try server.connect()
        try connection?.send(
            "POST /recommend HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\nAccept: \(Self.ndjson)\r\n"
                + "Content-Length: \(Self.endless.utf8.count)\r\n\r\n\(Self.endless)"
        )
        // The first items arrive long before the last one is generated.
        let text = try connection?.receive(until: "\"rank\":3}\n") ?? ""
        #expect(text.hasPrefix("HTTP/1.1 200 OK\r\n"))
        connection = nil
        let other = try server.connect()
        try other.expectMetrics("genrec_recommend_outcomes_total{outcome=\"cancelled\"} 1")
        let metrics = try other.get("/metrics").text
        let stages = metrics.matches(of: #/genrec_cancelled_total\{stage="\w+"\} (\d+)/#).compactMap { Int($0.1) }
        #expect(stages.reduce(0, +) == 1)
        // The engine is free again.
        #expect(try other.recommend(Self.body()).status == 200)
    }

    /// A sequence that is predicted to finish before its deadline, but whose server is stopped until the deadline has
    /// passed.
    private static let overtaken = body(",\"mode\":\"sequence\",\"exclude\":{\"seen\":false}", k: 1_000)
    private static let deadline = Duration.seconds(8)

    /// Sends the request, and after its first item stops the server until the deadline has passed.
    private static func overtake(_ server: RunningServer, version: String) throws -> (TestConnection, received: String)
    {
        let connection = try server.connect()
        try connection.send(
            "POST /recommend HTTP/\(version)\r\nHost: t\r\nContent-Type: application/json\r\nAccept: \(Self.ndjson)\r\n"
                + "X-Deadline-Ms: \(deadline.components.seconds * 1_000)\r\nContent-Length: \(overtaken.utf8.count)\r\n\r\n"
                + overtaken
        )
        let text = try connection.receive(until: "\"rank\":1}\n")
        server.signal(SIGSTOP)
        // This wait is for time itself: the deadline.
        Thread.sleep(forTimeInterval: TimeInterval(deadline.components.seconds))
        server.signal(SIGCONT)
        return (connection, text)
    }

    @Test func sequenceWhoseDeadlinePasses_EndsWithAnErrorRecord_AndIsTruncated() throws {
        let server = try RunningServer(environment: Self.manyItems)
        defer { server.stop() }
        let (connection, received) = try Self.overtake(server, version: "1.1")
        #expect(received.hasPrefix("HTTP/1.1 200 OK\r\n"))
        let text = try received + connection.receiveToEnd()
        // Chunk sizes are separate lines.
        let records = text.split(whereSeparator: \.isNewline).filter { $0.hasPrefix("{") }.map { Data($0.utf8) }
        var lines = try records.compactMap { try JSONSerialization.jsonObject(with: $0) as? [String: Any] }
        let error = lines.removeLast()["error"] as? [String: Any]
        #expect(error?["status"] as? Int == 504)
        #expect(lines.count > 0 && lines.compactMap { $0["rank"] as? Int } == Array(1...lines.count))
        #expect(!text.hasSuffix("\r\n0\r\n\r\n"))
        try server.connect().expectMetrics("genrec_recommend_outcomes_total{outcome=\"expired\"} 1")
    }

    @Test func abortedStream_IsAReset_ToVersion10() throws {
        let server = try RunningServer(environment: Self.manyItems)
        defer { server.stop() }
        let (connection, received) = try Self.overtake(server, version: "1.0")
        #expect(received.hasPrefix("HTTP/1.1 200 OK\r\n"))
        #expect(try connection.endsByReset())
    }

    @Test func http10_GetsAStreamThatEndsWithTheConnection() throws {
        let server = try RunningServer()
        defer { server.stop() }
        let connection = try server.connect()
        let body = Self.body(",\"stream\":true", k: 1)
        try connection.send(
            "POST /recommend HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)"
        )
        let text = try connection.receiveToEnd()
        #expect(!text.lowercased().contains("transfer-encoding"))
        #expect(text.components(separatedBy: "\r\n\r\n").last?.split(separator: "\n").count == 2)
    }
}
