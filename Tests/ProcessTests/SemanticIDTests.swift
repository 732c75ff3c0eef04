// Semantic ids over the wire: imported and served checkpoints give the answers of constrained beam search.

import Foundation
import Testing

@Suite struct SemanticIDTests {
    private struct Case {
        let history: [String]
        let prompt: [Int]
        let beams: Int
        let k: Int
        let exclude: [String: Any]
        let top: [(item: String, score: Double)]

        init(_ object: [String: Any]) throws {
            history = try #require((object["history"] as? [String: Any])?["items"] as? [String])
            prompt = try #require(object["prompt_tokens"] as? [Int])
            beams = try #require(object["beams"] as? Int)
            k = try #require(object["k"] as? Int)
            exclude = try #require(object["exclude"] as? [String: Any])
            top = try #require(object["top"] as? [[String: Any]]).map { entry in
                (try #require(entry["item"] as? String), try #require(entry["score"] as? Double))
            }
        }

        /// - Parameter givesPrompt: false: the bundle's template formats the history.
        func body(givesPrompt: Bool, _ more: [String: Any] = [:]) throws -> String {
            var object: [String: Any] = ["history": ["items": history], "beams": beams, "k": k, "exclude": exclude]
            if givesPrompt { object["prompt_tokens"] = prompt }
            object.merge(more) { $1 }
            return String(decoding: try JSONSerialization.data(withJSONObject: object), as: UTF8.self)
        }
    }

    /// Imports a checkpoint.
    private func withBundle(_ name: String, _ body: (String) throws -> Void) throws {
        try Genrec.withTemporaryFolder { folder in
            let bundle = folder.appendingPathComponent("bundle").path
            let output = try Genrec.run([
                "import", "--from", "huggingface", "--checkpoint", Genrec.fixture(name), "--describe",
                Genrec.fixture("\(name)/cases.json"), "--name", name, "--version", "1", "--output", bundle,
            ])
            #expect(output.status == 0, "\(output.standardError)")
            try body(bundle)
        }
    }

    /// Imports a checkpoint and serves it.
    private func withServer(
        _ name: String,
        environment: [String: String] = [:],
        _ body: (TestConnection, [Case]) throws -> Void
    ) throws {
        try withBundle(name) { bundle in
            let file = try Data(contentsOf: URL(fileURLWithPath: Genrec.fixture("\(name)/cases.json")))
            let object = try #require(try JSONSerialization.jsonObject(with: file) as? [String: Any])
            let cases = try #require(object["cases"] as? [[String: Any]]).map(Case.init)
            let server = try RunningServer(["--bundle", bundle], environment: environment)
            defer { server.stop() }
            try body(try server.connect(), cases)
        }
    }

    private func items(_ reply: TestReply) throws -> [[String: Any]] {
        try #require(try reply.json()["items"] as? [[String: Any]], "\(reply.text)")
    }

    private func expect(_ reply: TestReply, _ example: Case, _ note: String) throws {
        #expect(reply.status == 200, "\(note): \(reply.text)")
        let items = try items(reply)
        #expect(items.compactMap { $0["item"] as? String } == example.top.map(\.item), "\(note)")
        for (item, answer) in zip(items, example.top) {
            let score = try #require(item["score"] as? Double)
            #expect(abs(score - answer.score) <= 1e-4 * max(1, abs(answer.score)), "\(note)")
        }
    }

    @Test(arguments: ["sid-llama", "sid-qwen2", "sid-qwen3"])
    func aServedCheckpoint_AnswersAsItsReference(name: String) throws {
        try withServer(name) { connection, cases in
            for (number, example) in cases.enumerated() {
                let reply = try connection.recommend(
                    try example.body(givesPrompt: true, ["include": ["tokens", "exact"]])
                )
                try expect(reply, example, "case \(number)")
                let object = try reply.json()
                #expect(object["prompt_tokens"] as? Int == example.prompt.count)
                #expect(object["beams"] as? Int == example.beams && object["exact"] is Bool)
                #expect(try items(reply).allSatisfy { ($0["tokens"] as? [Int])?.isEmpty == false })
                guard !example.history.isEmpty else { continue }
                let again = try connection.recommend(try example.body(givesPrompt: false))
                try expect(again, example, "case \(number) by the template")
                #expect(try again.json()["history_used"] as? Int == example.history.count)
                #expect(try again.json()["tokens_cached"] as? Int == example.prompt.count - 1)
            }
        }
    }

