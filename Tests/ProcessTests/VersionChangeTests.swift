// Rollout of a new version: 0, 1, 10, 50, 100 per cent under load, back, forward, and removal of the old one. No
// request fails, and no user alternates between versions. Also many small models in one server.

import Foundation
import Locking
import Testing

@Suite struct VersionChangeTests {
    /// The callers' observations: statuses, and each user's versions in order of arrival.
    private struct Seen {
        var statuses: [Int: Int] = [:]
        var versions: [Int: [String]] = [:]
        /// Answers by caller.
        var counts = [0, 0, 0]
    }

    private static func copy(_ folder: URL, version: String) throws -> String {
        let bundle = folder.appendingPathComponent("demo-\(version)")
        try FileManager.default.copyItem(atPath: Genrec.demoBundle, toPath: bundle.path)
        let file = bundle.appendingPathComponent("config.json")
        try String(contentsOf: file, encoding: .utf8)
            .replacing("\"version\": \"1\"", with: "\"version\": \"\(version)\"")
            .write(to: file, atomically: true, encoding: .utf8)
        return bundle.path
    }

    /// Requests users in turn until told to stop. Each caller has its own users, so that each user's observations are
    /// ordered.
    private static func call(
        _ connection: TestConnection,
        users: Range<Int>,
        _ seen: borrowing Lock<Seen>,
        until isDone: borrowing Lock<Bool>
    ) {
        while true {
            for user in users {
                if isDone.withLock({ $0 }) { return }
                let history = "{\"items\":[\"anime-4-01\",\"anime-4-02\"],\"timestamps\":[10,20]}"
                let body = "{\"user_id\":\"u-\(user)\",\"history\":\(history),\"k\":3}"
                guard let reply = try? connection.recommend(body) else {
                    seen.withLock { $0.statuses[0, default: 0] += 1 }
                    return
                }
                let version = ((try? reply.json())?["model"] as? [String: String])?["version"] ?? ""
                seen.withLock { seen in
                    seen.statuses[reply.status, default: 0] += 1
                    seen.counts[users.lowerBound / 40] += 1
                    if seen.versions[user]?.last != version { seen.versions[user, default: []].append(version) }
                }
            }
        }
    }

