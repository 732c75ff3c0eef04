// An NPU that fails under a running server, on the emulator: every request gets a reply, the process survives, and
// later requests are answered correctly.

import Foundation
import Testing

@Suite(.serialized) struct AscendFaultTests {
    private func metric(_ name: String, _ connection: TestConnection) throws -> Int? {
        let text = try connection.get("/metrics").text
        let line = text.split(separator: "\n").first { $0.hasPrefix(name + " ") }
        return line.flatMap { Int($0.dropFirst(name.count + 1)) }
    }

    /// Whether this is a positive number of seconds: the pause plus the duration of the last attempt to make the
    /// device.
    private func isPositive(_ seconds: String?) -> Bool { seconds.flatMap { Int($0) } ?? 0 >= 1 }

    /// Waits until a counter has this value. The engine repairs the device after it has replied.
    private func expectMetric(
        _ name: String,
        _ expected: Int,
        _ connection: TestConnection,
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        var value: Int?
        let isReached = try eventually {
            value = try metric(name, connection)
            return value == expected
        }
        #expect(isReached, "\(name) is \(value.map(String.init) ?? "absent")", sourceLocation: sourceLocation)
    }

    /// The counter of errors of one kind.
    private static func errors(_ code: String) -> String {
        "genrec_device_errors_total{device=\"ascend:0\",code=\"\(code)\"}"
    }

    private func devices(_ connection: TestConnection) throws -> [[String: Any]] {
        let models = try #require(try connection.get("/models").json()["models"] as? [[String: Any]])
        return try #require(models.first?["devices"] as? [[String: Any]])
    }

    /// Expects the reference's answer for a case.
    private func expectRightAnswer(_ connection: TestConnection, _ comment: Comment) throws {
        let example = try DemoCases.load()[7]
        let reply = try connection.recommend(try AscendTests.request(example))
        #expect(reply.status == 200, comment)
        var agreement = Agreement()
        agreement.add(
            Array(zip(try reply.items(), try reply.scores())),
            example.top_unseen.map { ($0.item, $0.score) }
        )
        #expect(agreement.isEnough, comment)
    }

    /// Faults in the first batch after the start, with the code that counts them and CANN's code.
    private static let faults = [
        ("aicore@20", "execution_failed", "507015"), ("late@1", "timed_out", "507047"),
        ("hold@20", "timed_out", "50704"), ("lost@20", "device_lost", "507010"),
    ]

    /// A ready server whose NPU is about to fail.
    private func server(
        _ fault: String,
        device: String = "ascend:0",
        environment: [String: String] = [:]
    ) throws -> RunningServer {
        let faults = EmulatorFaults()
        let server = try RunningServer.ascend(
            device: device,
            environment: faults.environment
                .merging(["GENREC_ENGINE_DEVICE_TIMEOUT_MS": "5000"]) { $1 }
                .merging(environment) { $1 }
        )
        try faults.begin(fault)
        return server
    }

    @Test(arguments: faults)
    func withoutAFallback_TheBatchIsRefused_AndTheDeviceComesBack(fault: String, code: String, number: String) throws {
        let server = try server(fault)
        defer { server.stop() }
        let connection = try server.connect()
        let example = try DemoCases.load()[0]
        let failed = try connection.recommend(try AscendTests.request(example, user: "u"))
        #expect(failed.status == 503 && isPositive(failed.headers["retry-after"]))
        let detail = try #require(try failed.json()["detail"] as? String)
        #expect(detail.hasPrefix("the device failed: ") && detail.contains(number), "\(detail)")
        #expect(try connection.get("/health/live").status == 200)
        #expect(try eventually { try connection.get("/health/ready").status == 200 })
        try expectRightAnswer(connection, "\(fault)")
        try expectMetric(Self.errors(code), 1, connection)
        try expectMetric("genrec_device_recoveries_total{device=\"ascend:0\"}", 1, connection)
        try expectMetric("genrec_recommend_outcomes_total{outcome=\"failed\"}", 1, connection)
        let (status, log) = server.stop()
        #expect(status == 0 && log.contains("the device is available again"), "\(log)")
    }

