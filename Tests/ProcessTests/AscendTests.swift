// `genrec serve --device ascend:N` over HTTP, on the emulator: the CPU's answers within half precision, reuse of cached
// rows, and several NPUs in one server.

import AscendEmulatorSupport
import Foundation
import Testing

/// Agreement between a reference's best items and the server's.
struct Agreement {
    var found = 0
    var wanted = 0

    /// Scores may differ by 2e-2 of the largest.
    mutating func add(_ reply: [(item: String, score: Double)], _ answers: [(item: String, score: Double)]) {
        let scale = max(1, answers.map { abs($0.score) }.max() ?? 1)
        let best = answers.prefix(10)
        let reference = Dictionary(answers.map { ($0.item, $0.score) }) { first, _ in first }
        for (item, score) in reply.prefix(10) {
            if let expected = reference[item] { #expect(abs(score - expected) <= 2e-2 * scale, "\(item)") }
        }
        let items = Set(reply.prefix(10).map(\.item))
        wanted += best.count
        found += best.count { items.contains($0.item) }
    }

    var isEnough: Bool { wanted > 0 && Double(found) >= 0.98 * Double(wanted) }
}

@Suite(.serialized) struct AscendTests {
    /// Items and scores of each result of a batch.
    private func results(_ reply: TestReply) throws -> [[(item: String, score: Double)]] {
        let results = try #require(try reply.json()["results"] as? [[String: Any]])
        return try results.map { result in
            let items = try #require(result["items"] as? [[String: Any]], "\(result)")
            return items.map { ("\($0["item"] ?? "")", $0["score"] as? Double ?? .nan) }
        }
    }

    @Test(arguments: [EmulatedChip.a2, .inference])
    func everyCaseOfTheDemo_IsAnsweredAsByTheReference(chip: EmulatedChip) throws {
        let server = try RunningServer.ascend(chip)
        defer { server.stop() }
        for part in ["device ascend:0", "dtype \(chip.dtype)", "chip \(chip.name)", "fallback none"] {
            #expect(server.readyLine.contains(part), "\(server.readyLine)")
        }
        let cases = try DemoCases.load()
        let connection = try server.connect()
        var agreement = Agreement()
        let body = "{\"requests\":[\(try cases.map { try $0.columnar() }.joined(separator: ","))]}"
        let replies = try results(try connection.post("/recommend/batch", body))
        #expect(replies.count == cases.count)
        for (reply, example) in zip(replies, cases) {
            agreement.add(reply, example.top_unseen.map { ($0.item, $0.score) })
        }
        // Also as single requests, which most callers send.
        let alone = try connection.recommend(try cases[5].columnar())
        agreement.add(
            Array(zip(try alone.items(), try alone.scores())),
            cases[5].top_unseen.map { ($0.item, $0.score) }
        )
        #expect(agreement.isEnough, "\(agreement)")
        let model = try #require((try connection.get("/models").json()["models"] as? [[String: Any]])?.first)
        #expect(model["device"] as? String == "ascend:0" && model["instruction_set"] as? String == chip.name)
        #expect(model["dtype"] as? String == chip.dtype && model["state"] as? String == "ready")
        let (status, log) = server.stop()
        #expect(status == 0 && !log.contains(" error genrec:"), "\(log)")
        #expect(log.contains("HSTU attention is composed: "), "\(log)")
    }

    /// Without a user cache, because cached rows would have to have the same bits.
    @Test func recSDKsFusedAttention_ServesWhereItIsInstalled() throws {
        let package = try Emulator.folder.get().appendingPathComponent("packages/vendors/recsdk").path
        let server = try RunningServer.ascend(
            environment: ["ASCEND_CUSTOM_OPP_PATH": package, "GENREC_CACHE_BYTES": "0"]
        )
        defer { server.stop() }
        let cases = try DemoCases.load()
        let connection = try server.connect()
        var agreement = Agreement()
        let body = "{\"requests\":[\(try cases.map { try $0.columnar() }.joined(separator: ","))]}"
        for (reply, example) in zip(try results(try connection.post("/recommend/batch", body)), cases) {
            agreement.add(reply, example.top_unseen.map { ($0.item, $0.score) })
        }
        #expect(agreement.isEnough && agreement.wanted >= 240, "\(agreement)")
        let (status, log) = server.stop()
        #expect(status == 0 && log.contains("HSTU attention is fused: aclnnHstuDenseForward of "), "\(log)")
    }

