// Semantic ids under change during searches: other items for the same weights, other weights, a failing NPU.

import Foundation
import Synchronization
import Testing

@Suite(.serialized) struct SemanticIDChangeTests {
    private static let name = "sid-qwen3"
    private static let history = "\"history\":{\"items\":[\"item-62\",\"item-430\",\"item-363\"]}"

    /// Imports the fixture.
    ///
    /// - Parameter changing: makes another index from the fixture's.
    private func importBundle(
        _ folder: URL,
        _ output: String,
        version: String,
        changing: ([String: Any]) -> [String: Any] = { $0 }
    ) throws -> String {
        let checkpoint = folder.appendingPathComponent("checkpoint-\(version)")
        try FileManager.default.copyItem(atPath: Genrec.fixture(Self.name), toPath: checkpoint.path)
        let index = checkpoint.appendingPathComponent("index.json")
        let items = try #require(try JSONSerialization.jsonObject(with: Data(contentsOf: index)) as? [String: Any])
        try JSONSerialization.data(withJSONObject: changing(items), options: .sortedKeys).write(to: index)
        let bundle = folder.appendingPathComponent(output).path
        let result = try Genrec.run([
            "import", "--from", "huggingface", "--checkpoint", checkpoint.path, "--describe",
            checkpoint.appendingPathComponent("cases.json").path, "--name", Self.name, "--version", version,
            "--output", bundle,
        ])
        #expect(result.status == 0, "\(result.standardError)")
        return bundle
    }

    private static func items(_ reply: TestReply) throws -> [String] {
        let items = try #require(try reply.json()["items"] as? [[String: Any]], "\(reply.text)")
        return items.map { "\($0["item"] ?? "") \($0["score"] ?? "")" }
    }

    private static func version(_ reply: TestReply) throws -> String {
        try #require((try reply.json()["model"] as? [String: Any])?["version"] as? String)
    }

    private func replace(_ bundle: String, by other: String) throws {
        try FileManager.default.moveItem(atPath: bundle, toPath: bundle + ".old-\(UUID().uuidString)")
        try FileManager.default.copyItem(atPath: other, toPath: bundle)
    }

    @Test func otherItems_KeepTheUsersRows_AndNoRequestSeesBoth() throws {
        try Genrec.withTemporaryFolder { folder in
            let served = try importBundle(folder, "served", version: "1")
            let body = "{\(Self.history),\"user_id\":\"u\",\"k\":10,\"beams\":20}"
            let server = try RunningServer(["--bundle", served])
            defer { server.stop() }
            let connection = try server.connect()
            let before = try Self.items(try connection.recommend(body))
            let best = try #require(before.first?.split(separator: " ").first)
            // The best item is removed, and all others are renumbered.
            let other = try importBundle(folder, "other", version: "2") { items in
                items.filter { $0.key != best }
            }
            let fresh = try RunningServer(["--bundle", other])
            let after = try Self.items(try fresh.connect().recommend(body))
            fresh.stop()
            #expect(after != before && !after.contains { $0.hasPrefix("\(best) ") })

            let isOver = Atomic<Bool>(false)
            let old = Atomic<Int>(0)
            let new = Atomic<Int>(0)
            let wrong = Atomic<Int>(0)
            let group = DispatchGroup()
            for number in 0..<4 {
                let box = UncheckedBox(try server.connect())
                group.enter()
                Thread.detachNewThread {
                    let body = body.replacing("\"u\"", with: "\"u\(number)\"")
                    while !isOver.load(ordering: .relaxed) {
                        let reply = try? box.value.recommend(body)
                        let items = reply.flatMap { try? Self.items($0) }
                        switch reply.flatMap({ try? Self.version($0) }) {
                        case "1" where items == before: old.add(1, ordering: .relaxed)
                        case "2" where items == after: new.add(1, ordering: .relaxed)
                        default: wrong.add(1, ordering: .relaxed)
                        }
                    }
                    group.leave()
                }
            }
            #expect(try eventually { old.load(ordering: .relaxed) > 20 })
            try replace(served, by: other)
            #expect(try connection.post("/admin/reload", "").status == 200)
            #expect(try eventually { new.load(ordering: .relaxed) > 20 })
            isOver.store(true, ordering: .relaxed)
            group.wait()
            #expect(wrong.load(ordering: .relaxed) == 0)

            let reply = try connection.recommend(body)
            #expect(try Self.items(reply) == after)
            #expect(try reply.json()["history_cached"] as? Int == 3)
            let models = try connection.get("/models").text
            #expect(models.contains("\"version\":\"2\"") && !models.contains("\"version\":\"1\""))

            // Other weights are loaded, and no user is cached.
            let weights = URL(fileURLWithPath: other + "/model.safetensors")
            var bytes = try Data(contentsOf: weights)
            bytes[bytes.count - 4] ^= 1
            try bytes.write(to: weights)
            try replace(served, by: other)
            #expect(try connection.post("/admin/reload", "").status == 200)
            #expect(try connection.recommend(body).json()["tokens_cached"] as? Int == 0)
            #expect(server.stop().status == 0)
        }
    }

    /// Each fault occurs at another moment of a search: with the prompt, or after some rounds of beams.
    @Test(arguments: ["lost@10", "lost@70", "aicore@110", "lost@150"], [true, false])
    func anNPUThatFailsInASearch_LeavesRightAnswers(fault: String, hasFallback: Bool) throws {
        try Genrec.withTemporaryFolder { folder in
            let bundle = try importBundle(folder, "bundle", version: "1")
            let faults = EmulatorFaults()
            var environment = faults.environment.merging(["GENREC_ENGINE_DEVICE_TIMEOUT_MS": "5000"]) { $1 }
            if hasFallback { environment["GENREC_ENGINE_FALLBACK"] = "cpu" }
            let server = try RunningServer.ascend(.a2, ["--bundle", bundle], environment: environment)
            defer { server.stop() }
            let connection = try server.connect()
            let body = "{\(Self.history),\"user_id\":\"u\",\"k\":5,\"beams\":10}"
            func names(_ reply: TestReply) throws -> [Substring] {
                try Self.items(reply).map { $0.prefix { $0 != " " } }
            }
            let expected = try names(try connection.recommend(body))
            try faults.begin(fault)
            let reply = try connection.recommend(body.replacing("\"u\"", with: "\"v\""))
            if reply.status == 200 {
                // bfloat16 on the NPU, float32 on the CPU.
                #expect(Set(try names(reply)).intersection(expected).count >= 4, "\(reply.text)")
            } else {
                #expect(!hasFallback && reply.status == 503, "\(reply.text)")
            }
            let recovered = "genrec_device_recoveries_total{device=\"ascend:0\"} 1\n"
            #expect(
                try eventually {
                    _ = try connection.recommend(body)
                    return try connection.get("/metrics").text.contains(recovered)
                }
            )
            #expect(try eventually { try connection.recommend(body).status == 200 })
            let again = try connection.recommend(body)
            #expect(try names(again) == expected, "\(again.text)")
            #expect(server.stop().status == 0)
        }
    }
}