    @Test(arguments: faults)
    func withAFallback_TheBatchIsAnsweredAllTheSame(fault: String, code: String, number: String) throws {
        // The pause is long enough for a busy machine to reach the batch meanwhile.
        let server = try server(
            fault,
            environment: [
                "GENREC_ENGINE_FALLBACK": "cpu", "GENREC_ENGINE_RECOVERY_BACKOFF_MS": "1000",
                "GENREC_ENGINE_RECOVERY_BACKOFF_MAX_MS": "1000",
            ]
        )
        defer { server.stop() }
        let connection = try server.connect()
        try expectRightAnswer(connection, "\(fault)")
        #expect(try connection.get("/health/ready").status == 200)
        #expect(try eventually { try devices(connection)[0]["state"] as? String == "ready" })
        try expectRightAnswer(connection, "\(fault), later")
        try expectMetric(Self.errors(code), 1, connection)
        try expectMetric("genrec_fallback_batches_total{device=\"ascend:0\"}", 1, connection)
        try expectMetric("genrec_device_recoveries_total{device=\"ascend:0\"}", 1, connection)
        #expect(server.stop().status == 0)
    }

    /// The caller accepts the most popular items instead, so the request is not refused.
    @Test func withPopularityInItsPlace_TheBatchIsAnswered() throws {
        let server = try server("aicore@20")
        defer { server.stop() }
        let connection = try server.connect()
        let body = try AscendTests.request(try DemoCases.load()[0], user: "u", k: 3)
        let reply = try connection.recommend(body.dropLast() + ",\"fallback\":\"popularity\"}")
        #expect(reply.status == 200)
        #expect(try reply.json()["degraded"] as? String == "device")
        #expect(try reply.json()["source"] as? String == "popularity" && reply.items().count == 3)
        #expect(try eventually { try connection.get("/health/ready").status == 200 })
        try expectRightAnswer(connection, "later")
        #expect(server.stop().status == 0)
    }

    @Test func aDeviceThatDoesNotComeBack_IsSaidToBeAway_AndTheServerEndsInOrder() throws {
        let server = try server("gone@20")
        defer { server.stop() }
        let connection = try server.connect()
        let example = try DemoCases.load()[0]
        #expect(try connection.recommend(try AscendTests.request(example)).status == 503)
        let ready = try connection.get("/health/ready")
        #expect(ready.status == 503)
        let reasons = try #require(try ready.json()["reasons"] as? [String])
        #expect(reasons.count == 1 && reasons[0].hasPrefix("recovering: ascend:0: "), "\(reasons)")
        let refused = try connection.recommend(try AscendTests.request(example))
        #expect(refused.status == 503 && isPositive(refused.headers["retry-after"]))
        #expect(try (refused.json()["detail"] as? String)?.hasPrefix("not ready: recovering: ascend:0: ") == true)
        try expectMetric("genrec_device_ready{device=\"ascend:0\"}", 0, connection)
        // The engine tries again, and fails.
        #expect(try eventually { try metric(Self.errors("device_lost"), connection) ?? 0 >= 3 })
        #expect(server.stop().status == 0)
    }

    @Test func aDeviceThatDoesNotComeBack_LeavesTheFallback() throws {
        let server = try server("gone@20", environment: ["GENREC_ENGINE_FALLBACK": "cpu"])
        defer { server.stop() }
        let connection = try server.connect()
        for round in 0..<3 { try expectRightAnswer(connection, "\(round)") }
        let device = try devices(connection)[0]
        #expect(device["name"] as? String == "ascend:0" && device["state"] as? String == "degraded")
        #expect(device["device"] as? String == "cpu" && device["dtype"] as? String == "float32")
        #expect((device["reason"] as? String)?.hasPrefix("ascend:0: ") == true)
        #expect(try connection.get("/health/ready").status == 200)
        try expectMetric("genrec_device_ready{device=\"ascend:0\"}", 0, connection)
        try expectMetric("genrec_fallback_batches_total{device=\"ascend:0\"}", 3, connection)
        #expect(server.stop().status == 0)
    }