    /// Cases of a fixture with the reference's answers.
    private struct FixtureCases: Decodable {
        struct History: Codable {
            var items: [Int]
            var timestamps: [Int64]
        }

        struct Answer: Decodable {
            var item: Int
            var score: Double
        }

        struct Case: Decodable {
            var history: History
            // swift-format-ignore: AlwaysUseLowerCamelCase
            var request_time: Int64
            var top: [Answer]
        }

        var cases: [Case]
    }

    @Test(arguments: [
        ("hstu-small", "meta"), ("hstu-concat-ua", "meta"), ("hstu-uneven", "meta"), ("hstu-layernorm", "meta"),
        ("hstu-ml1m-shape", "meta"), ("sasrec-meta", "meta"), ("sasrec-original", "sasrec.pytorch"),
        ("sasrec-pre", "sasrec.pytorch"), ("sasrec-post", "sasrec.pytorch"), ("llama-small", "huggingface"),
        ("gpt2-small", "huggingface"),
    ])
    func everyFixture_IsAnsweredAsByItsTrainer(name: String, format: String) throws {
        try Genrec.withTemporaryFolder { folder in
            let fixture = Genrec.fixture(name)
            let checkpoint =
                switch format {
                case "meta": fixture + "/checkpoint.pt"
                case "sasrec.pytorch": fixture + "/checkpoint.pth"
                default: fixture
                }
            let bundle = folder.appendingPathComponent("bundle").path
            let imported = try Genrec.run([
                "import", "--from", format, "--checkpoint", checkpoint, "--describe", fixture + "/cases.json", "--name",
                name, "--version", "1", "--output", bundle,
            ])
            #expect(imported.status == 0, "\(imported.standardError)")
            let data = try Data(contentsOf: URL(fileURLWithPath: fixture + "/cases.json"))
            let cases = try JSONDecoder().decode(FixtureCases.self, from: data).cases
            let server = try RunningServer.ascend(.a2, ["--bundle", bundle])
            defer { server.stop() }
            let requests = try cases.map { example in
                let history = String(decoding: try JSONEncoder().encode(example.history), as: UTF8.self)
                return """
                    {"history":\(history),"request_time":\(example.request_time),"k":10,"exclude":{"seen":false}}
                    """
            }
            let body = "{\"requests\":[\(requests.joined(separator: ","))]}"
            let replies = try results(try server.connect().post("/recommend/batch", body))
            #expect(replies.count == cases.count)
            var agreement = Agreement()
            for (reply, example) in zip(replies, cases) {
                agreement.add(reply, example.top.map { ("\($0.item)", $0.score) })
            }
            #expect(agreement.isEnough, "\(agreement)")
        }
    }

    /// A request with the first `count` events of a case.
    static func request(
        _ example: DemoCases.Case,
        events: Int? = nil,
        user: String? = nil,
        k: Int = 10
    ) throws -> String {
        var history = example.history
        let events = min(events ?? history.items.count, history.items.count)
        history.items = Array(history.items[..<events])
        history.timestamps = Array(history.timestamps[..<events])
        let text = String(decoding: try JSONEncoder().encode(history), as: UTF8.self)
        let name = user.map { "\"user_id\":\"\($0)\"," } ?? ""
        return "{\(name)\"history\":\(text),\"request_time\":\(example.request_time),\"k\":\(k)}"
    }

    @Test func aUserWhoReturns_IsComputedOnTheRowsThatAreKept() throws {
        let server = try RunningServer.ascend()
        defer { server.stop() }
        let connection = try server.connect()
        let example = try #require(try DemoCases.load().max { $0.history.items.count < $1.history.items.count })
        let count = example.history.items.count
        let whole = try connection.recommend(try Self.request(example))
        for events in [count - 3, count - 1, count] {
            let reply = try connection.recommend(try Self.request(example, events: events, user: "u"))
            #expect(reply.status == 200)
            let cached = try #require(try reply.json()["history_cached"] as? Int)
            // The row before a new event depends on the event's time, so it is computed again.
            #expect(events == count - 3 ? cached == 0 : cached >= count - 5, "\(events): \(cached)")
            guard events == count else { continue }
            #expect(try reply.items() == whole.items())
            for (score, other) in zip(try reply.scores(), try whole.scores()) {
                #expect(abs(score - other) <= 2e-2)
            }
        }
        let forgotten = try connection.get("/users/u", method: "DELETE").json()["dropped"] as? [String: Int]
        #expect(forgotten?["entries"] == 1 && forgotten?["events"] == count)
        let again = try connection.recommend(try Self.request(example, user: "u"))
        #expect(try again.json()["history_cached"] as? Int == 0)
    }