    @Test func ranks_Batches_Streams_AndAColdStart() throws {
        try withServer("sid-qwen3") { connection, cases in
            let example = try #require(cases.first { $0.history.count == 3 })
            let body = try example.body(givesPrompt: false, ["exclude": ["seen": false]])
            let best = try items(try connection.recommend(body))
            let candidates: [String: Any] = [
                "history": ["items": example.history],
                "candidates": best.compactMap { $0["item"] as? String }.reversed() + ["?"],
            ]
            let asked = String(decoding: try JSONSerialization.data(withJSONObject: candidates), as: UTF8.self)
            let ranked = try connection.post("/rank", asked)
            func pairs(_ items: [[String: Any]]) -> Set<String> {
                Set(items.map { "\($0["item"] ?? "") \($0["score"] ?? "")" })
            }
            #expect(pairs(try items(ranked)) == pairs(best), "\(ranked.text)")
            #expect(try ranked.json()["unknown_candidates"] as? Int == 1)
            for unknown in ["\"?\"", "1,2"] {
                let none = try connection.post(
                    "/rank",
                    "{\"history\":{\"items\":[\"item-62\"]},\"candidates\":[\(unknown)]}"
                )
                #expect(none.status == 200, "\(none.text)")
                #expect(try items(none).isEmpty)
            }
            let batch = try connection.post(
                "/recommend/batch",
                "{\"requests\":[\(body),{\"history\":[],\"beams\":2,\"k\":2}]}"
            )
            let results = try #require(try batch.json()["results"] as? [[String: Any]])
            #expect(pairs(try #require(results[0]["items"] as? [[String: Any]])) == pairs(best))
            #expect(results[1]["source"] as? String == "popularity")
            let stream = try connection.recommend(
                try example.body(givesPrompt: false, ["stream": true, "include": ["tokens"]])
            )
            #expect(stream.text.split(separator: "\n").count == example.k + 1)
            #expect(stream.text.contains("\"tokens\":[") && stream.text.contains("\"beams\":"))
            let models = try connection.get("/models").text
            #expect(models.contains("\"semantic_ids\":{\"levels\":"))
            let metrics = try connection.get("/metrics").text
            #expect(metrics.contains("genrec_beam_answers_total{model=") && metrics.contains("genrec_path_trie_bytes{"))
            #expect(metrics.contains("genrec_path_trie_build_seconds{model="))
        }
    }

    /// One beam on the first levels leaves the items of one prefix; the others are eligible all the same.
    @Test func narrowLevels_LeaveFewerItems_ButAreNoExhaustedCatalogue() throws {
        try withServer("sid-qwen2") { connection, cases in
            let example = try #require(cases.last { !$0.history.isEmpty })
            func reply(_ more: [String: Any]) throws -> TestReply {
                try connection.recommend(try example.body(givesPrompt: false, more))
            }
            let narrow = try reply(["beams": [1, 1, 300], "k": 300])
            let found = try narrow.items().count
            #expect(found < 50)
            let asked = try reply(["beams": [1, 1, 50], "k": 50])
            #expect(try asked.items().count == found && asked.text.contains("\"exhausted\":false"))
            #expect(!asked.text.contains("\"removed\""))
            #expect(narrow.text.contains("\"exhausted\":true"))
        }
    }

