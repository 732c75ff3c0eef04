// A returning user over HTTP: cached rows are used, counted, deleted on request, and change no answer.

import Foundation
import Testing

@Suite struct CacheTests {
    /// The first `count` events of a case, requested `later` seconds after the case's time.
    private static func body(_ example: DemoCases.Case, _ count: Int, later: Int64 = 0, user: String?) throws -> String
    {
        let history = DemoCases.History(
            items: Array(example.history.items.prefix(count)),
            timestamps: Array(example.history.timestamps.prefix(count))
        )
        let text = String(decoding: try JSONEncoder().encode(history), as: UTF8.self)
        let name = user.map { "\"user_id\":\"\($0)\"," } ?? ""
        return "{\(name)\"history\":\(text),\"request_time\":\(example.request_time + later),\"k\":20}"
    }

    private static func example() throws -> DemoCases.Case {
        try #require(try DemoCases.load().first { (20..<60).contains($0.history.items.count) })
    }

    private static func cached(_ reply: TestReply) throws -> Int {
        try #require(try reply.json()["history_cached"] as? Int)
    }

    private static func metric(_ name: String, _ connection: TestConnection) throws -> String? {
        try connection.get("/metrics").text.split(separator: "\n").first { $0.hasPrefix(name + " ") }
            .map { String($0.dropFirst(name.count + 1)) }
    }

    @Test(arguments: ["u-42", nil]) func aReturningUser_IsAnsweredAsByAFreshServer(user: String?) throws {
        let example = try Self.example()
        let count = example.history.items.count
        let server = try RunningServer()
        defer { server.stop() }
        let fresh = try RunningServer(environment: ["GENREC_CACHE_BYTES": "0"])
        defer { fresh.stop() }
        let (returning, uncached) = (try server.connect(), try fresh.connect())
        func ask(_ count: Int, later: Int64 = 0) throws -> Int {
            let body = try Self.body(example, count, later: later, user: user)
            let (reply, expected) = (try returning.recommend(body), try uncached.recommend(body))
            #expect(try reply.items() == expected.items() && reply.scores() == expected.scores())
            #expect(try Self.cached(expected) == 0)
            return try Self.cached(reply)
        }
        // An event now follows the previously newest row, instead of the time of a request: the row is computed again.
        #expect(try ask(count - 1) == 0)
        #expect(try ask(count) == count - 2)
        #expect(try ask(count, later: 3_600) == count - 1)
        try returning.expectMetrics("genrec_user_cache_misses_total{model=\"demo\",version=\"1\"} 1")
        try returning.expectMetrics("genrec_user_cache_hits_total{model=\"demo\",version=\"1\"} 2")
        try returning.expectMetrics("genrec_user_cache_entries{model=\"demo\",version=\"1\"} 1")
        #expect(try Self.metric("genrec_user_cache_bytes{model=\"demo\",version=\"1\"}", returning) != "0")
        try returning.expectMetrics("genrec_batch_tokens_sum{model=\"demo\",version=\"1\"} \(count - 1 + 2 + 1).0")
    }

    /// Each of two models has its own series. After a reload of the same version its counters continue; its gauges
    /// start again with its new users.
    @Test func metrics_AreOfAModel_AndGoOnAfterAReload() throws {
        try Genrec.withTemporaryFolder { folder in
            let bundle = folder.appendingPathComponent("bundle")
            try FileManager.default.copyItem(atPath: Genrec.demoBundle, toPath: bundle.path)
            let file = bundle.appendingPathComponent("config.json")
            try String(contentsOf: file, encoding: .utf8)
                .replacing("\"name\": \"demo\"", with: "\"name\": \"books\"")
                .write(to: file, atomically: true, encoding: .utf8)
            let server = try RunningServer()
            defer { server.stop() }
            let connection = try server.connect()
            #expect(try connection.post("/admin/models", "{\"bundle\":\"\(bundle.path)\"}").status == 201)
            let (demo, books) = ("{model=\"demo\",version=\"1\"}", "{model=\"books\",version=\"1\"}")
            let body = "{\"history\":[{\"item\":\"anime-4-01\"},{\"item\":\"anime-4-02\"},{\"item\":\"none\"}]"
            for user in ["u-1", "u-2"] {
                #expect(try connection.recommend(body + ",\"user_id\":\"\(user)\"}").status == 200)
            }
            #expect(try connection.recommend(body + ",\"user_id\":\"u-1\",\"model\":\"books\"}").status == 200)
            for (labels, count) in [(demo, 2), (books, 1)] {
                try connection.expectMetrics(
                    "genrec_user_cache_entries\(labels) \(count)",
                    "genrec_user_cache_misses_total\(labels) \(count)",
                    "genrec_batch_size_sum\(labels) \(count).0",
                    "genrec_topk_seconds_count\(labels) \(count)",
                    "genrec_unknown_items_total\(labels) \(count)",
                    "genrec_history_length_count\(labels) \(count)"
                )
            }
            #expect(try connection.post("/admin/reload", "").status == 200)
            try connection.expectMetrics(
                "genrec_user_cache_entries\(demo) 0",
                "genrec_user_cache_bytes\(demo) 0",
                "genrec_user_cache_misses_total\(demo) 2"
            )
            #expect(try connection.recommend(body + ",\"user_id\":\"u-1\"}").status == 200)
            try connection.expectMetrics(
                "genrec_user_cache_entries\(demo) 1",
                "genrec_user_cache_misses_total\(demo) 3",
                "genrec_user_cache_entries\(books) 1"
            )
        }
    }

