// The demo bundle for a newcomer: served without options, called over HTTP, evaluated.

import Foundation
import Testing

/// The cases of the demo world with the reference's answers.
struct DemoCases: Decodable {
    struct History: Codable {
        var items: [String]
        var timestamps: [Int64]
    }

    struct Answer: Decodable {
        var item: String
        var score: Double
    }

    struct Case: Decodable {
        var history: History
        // swift-format-ignore: AlwaysUseLowerCamelCase
        var request_time: Int64
        // swift-format-ignore: AlwaysUseLowerCamelCase
        var top_unseen: [Answer]

        /// The request in the compact form of a history.
        func columnar() throws -> String {
            let history = String(decoding: try JSONEncoder().encode(history), as: UTF8.self)
            return "{\"history\":\(history),\"request_time\":\(request_time),\"k\":\(top_unseen.count)}"
        }

        /// The same request with one object per event.
        func events() -> String {
            let events = zip(history.items, history.timestamps).map { "{\"item\":\"\($0)\",\"timestamp\":\($1)}" }
            let history = events.joined(separator: ",")
            return "{\"k\":\(top_unseen.count),\"request_time\":\(request_time),\"history\":[\(history)]}"
        }
    }

    var cases: [Case]

    static func load() throws -> [Case] {
        let data = try Data(contentsOf: URL(fileURLWithPath: Genrec.fixture("demo/cases.json")))
        return try JSONDecoder().decode(DemoCases.self, from: data).cases
    }
}

@Suite struct DemoTests {
    @Test func everyCaseIsAnsweredAsByTheReference_InBothFormsOfAHistory() throws {
        let server = try RunningServer()
        defer { server.stop() }
        let connection = try server.connect()
        let cases = try DemoCases.load()
        #expect(cases.count == 24)
        for example in cases {
            for body in [try example.columnar(), example.events()] {
                let reply = try connection.recommend(body)
                #expect(reply.status == 200)
                #expect(try reply.items() == example.top_unseen.map(\.item))
                for (score, answer) in zip(try reply.scores(), example.top_unseen) {
                    #expect(abs(score - answer.score) <= 1e-4)
                }
            }
        }
    }

    @Test func sameItemsAndScores_AloneAndAmongStrangers_OnOneAndTwoThreads() throws {
        let cases = try DemoCases.load()
        let body = try cases[3].columnar()
        var answers: Set<String> = []
        for threads in ["1", "2"] {
            // The wait is long enough that requests sent together are computed together.
            let server = try RunningServer(
                ["--threads", threads],
                environment: ["GENREC_SCHEDULER_MIN_WAIT_US": "100000"]
            )
            defer { server.stop() }
            answers.insert(try itemsPart(of: try server.connect().recommend(body)))
            let connections = try (0..<32).map { _ in try server.connect() }
            for (index, connection) in connections.enumerated() {
                let text = index == 17 ? body : try cases[index % cases.count].columnar()
                try connection.send(
                    "POST /recommend HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\n"
                        + "Content-Length: \(text.utf8.count)\r\n\r\n\(text)"
                )
            }
            for (index, connection) in connections.enumerated() {
                let reply = try connection.receive()
                if index == 17 { answers.insert(try itemsPart(of: reply)) }
            }
            // Each request was computed, or equals one that was.
            let metrics = try server.connect().get("/metrics").text
            let computed = try #require(
                metrics.firstMatch(of: #/genrec_batch_size_sum\{model="demo",version="1"\} (\d+)\.0\n/#).flatMap {
                    Int($0.1)
                }
            )
            #expect(
                metrics.contains("genrec_deduplicated_requests_total{model=\"demo\",version=\"1\"} \(33 - computed)\n")
            )
        }
        #expect(answers.count == 1)
    }

    /// The bytes of the items, which depend only on the request.
    private func itemsPart(of reply: TestReply) throws -> String {
        let text = reply.text
        let start = try #require(text.range(of: "\"items\""))
        let end = try #require(text.range(of: ",\"source\""))
        return String(text[start.lowerBound..<end.lowerBound])
    }

    @Test func evaluate_GivesTheReferencesMetrics() throws {
        let output = try Genrec.run([
            "evaluate", "--bundle", Genrec.demoBundle, "--interactions", Genrec.demoInteractions,
            "--json",
        ])
        #expect(output.status == 0)
        let object = try JSONSerialization.jsonObject(with: Data(output.standardOutput.utf8))
        let metrics = try #require(object as? [String: Double])
        #expect(metrics["users"] == 600)
        for (name, value) in [
            ("hr@1", 0.8367), ("hr@10", 0.9550), ("hr@50", 0.9717), ("hr@200", 0.98), ("ndcg@10", 0.8983),
            ("mrr", 0.8809),
        ] {
            let measured = try #require(metrics[name])
            #expect(abs(measured - value) <= 0.001, "\(name)")
        }
    }

    @Test func bench_PrintsWhatItMeasured() throws {
        let output = try Genrec.run([
            "bench", "--bundle", Genrec.demoBundle, "--batch", "2", "--length", "8", "--seconds", "0.05", "--json",
        ])
        #expect(output.status == 0)
        let object = try JSONSerialization.jsonObject(with: Data(output.standardOutput.utf8))
        let report = try #require(object as? [String: Any])
        let milliseconds = try #require(report["milliseconds"] as? [String: Double])
        #expect(milliseconds.keys.sorted() == ["median", "min", "p99"])
        #expect((report["gflops"] as? Double ?? 0) > 0)
        // Above 1, either the count of operations or the peak would be wrong.
        let share = try #require(report["ceiling_share"] as? Double)
        #expect(share > 0 && share < 1)
        #expect(report["append"] is NSNull)
    }

    @Test func bench_ComputesNewEventsOnCachedOnes() throws {
        let common = ["bench", "--bundle", Genrec.demoBundle, "--length", "64", "--seconds", "0.05"]
        let output = try Genrec.run(common + ["--append", "2", "--json"])
        #expect(output.status == 0, "\(output.standardError)")
        let object = try JSONSerialization.jsonObject(with: Data(output.standardOutput.utf8))
        let report = try #require(object as? [String: Any])
        #expect(report["append"] as? Int == 2)
        #expect((report["prefill_milliseconds"] as? [String: Double])?.keys.sorted() == ["median", "min", "p99"])
        let table = try Genrec.run(common + ["--append", "63"])
        #expect(table.standardOutput.hasPrefix("1 x 63 on 1 cached on cpu"))
        // The window is 64 events, whatever the option says.
        let tooMany = try Genrec.run([
            "bench", "--bundle", Genrec.demoBundle, "--length", "100", "--append", "64", "--seconds", "0.05",
        ])
        #expect(tooMany.status == 1)
        #expect(tooMany.standardError.contains("--append 64 leaves none of the 64 events"))
    }

    @Test func inspect_TellsWhatTheBundleHolds() throws {
        let output = try Genrec.run(["inspect", Genrec.demoBundle])
        #expect(output.status == 0)
        #expect(output.standardOutput.contains("hstu"))
        #expect(output.standardOutput.contains("56 742"))
    }
}