    @Test func aVersionIsBroughtIn_UnderLoad_WithoutAFailedRequest() throws {
        try Genrec.withTemporaryFolder { folder in
            let new = try Self.copy(folder, version: "2")
            let server = try RunningServer()
            defer { server.stop() }
            let seen = Lock(Seen())
            let isDone = Lock(false)
            let callers = try (0..<3).map { number in
                // Each thread has its own connection.
                nonisolated(unsafe) let connection = try server.connect()
                return Thread {
                    Self.call(connection, users: number * 40..<(number + 1) * 40, seen, until: isDone)
                }
            }
            for caller in callers { caller.start() }
            let connection = try server.connect()
            /// Waits until every user has been answered once more.
            func settle() throws {
                let wanted = seen.withLock { $0.counts.map { $0 + 80 } }
                while !seen.withLock({ zip($0.counts, wanted).allSatisfy { $0 >= $1 } }),
                    callers.allSatisfy({ !$0.isFinished })
                {
                    _ = try connection.get("/health/live")
                }
            }
            func route(_ split: String) throws {
                let reply = try connection.post("/admin/routing/demo", "{\"split\":\(split)}", method: "PUT")
                #expect(reply.status == 200)
                try settle()
            }
            try settle()
            #expect(try connection.post("/admin/models", "{\"bundle\":\"\(new)\"}").status == 201)
            for percent in [1, 10, 50] { try route("{\"1\":\(100 - percent),\"2\":\(percent)}") }
            #expect(seen.withLock { $0.versions.values.allSatisfy { [["1"], ["1", "2"]].contains($0) } })
            let moved = seen.withLock { $0.versions.values.count { $0 == ["1", "2"] } }
            #expect(30...90 ~= moved)
            // Back to 10 per cent: some return, none of the others move.
            #expect(try connection.post("/admin/routing/demo/rollback", "").status == 200)
            try settle()
            #expect(
                seen.withLock { $0.versions.values.allSatisfy { [["1"], ["1", "2"], ["1", "2", "1"]].contains($0) } }
            )
            try route("{\"2\":100}")
            #expect(try connection.post("/admin/models/demo/1", "", method: "DELETE").status == 200)
            try settle()
            isDone.withLock { $0 = true }
            while callers.contains(where: { !$0.isFinished }) { _ = try connection.get("/health/live") }
            let all = seen.withLock { $0 }
            #expect(all.statuses.keys.sorted() == [200], "\(all.statuses)")
            #expect(all.versions.values.allSatisfy { $0.last == "2" })
            let metrics = try connection.get("/metrics").text
            #expect(metrics.contains("genrec_model_requests_total{model=\"demo\",version=\"2\",outcome=\"ok\"}"))
            #expect(!metrics.contains("genrec_model_requests_total{model=\"demo\",version=\"1\""))
            #expect(metrics.contains("genrec_model_request_seconds_count{model=\"demo\",version=\"2\"}"))
        }
    }

    /// Five architectures in three types.
    @Test func fiftySmallModels_ServeInOneServer() throws {
        try Genrec.withTemporaryFolder { folder in
            var bundles = [Genrec.demoBundle]
            for (from, fixture) in [
                ("huggingface", "llama-small"), ("huggingface", "gpt2-small"), ("meta", "hstu-small"),
                ("meta", "hstu-layernorm"),
            ] {
                let bundle = folder.appendingPathComponent(fixture).path
                var arguments = [
                    "import", "--from", from, "--name", fixture, "--version", "1", "--output", bundle, "--checkpoint",
                ]
                arguments +=
                    from == "meta"
                    ? [
                        Genrec.fixture("\(fixture)/checkpoint.pt"), "--describe",
                        Genrec.fixture("\(fixture)/cases.json"),
                    ]
                    : [Genrec.fixture(fixture)]
                let output = try Genrec.run(arguments)
                try #require(output.status == 0, "\(output.standardError)")
                bundles.append(bundle)
            }
            var text = "default_model: model-0\ncache:\n  bytes: 1048576\nmodels:\n"
            for number in 0..<50 {
                let bundle = folder.appendingPathComponent("model-\(number)")
                try FileManager.default.copyItem(atPath: bundles[number % bundles.count], toPath: bundle.path)
                let file = bundle.appendingPathComponent("config.json")
                try String(contentsOf: file, encoding: .utf8)
                    .replacing(#/"name"\s*:\s*"[^"]*"/#, with: "\"name\":\"model-\(number)\"")
                    .write(to: file, atomically: true, encoding: .utf8)
                text += "  - bundle: \(bundle.path)\n    dtype: \(["f32", "bf16", "int8"][number % 3])\n"
            }
            let file = folder.appendingPathComponent("genrec.yaml").path
            try text.write(toFile: file, atomically: true, encoding: .utf8)
            let server = try RunningServer(["--config", file])
            let connection = try server.connect()
            for number in 0..<50 {
                let item = number % bundles.count == 0 ? "\"anime-4-01\"" : "3"
                let reply = try connection.recommend(
                    "{\"model\":\"model-\(number)\",\"history\":{\"items\":[\(item)],\"timestamps\":[10]},\"k\":2}"
                )
                #expect(reply.status == 200, "\(reply.text)")
                #expect(try reply.json()["source"] as? String == "model", "\(number): \(reply.text)")
            }
            let models = try #require(try connection.get("/models").json()["models"] as? [[String: Any]])
            #expect(models.count == 50 && models.allSatisfy { $0["state"] as? String == "ready" })
            #expect(Set(models.map { $0["architecture"] as? String }).count == 3)
            #expect(server.stop().status == 0)
        }
    }
}
