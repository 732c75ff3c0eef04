// Replies when the model cannot answer in time, callers identified only by the head of a request, and explanations.

import Foundation
import Testing

@Suite struct DegradedTests {
    private static let history = "\"history\":{\"items\":[\"anime-4-01\",\"anime-4-02\"],\"timestamps\":[10,20]}"
    private static let popular = ",\"fallback\":\"popularity\""

    private static func body(_ more: String = "") -> String { "{\(history),\"request_time\":30,\"k\":3\(more)}" }

    @Test func deadline_IsAnsweredByPopularity_AlsoInAStream_AndBySetting() throws {
        let server = try RunningServer(
            environment: ["GENREC_SCHEDULER_MIN_WAIT_US": "1000000", "GENREC_RECOMMEND_FALLBACK": "popularity"]
        )
        defer { server.stop() }
        let connection = try server.connect()
        let reply = try connection.recommend(Self.body(",\"deadline_ms\":50"))
        #expect(reply.status == 200)
        #expect(["deadline", "expired"].contains(try reply.json()["degraded"] as? String))
        for mode in ["top_k", "sequence"] {
            let stream = try connection.recommend(Self.body(",\"deadline_ms\":50,\"stream\":true,\"mode\":\"\(mode)\""))
            let lines = try stream.lines()
            #expect(lines.count == 4 && lines[3]["source"] as? String == "popularity")
            #expect(["deadline", "expired"].contains(lines[3]["degraded"] as? String))
        }
        let refused = try connection.recommend(Self.body(",\"deadline_ms\":50,\"fallback\":\"none\""))
        #expect([429, 504].contains(refused.status))
        #expect(try connection.recommend(Self.body(",\"fallback\":\"magic\"")).status == 422)
        let whole = try connection.recommend(Self.body())
        #expect(try whole.json()["source"] as? String == "model")
        #expect(!whole.text.contains("degraded"))
    }

    /// The queue holds two of five simultaneous requests.
    @Test func fullQueue_IsAnsweredByPopularity() throws {
        let server = try RunningServer(
            environment: ["GENREC_SCHEDULER_MAX_QUEUED_REQUESTS": "2", "GENREC_SCHEDULER_MIN_WAIT_US": "1000000"]
        )
        defer { server.stop() }
        let connection = try server.connect()
        let calls = Array(repeating: Self.body(Self.popular), count: 5).joined(separator: ",")
        let reply = try connection.post("/recommend/batch", "{\"requests\":[\(calls)]}")
        let results = try #require(try reply.json()["results"] as? [[String: Any]])
        #expect(results.map { $0["degraded"] as? String } == [nil, nil, "queue_full", "queue_full", "queue_full"])
        let sources = ["model", "model"] + Array(repeating: "popularity", count: 3)
        #expect(results.map { $0["source"] as? String } == sources)
        let popular = try connection.recommend("{\"history\":[],\"k\":3}").items()
        let items = try #require(results[4]["items"] as? [[String: Any]])
        #expect(items.map { $0["item"] as? String } == popular)
        try connection.expectMetrics("genrec_recommend_outcomes_total{outcome=\"degraded\"} 3")
    }

    @Test func userOfTheHead_IsTheUser() throws {
        let server = try RunningServer()
        defer { server.stop() }
        let connection = try server.connect()
        func ask(_ more: String, _ user: String) throws -> TestReply {
            try connection.recommend(Self.body(more), headers: ["X-User-Id": user])
        }
        #expect(try ask("", "u").status == 200)
        #expect(try ask(",\"user_id\":\"u\"", "u").status == 200)
        let other = try ask(",\"user_id\":\"v\"", "u")
        #expect(other.status == 422 && other.text.contains("user_id and X-User-Id name different users"))
        let dropped = try connection.get("/users/u", method: "DELETE")
        #expect(dropped.text.contains("\"entries\":1"))
        #expect(
            try connection.recommend(Self.body(), headers: ["X-User-Id": String(repeating: "u", count: 300)]).status
                == 422
        )
    }

    @Test func explanation_IsWhatAScoreLosesWithoutAnEvent() throws {
        let server = try RunningServer()
        defer { server.stop() }
        let connection = try server.connect()
        let names = (1...5).map { "anime-4-0\($0)" }
        func body(_ without: Int?, _ more: String) -> String {
            let kept = names.indices.filter { $0 != without }
            let items = kept.map { "\"\(names[$0])\"" }.joined(separator: ",")
            let times = kept.map { "\(($0 + 1) * 10)" }.joined(separator: ",")
            return "{\"history\":{\"items\":[\(items)],\"timestamps\":[\(times)]},\"request_time\":100\(more)}"
        }
        let plain = try connection.recommend(body(nil, ",\"k\":4"))
        let reply = try connection.recommend(body(nil, ",\"k\":4,\"explain\":true"))
        #expect(try reply.items() == plain.items() && reply.scores() == plain.scores())
        let candidates = try plain.items().map { "\"\($0)\"" }.joined(separator: ",")
        let without = try names.indices.map { index in
            let ranked = try connection.post(
                "/rank",
                body(index, ",\"candidates\":[\(candidates)],\"order\":\"request\"")
            )
            return try ranked.scores()
        }
        let scored = try #require(try reply.json()["items"] as? [[String: Any]])
        var explained = 0
        for (place, item) in scored.enumerated() {
            let explanation = try #require(item["explanation"] as? [[String: Any]])
            let score = try plain.scores()[place]
            let expected = names.indices.map { (name: names[$0], effect: score - without[$0][place]) }
                .filter { $0.effect > 0 }.sorted { $0.effect > $1.effect }.prefix(3)
            #expect(explanation.compactMap { $0["item"] as? String } == expected.map(\.name))
            for (event, wanted) in zip(explanation, expected) {
                let effect = try #require(event["effect"] as? Double)
                #expect(abs(effect - Double(wanted.effect)) < 1e-4)
            }
            explained += explanation.count
        }
        #expect(explained > 0)
        for more in [",\"stream\":true", ",\"mode\":\"sequence\""] {
            #expect(try connection.recommend(body(nil, ",\"explain\":true\(more)")).status == 422)
        }
        let streamed = try connection.recommend(
            body(nil, ",\"explain\":true"),
            headers: ["Accept": "text/event-stream"]
        )
        #expect(streamed.status == 422 && streamed.text.contains("explain is not available with a stream"))
        let cold = try connection.recommend("{\"history\":[],\"explain\":true}")
        #expect(cold.status == 200 && !cold.text.contains("explanation"))
    }
}