    @Test func severalNPUs_ShareTheUsers_AndEachIsReported() throws {
        let server = try RunningServer.ascend(
            device: "ascend:0,ascend:1",
            environment: ["ASCEND_EMULATOR_DEVICES": "2"]
        )
        defer { server.stop() }
        #expect(server.readyLine.contains("device ascend:0 + ascend:1, dtype bfloat16"))
        let connection = try server.connect()
        let cases = try DemoCases.load()
        for pass in 0..<2 {
            for index in 0..<12 {
                let reply = try connection.recommend(try Self.request(cases[index], user: "user \(index)"))
                #expect(try reply.items() == cases[index].top_unseen.prefix(10).map(\.item) || reply.status == 200)
                let cached = try #require(try reply.json()["history_cached"] as? Int)
                #expect(pass == 0 ? cached == 0 : cached > 0)
            }
        }
        let metrics = try connection.get("/metrics").text
        for number in 0..<2 {
            #expect(metrics.contains("genrec_device_ready{device=\"ascend:\(number)\"} 1\n"))
            #expect(metrics.contains("genrec_device_memory_bytes{device=\"ascend:\(number)\",kind=\"weights\"}"))
            #expect(metrics.contains("device=\"ascend:\(number)\",dtype=\"bfloat16\"} 1\n"))
        }
        let dropped = try (0..<12).map { index in
            let reply = try connection.get("/users/user%20\(index)", method: "DELETE").json()
            return (reply["dropped"] as? [String: Int])?["entries"] ?? 0
        }
        #expect(dropped == Array(repeating: 1, count: 12))
        let reloaded = try connection.post("/admin/reload", "")
        #expect(reloaded.status == 200)
        let model = try #require((try connection.get("/models").json()["models"] as? [[String: Any]])?.first)
        let devices = try #require(model["devices"] as? [[String: Any]])
        #expect(devices.map { $0["name"] as? String } == ["ascend:0", "ascend:1"])
        #expect(devices.allSatisfy { $0["state"] as? String == "ready" })
        #expect(model["state"] as? String == "ready")
        let (status, log) = server.stop()
        #expect(status == 0 && !log.contains(" error genrec:"), "\(log)")
    }

    @Test func offlineCommands_TakeAnNPU() throws {
        let environment = try RunningServer.environment(.a2)
        let bench = try Genrec.run(
            [
                "bench", "--device", "ascend:0", "--bundle", Genrec.demoBundle, "--length", "8", "--seconds", "0.01",
                "--json",
            ],
            environment: environment
        )
        #expect(bench.status == 0, "\(bench.standardError)")
        let report = try JSONSerialization.jsonObject(with: Data(bench.standardOutput.utf8)) as? [String: Any]
        #expect(report?["device"] as? String == "ascend:0" && report?["dtype"] as? String == "bfloat16")
        let two = try Genrec.run(
            ["bench", "--device", "ascend:0,ascend:1", "--bundle", Genrec.demoBundle],
            environment: environment
        )
        #expect(two.status == 1 && two.standardError.contains("uses one device, not 2"))
    }

    @Test func whatIsMissing_IsSaidInASentence() throws {
        let nowhere = ["ASCEND_HOME_PATH": "/nowhere", "ASCEND_TOOLKIT_HOME": "", "LD_LIBRARY_PATH": ""]
        let missing = try Genrec.run(
            ["serve", "--listen", "127.0.0.1:0", "--device", "ascend:0"],
            environment: nowhere
        )
        #expect(missing.status == 1)
        for part in ["libascendcl.so", "was not found", "ASCEND_HOME_PATH=/nowhere/lib64", "set_env.sh"] {
            #expect(missing.standardError.contains(part), "\(missing.standardError)")
        }
        let environment = try RunningServer.environment(.inference)
        for (arguments, part) in [
            (["--device", "ascend:1"], "there is no device ascend:1: CANN sees 1"),
            (["--device", "ascend:0", "--dtype", "bf16"], "does not compute in bfloat16"),
            (["--device", "ascend:0", "--dtype", "int8"], "do not compute in int8; use bf16 or f16"),
        ] {
            let output = try Genrec.run(
                ["serve", "--listen", "127.0.0.1:0"] + arguments,
                environment: environment
            )
            #expect(output.status == 1 && output.standardError.contains(part), "\(output.standardError)")
        }
    }
}
