// `POST /rank` over the wire: the scores of `/recommend`, for items that the caller names.

import Foundation
import Testing

@Suite struct RankTests {
    private static let history = "\"history\":{\"items\":[\"anime-4-01\",\"anime-4-02\"],\"timestamps\":[10,20]}"

    private static func items(_ reply: TestReply) throws -> [[String: Any]] {
        try #require(try reply.json()["items"] as? [[String: Any]])
    }

    private static func list(_ ids: [String]) -> String {
        "[" + ids.map { "\"\($0)\"" }.joined(separator: ",") + "]"
    }

    private static func pairs(_ items: [[String: Any]]) -> [String] {
        items.map { "\($0["item"] ?? "") \($0["score"] ?? "")" }
    }

    @Test func theWholeCatalogue_IsRankedAsItIsRecommended() throws {
        let server = try RunningServer()
        defer { server.stop() }
        let connection = try server.connect()
        let best = try Self.items(
            try connection.recommend("{\(Self.history),\"request_time\":30,\"k\":1000,\"exclude\":{\"seen\":false}}")
        )
        let ids = best.compactMap { $0["item"] as? String }
        let reply = try connection.post(
            "/rank",
            "{\(Self.history),\"request_time\":30,\"candidates\":\(Self.list(ids.shuffled()))}",
            headers: ["X-Request-Id": "rank-1"]
        )
        #expect(reply.status == 200)
        #expect(Self.pairs(try Self.items(reply)) == Self.pairs(best))
        let object = try reply.json()
        #expect(object["request_id"] as? String == "rank-1" && object["source"] as? String == "model")
        #expect(object["unknown_candidates"] as? Int == 0 && object["exhausted"] == nil)
        try connection.expectMetrics(
            "genrec_http_requests_total{route=\"/rank\",method=\"POST\",status=\"200\"} 1",
            "genrec_rank_candidates_count{model=\"demo\",version=\"1\"} 1",
            "genrec_recommend_outcomes_total{outcome=\"ok\"} 2"
        )
    }

    @Test func aReturningUser_IsCached_WhicheverRouteComesFirst() throws {
        let server = try RunningServer()
        defer { server.stop() }
        let connection = try server.connect()
        let user = "\"user_id\":\"u\",\"request_time\":30"
        _ = try connection.recommend("{\(Self.history),\(user)}")
        let longer =
            "\"history\":{\"items\":[\"anime-4-01\",\"anime-4-02\",\"anime-6-01\"],\"timestamps\":[10,20,30]}"
        let reply = try connection.post("/rank", "{\(longer),\(user),\"candidates\":[\"scifi-1-01\"]}")
        #expect(try reply.json()["history_cached"] as? Int == 2)
    }

    @Test func unknownAndRepeatedCandidates_AndAColdStart() throws {
        let server = try RunningServer()
        defer { server.stop() }
        let connection = try server.connect()
        let candidates = "\"candidates\":[\"scifi-1-02\",\"no such\",\"scifi-1-01\",\"scifi-1-02\"]"
        func ask(_ rest: String) throws -> TestReply {
            try connection.post("/rank", "{\"history\":[],\(candidates)\(rest)}")
        }
        let inOrder = try Self.items(try ask(",\"order\":\"request\""))
        #expect(inOrder.compactMap { $0["item"] as? String } == ["scifi-1-02", "no such", "scifi-1-01", "scifi-1-02"])
        #expect(inOrder[1]["score"] is NSNull)
        let reply = try ask("")
        let best = try Self.items(reply)
        #expect(best.compactMap { $0["item"] as? String } == ["scifi-1-01", "scifi-1-02", "scifi-1-02"])
        let object = try reply.json()
        #expect(object["source"] as? String == "popularity" && object["unknown_candidates"] as? Int == 1)
        #expect(try Self.items(try ask(",\"k\":1")).count == 1)
    }

    @Test func streams_Batches_AndRefusals() throws {
        let server = try RunningServer(environment: ["GENREC_LIMITS_MAX_CANDIDATES": "2"])
        defer { server.stop() }
        let connection = try server.connect()
        let body = "{\(Self.history),\"candidates\":[\"scifi-1-01\",\"?\"],\"order\":\"request\""
        let lines = try connection.post("/rank", body + ",\"stream\":true}").text.split(separator: "\n")
        #expect(lines.count == 3 && lines[1] == "{\"item\":\"?\",\"score\":null,\"rank\":2}")
        #expect(lines[2].hasPrefix("{\"done\":true") && lines[2].contains("\"unknown_candidates\":1"))
        let batch = try connection.post("/rank/batch", "{\"requests\":[\(body)},{\"history\":[]}]}")
        let results = try #require(try batch.json()["results"] as? [[String: Any]])
        #expect((results[0]["items"] as? [Any])?.count == 2)
        #expect(results[1]["detail"] as? String == "candidates is missing")
        let many = try connection.post("/rank", "{\"history\":[],\"candidates\":[\"a\",\"b\",\"c\"]}")
        #expect(many.status == 422)
        #expect(try many.json()["detail"] as? String == "candidates has more than 2 entries")
        #expect(try connection.get("/rank").status == 405)
        let late = try connection.post("/rank", body + "}", headers: ["X-Deadline-Ms": "0"])
        #expect(late.status == 422)
    }
}
