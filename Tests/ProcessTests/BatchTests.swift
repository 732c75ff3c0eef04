// `POST /recommend/batch` over the wire.

import Foundation
import Testing

@Suite struct BatchTests {
    private static let history = "{\"items\":[\"anime-4-01\",\"anime-4-02\"],\"timestamps\":[10,20]}"

    private static func batch(_ requests: [String]) -> String { "{\"requests\":[\(requests.joined(separator: ","))]}" }

    private static func results(_ reply: TestReply) throws -> [[String: Any]] {
        try #require(try reply.json()["results"] as? [[String: Any]])
    }

    @Test func eachRequest_HasItsResultInItsPlace_AsIfItHadComeAlone() throws {
        let server = try RunningServer()
        defer { server.stop() }
        let connection = try server.connect()
        let cases = try DemoCases.load()
        let alone = try cases.map { try connection.recommend(try $0.columnar()).items() }
        let faults = ["{\"history\":[],\"stream\":true}", "{}", "{\"history\":[],\"mode\":\"beam\"}", "7"]
        let reply = try connection.post(
            "/recommend/batch",
            Self.batch(try cases.map { try $0.columnar() } + faults + ["{\"history\":[],\"k\":1}"]),
            headers: ["X-Request-Id": "batch-1"]
        )
        #expect(reply.status == 200 && reply.headers["content-type"] == "application/json")
        let results = try Self.results(reply)
        #expect(results.count == cases.count + 5)
        for (result, items) in zip(results, alone) {
            let found = (result["items"] as? [[String: Any]])?.compactMap { $0["item"] as? String }
            #expect(found == items)
        }
        let details = results[cases.count..<(cases.count + 4)].map { problem in
            #expect(problem["status"] as? Int == 422)
            return problem["detail"] as? String ?? ""
        }
        for (detail, word) in zip(details, ["stream", "history", "mode", "object"]) { #expect(detail.contains(word)) }
        #expect(results.last?["source"] as? String == "popularity")
        #expect(results.allSatisfy { $0["request_id"] as? String == "batch-1" })
        try connection.expectMetrics(
            "genrec_recommend_outcomes_total{outcome=\"invalid\"} 4",
            "genrec_recommend_outcomes_total{outcome=\"ok\"} 48",
            "genrec_http_requests_total{route=\"/recommend/batch\",method=\"POST\",status=\"200\"} 1"
        )
    }

    @Test func emptyBatch_HasNoResults() throws {
        let server = try RunningServer()
        defer { server.stop() }
        #expect(try server.connect().post("/recommend/batch", Self.batch([])).text == "{\"results\":[]}")
    }

    @Test func batchIsRefused_WhereItIsNoBatch_OrBeyondItsLimit() throws {
        let server = try RunningServer(environment: ["GENREC_LIMITS_MAX_BATCH": "2"])
        defer { server.stop() }
        let connection = try server.connect()
        let request = "{\"history\":[],\"k\":1}"
        func status(_ body: String, _ headers: [String: String] = [:]) throws -> Int {
            try connection.post("/recommend/batch", body, headers: headers).status
        }
        #expect(try status(Self.batch([request, request])) == 200)
        #expect(try status(Self.batch([request, request, request])) == 422)
        #expect(try status("{\"requests\":[{\"history\":[]}") == 400)
        #expect(try status("{}") == 422)
        #expect(try status(request) == 422)
        #expect(try status(Self.batch([request]), ["X-Deadline-Ms": "0"]) == 422)
        #expect(try status(Self.batch([request]), ["Accept": "application/x-ndjson"]) == 406)
    }

    @Test func fullQueue_RefusesTheRequestsThatFindNoRoom_AndNoOthers() throws {
        let server = try RunningServer(
            environment: ["GENREC_SCHEDULER_MAX_QUEUED_REQUESTS": "2", "GENREC_SCHEDULER_MIN_WAIT_US": "1000000"]
        )
        defer { server.stop() }
        let request = "{\"history\":\(Self.history),\"k\":1}"
        let reply = try server.connect().post("/recommend/batch", Self.batch(Array(repeating: request, count: 5)))
        let results = try Self.results(reply)
        #expect(results.map { $0["status"] as? Int } == [nil, nil, 429, 429, 429])
    }

    @Test func deadlineOfTheHeader_HoldsForEveryRequest() throws {
        let server = try RunningServer(environment: ["GENREC_SCHEDULER_MIN_WAIT_US": "1000000"])
        defer { server.stop() }
        let request = "{\"history\":\(Self.history),\"k\":1,\"deadline_ms\":60000}"
        let reply = try server.connect().post(
            "/recommend/batch",
            Self.batch([request, request]),
            headers: ["X-Deadline-Ms": "50"]
        )
        for result in try Self.results(reply) { #expect([429, 504].contains(result["status"] as? Int)) }
    }

    @Test func clientThatGoesAway_CancelsAllItsRequests() throws {
        let server = try RunningServer(environment: ["GENREC_SCHEDULER_MIN_WAIT_US": "1000000"])
        defer { server.stop() }
        let watcher = try server.connect()
        let body = Self.batch(Array(repeating: "{\"history\":\(Self.history),\"k\":1}", count: 3))
        do {
            let connection = try server.connect()
            try connection.send(
                "POST /recommend/batch HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\n"
                    + "Content-Length: \(body.utf8.count)\r\n\r\n\(body)"
            )
            try watcher.expectMetrics("genrec_queue_depth 3")
        }
        // The client closes the connection. All its requests leave the queue, which is empty immediately.
        try watcher.expectMetrics(
            "genrec_cancelled_total{stage=\"queued\"} 3",
            "genrec_queue_depth 0",
            "genrec_recommend_outcomes_total{outcome=\"cancelled\"} 3"
        )
    }
}