    @Test func models_TellWhatIsKept() throws {
        func cache(_ environment: [String: String]) throws -> [String: Any] {
            let server = try RunningServer(environment: environment)
            defer { server.stop() }
            let models = try server.connect().get("/models").json()["models"] as? [[String: Any]]
            return try #require(models?.first?["prefix_cache"] as? [String: Any])
        }
        let exact = try cache(["GENREC_CACHE_BYTES": "1000000"])
        #expect(exact["reuse"] as? String == "exact")
        // Three layers, two heads, key and value of sixteen dimensions each, four bytes per number.
        #expect(exact["bytes_per_event"] as? Int == 3 * 2 * (16 + 16) * 4)
        let bytes = try #require(exact["bytes"] as? Int)
        #expect((900_000...1_000_000).contains(bytes))
        #expect(try cache(["GENREC_CACHE_BYTES": "0"])["reason"] as? String == "cache.bytes is 0")
    }

    @Test func deletion_DropsWhatIsKept_AndWhatIsOnItsWay() throws {
        let example = try Self.example()
        let count = example.history.items.count
        let server = try RunningServer(environment: ["GENREC_SCHEDULER_MIN_WAIT_US": "300000"])
        defer { server.stop() }
        let (caller, admin) = (try server.connect(), try server.connect())
        func forget() throws -> [String: Int] {
            let reply = try admin.get("/users/u-42", method: "DELETE")
            #expect(reply.status == 200)
            return try #require(try reply.json()["dropped"] as? [String: Int])
        }
        let body = try Self.body(example, count, user: "u-42")
        _ = try caller.recommend(body)
        let dropped = try forget()
        #expect(dropped["entries"] == 1 && dropped["events"] == count && dropped["in_flight"] == 0)
        #expect((dropped["bytes"] ?? 0) >= count * 3 * 2 * 32 * 4)
        try caller.send(
            "POST /recommend HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\n"
                + "Content-Length: \(body.utf8.count)\r\n\r\n\(body)"
        )
        while try Self.metric("genrec_queue_depth", admin) != "1" {}
        #expect(try forget() == ["entries": 0, "bytes": 0, "events": 0, "in_flight": 1])
        let reply = try caller.receive()
        #expect(reply.status == 200)
        #expect(try Self.cached(reply) == 0)
        try admin.expectMetrics("genrec_user_cache_entries{model=\"demo\",version=\"1\"} 0")
        try admin.expectMetrics("genrec_user_cache_bytes{model=\"demo\",version=\"1\"} 0")
        #expect(try Self.cached(try caller.recommend(body)) == 0)
    }

    @Test func aWindowOfStrides_IsTold_AndIsOffOtherwise() throws {
        let items = (0..<70).map { _ in "\"scifi-1-03\"" }.joined(separator: ",")
        let body = "{\"history\":{\"items\":[\(items)]},\"exclude\":{\"seen\":false}}"
        func reply(_ environment: [String: String]) throws -> [String: Any] {
            let server = try RunningServer(environment: environment)
            defer { server.stop() }
            return try server.connect().recommend(body).json()
        }
        let strided = try reply(["GENREC_CACHE_WINDOW_STRIDE": "16"])
        #expect(strided["history_start"] as? Int == 16 && strided["history_used"] as? Int == 54)
        let plain = try reply([:])
        #expect(plain["history_start"] == nil && plain["history_used"] as? Int == 64)
    }

    @Test func generation_IsReadOnce_AndGoesOnRowByRow() throws {
        let example = try Self.example()
        let server = try RunningServer()
        defer { server.stop() }
        let connection = try server.connect()
        let body = try Self.body(example, 20, user: "u-42").replacing("\"k\":20", with: "\"k\":5,\"mode\":\"sequence\"")
        #expect(try connection.recommend(body).items().count == 5)
        try connection.expectMetrics("genrec_batch_tokens_sum{model=\"demo\",version=\"1\"} 24.0")
        try connection.expectMetrics("genrec_decode_step_seconds_count{model=\"demo\",version=\"1\"} 4")
        try connection.expectMetrics("genrec_prefill_seconds_count{model=\"demo\",version=\"1\"} 1")
        try connection.expectMetrics("genrec_topk_seconds_count{model=\"demo\",version=\"1\"} 5")
        try connection.expectMetrics("genrec_service_time_relative_error_count{model=\"demo\",version=\"1\"} 5")
    }
}
