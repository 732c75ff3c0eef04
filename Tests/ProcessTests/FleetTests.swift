// Several models in one server: loaded beside each other, split by user, rolled back, removed, and reloaded by name.

import Foundation
import Locking
import Testing

@Suite struct FleetTests {
    private static let history = "\"history\":{\"items\":[\"anime-4-01\",\"anime-4-02\"],\"timestamps\":[10,20]}"

    /// Calls `body` with a server of the demo bundle and the directory of a copy of it, with another name and version.
    private func withServer(
        name: String = "demo",
        version: String = "2",
        _ body: (RunningServer, URL) throws -> Void
    ) throws {
        try Genrec.withTemporaryFolder { folder in
            let bundle = folder.appendingPathComponent("bundle")
            try FileManager.default.copyItem(atPath: Genrec.demoBundle, toPath: bundle.path)
            try Self.rename(bundle, name, version)
            let server = try RunningServer()
            defer { server.stop() }
            try body(server, bundle)
        }
    }

    private static func rename(_ bundle: URL, _ name: String, _ version: String) throws {
        let file = bundle.appendingPathComponent("config.json")
        try String(contentsOf: file, encoding: .utf8)
            .replacing(#/"version"\s*:\s*"[^"]*"/#, with: "\"version\": \"\(version)\"")
            .replacing(#/"name"\s*:\s*"demo"/#, with: "\"name\": \"\(name)\"")
            .write(to: file, atomically: true, encoding: .utf8)
    }

    private static func add(_ connection: TestConnection, _ bundle: URL) throws -> TestReply {
        try connection.post("/admin/models", "{\"bundle\":\"\(bundle.path)\"}")
    }

    private static func models(_ connection: TestConnection) throws -> [[String: Any]] {
        try #require(try connection.get("/models").json()["models"] as? [[String: Any]])
    }

    private static func version(_ reply: TestReply) throws -> String {
        try #require((try reply.json()["model"] as? [String: String])?["version"])
    }

    /// Without room for two models: one is unloaded, and the next takes its place.
    @Test func aModelThatReplacesAnother_HasItsShare() throws {
        try withServer { server, bundle in
            let connection = try server.connect()
            func replace(_ old: String, _ bundle: String) throws -> TestReply {
                try connection.post("/admin/models", "{\"bundle\":\"\(bundle)\",\"replace\":\"\(old)\"}")
            }
            for (old, status) in [("demo", 422), (":1", 422), ("demo:", 422), ("demo:7", 404), ("books:1", 404)] {
                #expect(try replace(old, bundle.path).status == status, "\(old)")
            }
            // Faulty files are detected before anything is unloaded.
            #expect(try replace("demo:1", bundle.path + "/nothing").status == 422)
            #expect(try Self.models(connection).map { $0["version"] as? String } == ["1"])
            let added = try replace("demo:1", bundle.path)
            #expect(added.status == 201, "\(added.text)")
            let record = try #require(try added.json()["model"] as? [String: Any])
            #expect(record["version"] as? String == "2" && record["share"] as? Double == 100)
            let reply = try connection.recommend("{\(Self.history),\"request_time\":30}")
            #expect(try reply.status == 200 && Self.version(reply) == "2")
            let old = try connection.recommend("{\(Self.history),\"model\":\"demo\",\"version\":\"1\"}")
            #expect(old.status == 404)
            #expect(try Self.models(connection).map { $0["version"] as? String } == ["2"])
            #expect(try connection.get("/health/ready").status == 200)
            // The replacement also works in the other direction, and to the same version from another directory.
            #expect(try replace("demo:2", Genrec.demoBundle).status == 201)
            #expect(try replace("demo:1", Genrec.demoBundle).status == 201)
            #expect(try Self.version(connection.recommend("{\(Self.history)}")) == "1")
            let (status, log) = server.stop()
            #expect(status == 0 && log.contains("a model was removed to make room"))
        }
    }

    /// Requests during the gap are told to retry; all requests before and after it are answered.
    @Test func aGap_IsSaidToBeOne_AndEnds() throws {
        try withServer { server, bundle in
            let isDone = Lock(false)
            let seen = Lock<[String]>([])
            nonisolated(unsafe) let caller = try server.connect()
            let thread = Thread {
                while !isDone.withLock({ $0 }) {
                    guard let reply = try? caller.recommend("{\(Self.history)}") else { break }
                    let isGap = reply.status == 503 && reply.text.contains("to replace another; retry")
                    let answer = isGap ? "gap" : reply.status == 200 ? (try? Self.version(reply)) : "\(reply.status)"
                    seen.withLock { seen in if seen.last != answer { seen.append(answer ?? "") } }
                }
            }
            thread.start()
            let connection = try server.connect()
            while seen.withLock({ $0.isEmpty }), !thread.isFinished { _ = try connection.get("/health/live") }
            let body = "{\"bundle\":\"\(bundle.path)\",\"replace\":\"demo:1\"}"
            #expect(try connection.post("/admin/models", body).status == 201)
            while seen.withLock({ $0.last != "2" }), !thread.isFinished { _ = try connection.get("/health/live") }
            isDone.withLock { $0 = true }
            while !thread.isFinished { _ = try connection.get("/health/live") }
            #expect([["1", "gap", "2"], ["1", "2"]].contains(seen.withLock { $0 }), "\(seen.withLock { $0 })")
        }
    }

    /// Faults that only the device detects appear after the old model is unloaded.
    @Test func aModelThatCannotTakeAPlace_LeavesItToWhatWasThere() throws {
        try withServer { server, bundle in
            let recorded = try Genrec.run([
                "golden", "--bundle", bundle.path, "--interactions", Genrec.demoInteractions, "--cases", "4",
            ])
            try #require(recorded.status == 0, "\(recorded.standardError)")
            let file = bundle.appendingPathComponent("golden.json")
            try String(contentsOf: file, encoding: .utf8)
                .replacing(#/"item":"([a-z]+)-\d+-\d+"/#) { "\"item\":\"\($0.1)-1-01\"" }
                .write(to: file, atomically: true, encoding: .utf8)
            let connection = try server.connect()
            let before = try connection.recommend("{\(Self.history),\"request_time\":30}").items()
            for _ in 0..<2 {
                let body = "{\"bundle\":\"\(bundle.path)\",\"replace\":\"demo:1\"}"
                let refused = try connection.post("/admin/models", body)
                #expect(refused.status == 422)
                let detail = try #require(try refused.json()["detail"] as? String)
                #expect(detail.contains("golden case") && detail.hasSuffix("; demo:1 was reloaded"), "\(detail)")
                let models = try Self.models(connection)
                #expect(models.map { $0["version"] as? String } == ["1"])
                #expect(models.map { $0["share"] as? Double } == [100])
                #expect(try connection.recommend("{\(Self.history),\"request_time\":30}").items() == before)
                #expect(try connection.get("/health/ready").status == 200)
            }
        }
    }

    @Test func aSecondVersion_ServesWhoeverNamesIt_AndOthersByItsShare() throws {
        try withServer { server, bundle in
            let connection = try server.connect()
            let added = try Self.add(connection, bundle)
            #expect(added.status == 201)
            let record = try #require(try added.json()["model"] as? [String: Any])
            #expect(record["version"] as? String == "2" && record["state"] as? String == "ready")
            #expect(record["share"] as? Double == 0)
            #expect(try Self.add(connection, bundle).status == 409)
            // The same bundle under two versions: the same answers.
            let old = try connection.recommend("{\(Self.history),\"request_time\":30}")
            let new = try connection.recommend(
                "{\(Self.history),\"request_time\":30,\"model\":\"demo\",\"version\":\"2\"}"
            )
            #expect(try Self.version(old) == "1" && Self.version(new) == "2")
            #expect(try old.items() == new.items())
            // Ten thousand users would be more precise; the mathematics has its own test.
            func share() throws -> Int {
                try (0..<200).count {
                    let reply = try connection.recommend("{\"user_id\":\"u-\($0)\",\"history\":[],\"k\":1}")
                    return try Self.version(reply) == "2"
                }
            }
            #expect(try share() == 0)
            func route(_ body: String) throws -> TestReply {
                try connection.post("/admin/routing/demo", body, method: "PUT")
            }
            #expect(try route("{\"split\":{\"1\":50,\"2\":50}}").status == 200)
            #expect(60...140 ~= (try share()))
            #expect(try Self.models(connection).map { $0["share"] as? Double } == [50, 50])
            #expect(try route("{\"split\":{\"2\":100}}").status == 200)
            #expect(try share() == 200)
            let rolledBack = try connection.post("/admin/routing/demo/rollback", "")
            #expect(rolledBack.text.contains("\"split\":{\"1\":50,\"2\":50}"))
            #expect(60...140 ~= (try share()))
            for (body, status) in [
                ("{\"split\":{\"1\":50,\"2\":49}}", 422), ("{\"split\":{\"1\":50,\"3\":50}}", 409), ("{}", 422),
                ("{", 400),
                ("{\"split\":{\"1\":101,\"2\":-1}}", 422), ("{\"split\":{\"1\":100},\"other\":1}", 422),
            ] { #expect(try route(body).status == status, "\(body)") }
            #expect(try connection.post("/admin/routing/none", "{\"split\":{\"1\":100}}", method: "PUT").status == 404)
        }
    }

    @Test func aModelWithoutAShare_IsTakenAway_AndItsRequestsAreAnsweredFirst() throws {
        try withServer { server, bundle in
            let connection = try server.connect()
            #expect(try connection.post("/admin/routing/demo/rollback", "").status == 409)
            _ = try Self.add(connection, bundle)
            _ = try connection.post("/admin/routing/demo", "{\"split\":{\"2\":100}}", method: "PUT")
            #expect(try connection.post("/admin/models/demo/2", "", method: "DELETE").status == 409)
            #expect(try connection.post("/admin/models/demo/3", "", method: "DELETE").status == 404)
            #expect(try connection.post("/admin/models/demo/1", "", method: "DELETE").status == 200)
            let gone = try connection.recommend("{\(Self.history),\"model\":\"demo\",\"version\":\"1\"}")
            #expect(gone.status == 404)
            #expect(
                try gone.json()["detail"] as? String
                    == "there is no version '1' of the model 'demo'; the served models are demo (2)"
            )
            #expect(try Self.version(try connection.recommend("{\(Self.history)}")) == "2")
            #expect(try Self.models(connection).filter { $0["state"] as? String == "ready" }.count == 1)
            let metrics = try connection.get("/metrics").text
            #expect(metrics.contains("genrec_model_info{name=\"demo\",version=\"2\""))
            #expect(!metrics.contains("genrec_model_info{name=\"demo\",version=\"1\""))
        }
    }

    @Test func modelsOfOtherNames_AreNamed_AlsoInBatches() throws {
        try withServer(name: "books", version: "7") { server, bundle in
            let connection = try server.connect()
            #expect(try Self.add(connection, bundle).status == 201)
            let named = try connection.recommend("{\(Self.history),\"model\":\"books\"}")
            #expect(try named.json()["model"] as? [String: String] == ["name": "books", "version": "7"])
            #expect(try Self.version(try connection.recommend("{\(Self.history)}")) == "1")
            let ranked = try connection.post(
                "/rank",
                "{\(Self.history),\"model\":\"books\",\"candidates\":[\"scifi-1-01\"]}"
            )
            #expect(try Self.version(ranked) == "7")
            let batch = try connection.post(
                "/recommend/batch",
                """
                {"requests":[{\(Self.history),"model":"books"},{"history":[],"model":"none"},{\(Self.history),"k":"x"},
                {\(Self.history)},{"history":[],"version":"7"}]}
                """
            )
            let results = try #require(try batch.json()["results"] as? [[String: Any]])
            let models = results.map { ($0["model"] as? [String: String])?["name"] }
            #expect(models == ["books", nil, nil, "demo", nil])
            #expect(results.map { $0["status"] as? Int } == [nil, 404, 422, nil, 422])
            #expect(try connection.post("/admin/reload", "{\"model\":\"books\"}").status == 200)
            #expect(try Self.models(connection).count { $0["state"] as? String == "ready" } == 2)
        }
    }

    @Test func refusals_NameWhatIsServed_AlsoWithOneModel() throws {
        let server = try RunningServer()
        defer { server.stop() }
        let connection = try server.connect()
        func ask(_ rest: String) throws -> TestReply { try connection.recommend("{\(Self.history),\(rest)}") }
        #expect(try ask("\"model\":\"demo\",\"version\":\"1\"").status == 200)
        #expect(try ask("\"model\":\"demo\"").status == 200)
        #expect(try ask("\"model\":\"movies\"").status == 404)
        #expect(try ask("\"model\":\"movies\"").text.contains("the served models are demo (1)"))
        #expect(try ask("\"version\":\"1\"").status == 422)
        #expect(try ask("\"model\":7").status == 422)
        let missing = try connection.post("/admin/models", "{\"bundle\":\"/no/such/bundle\"}")
        #expect(missing.status == 422)
        #expect(try Self.models(connection).count == 1)
    }

    @Test func aShadow_ComputesWhatOthersAreTold_AndIsCounted() throws {
        try withServer { server, bundle in
            let connection = try server.connect()
            _ = try Self.add(connection, bundle)
            let body = "{\"split\":{\"1\":100},\"shadow\":{\"2\":100}}"
            #expect(
                try connection.post("/admin/routing/demo", body, method: "PUT").text.contains("\"shadow\":{\"2\":100}")
            )
            #expect(try Self.models(connection).map { $0["shadow"] as? Double } == [0, 100])
            // The shadow runs after the reply, and may be dropped.
            var counts = ""
            for number in 0..<500 where !counts.contains("genrec_shadow_requests_total{model=\"demo\",version=\"2\"}") {
                let reply = try connection.recommend("{\"user_id\":\"u-\(number)\",\(Self.history)}")
                #expect(try Self.version(reply) == "1")
                counts = try connection.get("/metrics").text
            }
            // The weights are the same, so both found the same items.
            #expect(counts.contains("genrec_shadow_overlap_bucket{model=\"demo\",version=\"2\",le=\"0.9\"} 0\n"))
        }
    }

    @Test func requestsGoOn_WhileModelsComeAndGo() throws {
        try withServer { server, bundle in
            let isDone = Lock(false)
            let statuses = Lock<[Int]>([])
            let callers = try (0..<2).map { number in
                // Each thread has its own connection.
                nonisolated(unsafe) let connection = try server.connect()
                return Thread {
                    while !isDone.withLock({ $0 }) {
                        let body = "{\"user_id\":\"u-\(number)\",\(Self.history)}"
                        guard let reply = try? connection.recommend(body) else { break }
                        statuses.withLock { $0.append(reply.status) }
                    }
                }
            }
            for caller in callers { caller.start() }
            let connection = try server.connect()
            for _ in 0..<3 {
                #expect(try Self.add(connection, bundle).status == 201)
                for split in ["{\"1\":50,\"2\":50}", "{\"2\":100}", "{\"1\":100}"] {
                    #expect(
                        try connection.post("/admin/routing/demo", "{\"split\":\(split)}", method: "PUT").status == 200
                    )
                }
                #expect(try connection.post("/admin/models/demo/2", "", method: "DELETE").status == 200)
            }
            isDone.withLock { $0 = true }
            while callers.contains(where: { !$0.isFinished }) { Thread.sleep(forTimeInterval: 0.01) }
            let all = statuses.withLock { $0 }
            #expect(!all.isEmpty && all.allSatisfy { $0 == 200 })
        }
    }
}
