// An unreachable or silent user store: replies to requests by user name, with a fallback and without.

import Foundation
import RedisTesting
import Testing

@Suite struct StoreAwayTests {
    private static let popular = ",\"fallback\":\"popularity\""
    private static let event = "{\"item\":\"anime-4-02\",\"timestamp\":20}"

    /// Long time-outs, so that a busy machine is not taken for an unreachable store.
    private static func server(_ redis: ScriptedRedis, _ more: [String: String] = [:]) throws -> RunningServer {
        let settings = [
            "GENREC_USERS_STORE": "redis", "GENREC_USERS_REDIS_URL": redis.url,
            "GENREC_USERS_REDIS_TIMEOUT_MS": "60000",
        ]
        return try RunningServer(environment: settings.merging(more) { $1 })
    }

    @Test func storeThatBreaks_IsAnsweredByPopularity_WhereTheCallerWantsThat() throws {
        let lists = RedisLists()
        let redis = try ScriptedRedis { _, words in .send(lists.answer(words)) }
        let server = try Self.server(redis)
        defer { server.stop() }
        let connection = try server.connect()
        let taken = "{\"events\":[{\"user_id\":\"u\",\"item\":\"anime-4-01\",\"timestamp\":10}]}"
        #expect(try connection.post("/events", taken).status == 200)
        let body = "{\"user_id\":\"u\",\"k\":3"
        let whole = try connection.recommend(body + Self.popular + "}")
        #expect(try whole.json()["source"] as? String == "model" && !whole.text.contains("degraded"))

        redis.answer { _, _ in .cut("") }
        func check(_ reply: [String: Any]) {
            #expect(reply["source"] as? String == "popularity" && reply["degraded"] as? String == "store")
            #expect(reply["history_source"] == nil && reply["history_used"] as? Int == 0)
        }
        let first = try connection.recommend(body + Self.popular + "}")
        #expect(first.status == 200)
        check(try first.json())
        let top = try first.items()
        #expect(top.count == 3)
        // The filters apply, and so do the events of the call itself as seen items.
        let filtered = try connection.recommend(
            body + Self.popular + ",\"exclude\":{\"items\":[\"\(top[0])\"]},\"events\":[{\"item\":\"\(top[1])\"}]}"
        )
        check(try filtered.json())
        #expect(try filtered.items().first == top[2] && !filtered.items().contains(top[0]))
        // The events are not stored, which is no reason to refuse.
        check(try connection.recommend(body + Self.popular + ",\"store\":true,\"events\":[\(Self.event)]}").json())
        #expect(lists["genrec:u:{u}"].count == 1)
        for mode in ["top_k", "sequence"] {
            let lines = try connection.recommend(body + Self.popular + ",\"stream\":true,\"mode\":\"\(mode)\"}").lines()
            #expect(lines.count == 4)
            check(try #require(lines.last))
        }
        check(try connection.recommend(body + Self.popular + ",\"explain\":true}").json())
        let batch = try connection.post("/recommend/batch", "{\"requests\":[\(body)},\(body)\(Self.popular)}]}")
        let results = try #require(try batch.json()["results"] as? [[String: Any]])
        #expect(results.first?["status"] as? Int == 503)
        check(try #require(results.last))
        let refused = try connection.recommend(body + "}")
        #expect(refused.status == 503 && refused.text.contains("the store"))
        let ranked = try connection.post("/rank", "{\"user_id\":\"u\",\"candidates\":[\"anime-4-01\"]}")
        #expect(ranked.status == 503)
        let sent = try connection.recommend("{\"user_id\":\"u\",\"history\":[\(Self.event)]\(Self.popular)}")
        #expect(try sent.json()["source"] as? String == "model")
        try connection.expectMetrics(
            "genrec_recommend_outcomes_total{outcome=\"degraded\"} 7",
            "genrec_recommend_outcomes_total{outcome=\"failed\"} 3",
            "genrec_store_errors_total 10"
        )

        redis.answer { _, words in .send(lists.answer(words)) }
        #expect(try connection.recommend(body + Self.popular + "}").json()["history_source"] as? String == "store")
    }

    @Test func silentStore_IsNotWaitedForAfterTheDeadline() throws {
        let redis = try ScriptedRedis { _, _ in .silence }
        let server = try Self.server(redis, ["GENREC_RECOMMEND_FALLBACK": "popularity"])
        defer { server.stop() }
        let connection = try server.connect()
        let body = "{\"user_id\":\"u\",\"k\":3,\"deadline_ms\":30"
        let reply = try connection.recommend(body + "}")
        #expect(try reply.json()["degraded"] as? String == "store")
        let stored = try connection.recommend(body + ",\"store\":true,\"events\":[\(Self.event)]}")
        #expect(try stored.json()["degraded"] as? String == "store")
        let refused = try connection.recommend(body + ",\"fallback\":\"none\"}")
        #expect(refused.status == 503 && refused.text.contains("the store did not answer before the deadline"))
        // The store's own time-out has not passed; it would cause a second attempt on another connection.
        #expect(redis.connectionCount <= 2 * 2)
        #expect(redis.commands.filter { $0.first == "LRANGE" }.count <= 3)
    }
}