    @Test func ofTwoNPUs_TheOtherOneServes() throws {
        let server = try server(
            "gone@20",
            device: "ascend:0,ascend:1",
            environment: ["ASCEND_EMULATOR_DEVICES": "2"]
        )
        defer { server.stop() }
        let connection = try server.connect()
        let cases = try DemoCases.load()
        let statuses = try (0..<24).map { index in
            try connection.recommend(try AscendTests.request(cases[index], user: "user \(index)")).status
        }
        #expect(statuses.count { $0 == 503 } == 1 && statuses.count { $0 == 200 } == 23)
        #expect(try connection.get("/health/ready").status == 200)
        let states = try devices(connection).map { $0["state"] as? String ?? "" }
        #expect(states.count { $0 == "ready" } == 1 && states.count { $0.hasPrefix("recovering: ascend:") } == 1)
        let models = try connection.get("/models").json()["models"] as? [[String: Any]]
        #expect(models?.first?["state"] as? String == "degraded")
        try expectRightAnswer(connection, "on the other one")
        #expect(try connection.get("/users/user%201", method: "DELETE").status == 200)
        #expect(server.stop().status == 0)
    }

    /// All cases in one call, computed as one batch.
    private func batch() throws -> String {
        let requests = try DemoCases.load().map { try AscendTests.request($0) }
        return "{\"requests\":[\(requests.joined(separator: ","))]}"
    }

    /// With these settings a batch starts when all cases have arrived, and takes them all.
    private static let together = [
        "GENREC_SCHEDULER_MAX_BATCH_SEQUENCES": "24", "GENREC_SCHEDULER_PREFILL_CHUNK_EVENTS": "8192",
        "GENREC_SCHEDULER_MIN_WAIT_US": "500000", "GENREC_CACHE_BYTES": "0",
    ]

    /// Lets this many allocations fail.
    private static func exhaustion(_ count: Int) -> String { (1...count).map { "oom@\($0)" }.joined(separator: ",") }

    @Test func withoutMemoryForABatch_ItIsComputedInParts() throws {
        // The warm-up has allocated everything that a single request needs.
        let server = try server(Self.exhaustion(30), environment: Self.together)
        defer { server.stop() }
        let connection = try server.connect()
        let reply = try connection.post("/recommend/batch", try batch())
        let results = try #require(try reply.json()["results"] as? [[String: Any]])
        #expect(results.count == 24 && results.allSatisfy { ($0["items"] as? [Any])?.count == 10 })
        #expect(try metric(Self.errors("out_of_memory"), connection) ?? 0 > 0)
        try expectMetric("genrec_device_recoveries_total{device=\"ascend:0\"}", 0, connection)
        try expectRightAnswer(connection, "after it")
        #expect(server.stop().status == 0)
    }

    @Test(arguments: [false, true])
    func withoutMemoryForOneRequest_ItIsRefused_OrComputedByTheFallback(hasFallback: Bool) throws {
        let faults = EmulatorFaults()
        let server = try RunningServer.ascend(
            environment: Self.together.merging(faults.environment) { $1 }
                .merging(["GENREC_ENGINE_FALLBACK": hasFallback ? "cpu" : "none"]) { $1 }
        )
        defer { server.stop() }
        let connection = try server.connect()
        // After a batch that grew the working memory, the next batch allocates it as one block.
        #expect(try connection.post("/recommend/batch", try batch()).status == 200)
        // Each refused request first waits for others to join it, so few are refused.
        try faults.begin(Self.exhaustion(6))
        let example = try DemoCases.load()[7]
        if hasFallback {
            try expectRightAnswer(connection, "by the fallback")
            #expect(
                try eventually { try metric("genrec_fallback_batches_total{device=\"ascend:0\"}", connection) == 1 }
            )
        } else {
            let reply = try connection.recommend(try AscendTests.request(example))
            #expect(reply.status == 503 && reply.headers["retry-after"] == "1")
            let detail = try #require(try reply.json()["detail"] as? String)
            #expect(detail.hasPrefix("the device failed: ") && detail.contains("207001"), "\(detail)")
        }
        try expectMetric(Self.errors("out_of_memory"), 1, connection)
        // The device is still available, and has memory again later.
        #expect(try connection.get("/health/ready").status == 200)
        #expect(
            try eventually { try connection.recommend(try AscendTests.request(example)).status == 200 }
        )
        try expectRightAnswer(connection, "after it")
        #expect(server.stop().status == 0)
    }
}