    @Test func whatCannotBeAnswered_IsRefusedByName() throws {
        try withServer("sid-qwen2", environment: ["GENREC_LIMITS_MAX_BEAMS": "60"]) { connection, cases in
            let example = try #require(cases.last)
            func refusal(_ more: [String: Any]) throws -> String {
                let reply = try connection.recommend(try example.body(givesPrompt: false, more))
                #expect(reply.status == 422, "\(reply.text)")
                return try #require(try reply.json()["detail"] as? String)
            }
            #expect(try refusal(["beams": 61]).contains("beams must be an integer from 1 to 60"))
            #expect(try refusal(["beams": [5, 5]]).contains("beams must have one width for each of the "))
            #expect(try refusal(["beams": 1, "k": 5]).contains("beams must be at least k, which is 5"))
            #expect(try refusal(["prompt_tokens": [Int]()]).contains("prompt_tokens must have at least one token"))
            #expect(
                try refusal(["prompt_tokens": [1, 99_999]]).contains("prompt_tokens[1] is 99999, but the vocabulary")
            )
            #expect(try refusal(["prompt_tokens": [1, "a"]]).contains("prompt_tokens[1] must be a token id"))
            let long = [Int](repeating: 1, count: 100_000)
            #expect(
                try refusal(["prompt_tokens": long]).contains("prompt_tokens has 100000 tokens, but the window of ")
            )
            #expect(
                try refusal(["mode": "sequence"]).contains("models with semantic ids do not support mode \"sequence\"")
            )
            #expect(try refusal(["include": ["prompt"]]).contains("include[0] must be one of \"tokens\", \"exact\""))
        }
        let server = try RunningServer()
        defer { server.stop() }
        let reply = try server.connect().recommend("{\"history\":[],\"beams\":5}")
        #expect(reply.status == 422 && reply.text.contains("beams requires a model with semantic ids"))
    }

    // MARK: - Other commands

    /// Four users with three to five items each.
    private func writeInteractions(_ folder: URL) throws -> String {
        var lines = "user\titem\ttimestamp\n"
        for user in 0..<4 {
            for event in 0..<3 + user % 3 { lines += "u\(user)\titem-\(60 + user * 7 + event)\t\(1_000 + event)\n" }
        }
        let path = folder.appendingPathComponent("interactions.tsv").path
        try Data(lines.utf8).write(to: URL(fileURLWithPath: path))
        return path
    }

    private func object(_ arguments: [String]) throws -> [String: Any] {
        let output = try Genrec.run(arguments)
        #expect(output.status == 0, "\(output.standardError)")
        return try #require(try JSONSerialization.jsonObject(with: Data(output.standardOutput.utf8)) as? [String: Any])
    }

    @Test func inspect_Evaluate_AndBench_KnowSemanticIDs() throws {
        try withBundle("sid-qwen3") { bundle in
            let facts = try #require(try object(["inspect", bundle, "--json"])["semantic_ids"] as? [String: Any])
            let (items, paths) = (try #require(facts["items"] as? Int), try #require(facts["paths"] as? Int))
            #expect(facts["levels"] as? Int == 3 && facts["duplicates"] as? Int == items - paths && items > paths)
            #expect((facts["prefixes"] as? [Int])?.last == paths && (facts["fan_out"] as? [Double])?.count == 3)
            let table = try Genrec.run(["inspect", bundle]).standardOutput
            for label in ["fan-out", "trie", "paths", "template", "beams"] {
                #expect(table.contains("\n\(label) "), "\(table)")
            }
            try Genrec.withTemporaryFolder { folder in
                let interactions = try writeInteractions(folder)
                let common = ["evaluate", "--bundle", bundle, "--interactions", interactions]
                // With as many beams as paths, the search drops nothing.
                let all = try object(common + ["--beams", "1000", "--json"])
                #expect(all["users"] as? Int == 4 && all["exact_share"] as? Double == 1)
                #expect(all["beams"] as? Int == items)
                let few = try object(common + ["--beams", "1", "--json"])
                #expect(few["beams"] as? Int == 1 && few["hr@200"] as? Double == few["hr@1"] as? Double)
                let text = try Genrec.run(common + ["--beams", "2"]).standardOutput
                #expect(text.contains("exact share") && text.contains("a search with 2 beams ranks 2 items"))
            }
            let common = ["bench", "--bundle", bundle, "--length", "40", "--seconds", "0.01", "--json"]
            let cold = try object(common + ["--beams", "7", "--k", "5", "--batch", "2"])
            #expect(cold["beam_rows"] as? [Int] == [7, 7] && cold["length"] as? Int == 40)
            #expect(try object(common + ["--append", "4"])["append"] as? Int == 4)
            #expect(try object(common + ["--candidates", "9"])["candidates"] as? Int == 9)
        }
        let refused = try Genrec.run(["bench", "--bundle", Genrec.demoBundle, "--beams", "5"])
        #expect(refused.status == 1 && refused.standardError.contains("--beams is for models with semantic ids"))
    }

    @Test func bench_TimesATrieWithoutABundle() throws {
        let report = try object(["bench", "--trie", "2000", "--codes", "16", "--beams", "8", "--json"])
        #expect(report["items"] as? Int == 2_000 && report["levels"] as? Int == 3)
        let rounds = try #require(report["round_milliseconds"] as? [String: [Any]])
        #expect(rounds.count == 4 && rounds.values.allSatisfy { $0.count == 3 })
        #expect(try Genrec.run(["bench"]).status != 0)
        #expect(try Genrec.run(["bench", "--trie", "10", "--levels", "1"]).status != 0)
    }

    @Test func bench_TimesChangesWithoutABundle() throws {
        let report = try object(["bench", "--changes", "2000", "--json"])
        #expect(report["changes"] as? Int == 2_000)
        #expect((report["additions"] as? [[String: Any]])?.map { $0["added"] as? Int } == [0, 99_950])
        #expect((report["popularity_milliseconds"] as? [String: Any])?.count == 2)
        #expect(try Genrec.run(["bench", "--changes", "0"]).status != 0)
        #expect(try Genrec.run(["bench", "--changes", "10", "--trie", "10"]).status != 0)
    }

    @Test func load_SendsBeamsOrCandidates() throws {
        try withBundle("sid-qwen3") { bundle in
            let server = try RunningServer(["--bundle", bundle])
            defer { server.stop() }
            try Genrec.withTemporaryFolder { folder in
                let common = [
                    "load", "--url", "http://127.0.0.1:\(server.port)", "--interactions",
                    try writeInteractions(folder), "--connections", "2", "--seconds", "0.3", "--json",
                ]
                for more in [["--beams", "6", "--k", "4"], ["--candidates", "5"], ["--beams", "4,5,6", "--k", "3"]] {
                    let report = try object(common + more)
                    #expect((report["statuses"] as? [String: Int])?.keys.sorted() == ["200"], "\(report)")
                    #expect((report["replies"] as? [String: Any])?["unreadable"] as? Int == 0)
                }
            }
            let metrics = try server.connect().get("/metrics").text
            #expect(metrics.contains("genrec_http_requests_total{route=\"/rank\",method=\"POST\",status=\"200\"}"))
        }
        #expect(
            try Genrec.run(["load", "--url", "http://127.0.0.1:1", "--candidates", "5", "--beams", "5"]).status != 0
        )
    }
}
