// The server over the wire: valid and invalid requests and their replies; start and end of the server.

import Foundation
import Testing

@Suite struct ServeTests {
    /// Calls `body` with a connection to a server of the demo bundle.
    private func withServer(
        _ arguments: [String] = [],
        environment: [String: String] = [:],
        _ body: (TestConnection, RunningServer) throws -> Void
    ) throws {
        let server = try RunningServer(arguments, environment: environment)
        defer { server.stop() }
        try body(try server.connect(), server)
    }

    private static let history = """
        {"items":["anime-4-01","anime-4-02","anime-6-01"],"timestamps":[1700709188,1700782710,1700784705]}
        """

    @Test func readyLine_NamesAddressBundleDeviceDtypeAndInstructionSet() throws {
        try withServer { _, server in
            for part in ["http://127.0.0.1:\(server.port)", "demo", "hstu", "device cpu", "float32", "instruction set"]
            {
                #expect(server.readyLine.contains(part))
            }
        }
    }

    @Test func reply_HasEveryFieldOfTheContract() throws {
        try withServer { connection, _ in
            let reply = try connection.recommend(
                "{\"history\":\(Self.history),\"request_time\":1700800000,\"k\":3}",
                headers: ["X-Request-Id": "trace-42"]
            )
            #expect(reply.status == 200)
            #expect(reply.headers["content-type"] == "application/json")
            #expect(reply.headers["x-request-id"] == "trace-42")
            let object = try reply.json()
            #expect(object["request_id"] as? String == "trace-42")
            #expect(object["model"] as? [String: String] == ["name": "demo", "version": "1"])
            #expect((object["items"] as? [Any])?.count == 3)
            #expect(object["source"] as? String == "model")
            #expect(object["history_used"] as? Int == 3)
            #expect(object["history_cached"] as? Int == 0)
            #expect(object["unknown_items"] as? Int == 0)
            #expect(object["exhausted"] as? Bool == false)
            let timing = try #require(object["timing_ms"] as? [String: Double])
            #expect(timing.keys.sorted() == ["decode", "prefill", "queue", "total"])
        }
    }

    @Test func requestID_IsFresh_WhereTheCallersCannotBeUsed() throws {
        try withServer { connection, _ in
            var seen: Set<String> = []
            for id in ["", "with space", String(repeating: "x", count: 129)] {
                let reply = try connection.get("/health/live", headers: ["X-Request-Id": id])
                let fresh = try #require(reply.headers["x-request-id"])
                #expect(fresh != id)
                seen.insert(fresh)
            }
            #expect(seen.count == 3)
        }
    }

    @Test func exclusionAndAllowance_AreExact() throws {
        try withServer { connection, _ in
            func ask(_ rest: String, k: Int = 5) throws -> TestReply {
                try connection.recommend("{\"history\":\(Self.history),\"request_time\":1700800000,\"k\":\(k)\(rest)}")
            }
            let plain = try ask("", k: 8).items()
            // Excluding the two best moves the others up and changes nothing else.
            let without = try ask(",\"exclude\":{\"items\":[\"\(plain[0])\",\"\(plain[1])\"]}").items()
            #expect(without == Array(plain[2..<7]))
            // An allow list of three gives those three in the same order, and the reply says that there are no more.
            let allowed = try ask(",\"allow\":{\"items\":[\"\(plain[4])\",\"\(plain[0])\",\"\(plain[2])\"]}")
            #expect(try allowed.items() == [plain[0], plain[2], plain[4]])
            #expect(try allowed.json()["exhausted"] as? Bool == true)
            let tagged = try ask(",\"allow\":{\"tags\":[\"drama\"]}").items()
            #expect(tagged.count == 5 && tagged.allSatisfy { $0.hasPrefix("drama") })
            let untagged = try ask(",\"exclude\":{\"tags\":[\"anime\"]}").items()
            #expect(untagged.count == 5 && !untagged.contains { $0.hasPrefix("anime") })
            // Items of the history are recommended again only on request.
            let everything = try ask(",\"exclude\":{\"seen\":false},\"allow\":{\"items\":[\"anime-4-01\"]}")
            #expect(try everything.items() == ["anime-4-01"])
            let nothing = try ask(",\"allow\":{\"items\":[\"anime-4-01\"]}")
            #expect(try nothing.items() == [])
            let unknown = try ask(",\"allow\":{\"items\":[\"no-such-item\"]}")
            #expect(try unknown.items() == [])
            #expect(try unknown.json()["unknown_items"] as? Int == 1)
        }
    }

    @Test func coldStart_IsAnsweredByPopularity() throws {
        try withServer { connection, _ in
            for history in ["[]", "{\"items\":[]}", "[{\"item\":\"no-such-item\"}]"] {
                let reply = try connection.recommend(
                    "{\"history\":\(history),\"k\":2,\"exclude\":{\"items\":[\"scifi-1-01\"]}}"
                )
                #expect(reply.status == 200)
                #expect(try reply.json()["source"] as? String == "popularity")
                #expect(try reply.json()["history_used"] as? Int == 0)
                #expect(try reply.items() == ["romance-1-01", "comedy-1-01"])
            }
            // Tags make the walk long, so it runs in the engine.
            let tagged = try connection.recommend("{\"history\":[],\"k\":2,\"allow\":{\"tags\":[\"drama\"]}}")
            #expect(try tagged.items() == ["drama-1-01", "drama-1-02"])
        }
    }

    @Test func sampledSequence_IsRepeatedByItsSeed_AndBoundedByItsNucleus() throws {
        try withServer { connection, _ in
            func ask(_ sampling: String) throws -> [String] {
                try connection.recommend(
                    """
                    {"history":\(Self.history),"request_time":1700800000,"k":8,"mode":"sequence"\(sampling)}
                    """
                ).items()
            }
            let greedy = try ask("")
            #expect(Set(greedy).count == 8)
            #expect(try ask(",\"sampling\":{\"temperature\":0.5,\"top_p\":1e-6,\"seed\":1}") == greedy)
            let drawn = try ask(",\"sampling\":{\"temperature\":0.5,\"seed\":7}")
            #expect(Set(drawn).count == 8)
            #expect(try ask(",\"sampling\":{\"temperature\":0.5,\"seed\":7}") == drawn)
            #expect(try ask(",\"sampling\":{\"temperature\":0.5,\"seed\":8}") != drawn)
        }
    }

    @Test func unknownItems_AreSkippedAndCounted() throws {
        try withServer { connection, _ in
            let known = try connection.recommend(
                "{\"history\":{\"items\":[\"anime-4-01\",\"anime-4-02\"],\"timestamps\":[10,30]},\"request_time\":40}"
            )
            let mixed = try connection.recommend(
                "{\"history\":{\"items\":[\"anime-4-01\",\"nope\",\"anime-4-02\"],\"timestamps\":[10,20,30]},\"request_time\":40}"
            )
            #expect(try mixed.items() == known.items())
            #expect(try mixed.json()["unknown_items"] as? Int == 1)
            #expect(try mixed.json()["history_used"] as? Int == 2)
        }
    }

    @Test(arguments: [
        ("", 400), ("{", 400), ("[]", 422), ("{\"history\":[]} x", 400), ("{\"history\":[],\"history\":[]}", 400),
        ("{}", 422), ("{\"history\":[],\"k\":0}", 422), ("{\"history\":[],\"k\":1001}", 422),
        ("{\"history\":[],\"k\":\"ten\"}", 422), ("{\"history\":[],\"unknown\":1}", 422),
        ("{\"history\":{\"items\":[\"a\",\"b\"],\"timestamps\":[2,1]}}", 422),
        ("{\"history\":{\"items\":[\"a\",\"b\"],\"timestamps\":[1]}}", 422),
        ("{\"history\":[{\"item\":\"a\",\"timestamp\":1},{\"item\":\"b\"}]}", 422),
        ("{\"history\":[],\"mode\":\"beam\"}", 422), ("{\"history\":[],\"deadline_ms\":0}", 422),
        ("{\"history\":[],\"stream\":1}", 422), ("{\"history\":[],\"priority\":\"urgent\"}", 422),
    ])
    func unusableBody_GetsAProblemThatNamesTheFault(body: String, status: Int) throws {
        try withServer { connection, _ in
            let reply = try connection.recommend(body)
            #expect(reply.status == status)
            #expect(reply.headers["content-type"] == "application/problem+json")
            let problem = try reply.json()
            #expect(problem["status"] as? Int == status)
            #expect((problem["detail"] as? String)?.isEmpty == false)
            #expect(problem["request_id"] as? String == reply.headers["x-request-id"])
            // The connection is still usable.
            #expect(try connection.get("/health/live").status == 200)
        }
    }

    @Test func headAndMethodFaults_GetTheirStatus() throws {
        try withServer { connection, server in
            #expect(try connection.get("/nowhere").status == 404)
            let wrongMethod = try connection.get("/recommend")
            #expect(wrongMethod.status == 405)
            #expect(wrongMethod.headers["allow"] == "POST, OPTIONS")
            let trace = try connection.get("/models", method: "TRACE")
            #expect(trace.status == 405 && trace.headers["allow"] == "GET, HEAD, OPTIONS")
            #expect(try connection.get("/models", method: "QUERY").status == 405)
            #expect(!trace.text.contains("Host"))
            let options = try connection.get("/models", method: "OPTIONS")
            #expect(options.status == 204)
            #expect(options.headers["allow"] == "GET, HEAD, OPTIONS")
            let head = try connection.get("/health/live", method: "HEAD")
            #expect(head.status == 200 && head.headers["content-length"] == "13")

            func post(_ headers: String) throws -> TestReply {
                let connection = try server.connect()
                try connection.send("POST /recommend HTTP/1.1\r\nHost: t\r\n\(headers)\r\n")
                return try connection.receive()
            }
            #expect(try post("Content-Type: application/json\r\n").status == 411)
            let text = try post("Content-Type: text/plain\r\nContent-Length: 2\r\n")
            #expect(text.status == 415 && text.headers["accept-post"] == "application/json")
            let coded = try post("Content-Type: application/json\r\nContent-Encoding: br\r\nContent-Length: 2\r\n")
            #expect(coded.status == 415 && coded.headers["accept-encoding"] == "gzip, identity")
            let accept = "Content-Type: application/json\r\nContent-Length: 2\r\nAccept: "
            #expect(try post(accept + "text/html\r\n").status == 406)
            #expect(try post(accept + "application/json;q=0, text/html, */*;q=0\r\n").status == 406)
            #expect(try post("Content-Type: application/json\r\nContent-Length: 99999999999\r\n").status == 413)
            let connection = try server.connect()
            try connection.send("GET / HTTP/2.0\r\nHost: t\r\n\r\n")
            #expect(try connection.receive().status == 505)
        }
    }

    @Test func bodyBeyondTheLimit_IsRefused() throws {
        try withServer(environment: ["GENREC_HTTP_MAX_BODY_BYTES": "64"]) { connection, _ in
            let atLimit = try connection.recommend("{\"history\":[]" + String(repeating: " ", count: 50) + "}")
            #expect(atLimit.status == 200)
            let beyond = try connection.recommend(
                "{\"history\":[]" + String(repeating: " ", count: 51) + "}",
                headers: ["X-Request-Id": "large-1"]
            )
            #expect(beyond.status == 413 && beyond.headers["x-request-id"] == "large-1")
            #expect(try beyond.json()["request_id"] as? String == "large-1")
        }
    }

    @Test func chunkedBody_AndPipelinedRequests_AreAnsweredInOrder() throws {
        try withServer { connection, _ in
            let body = "{\"history\":[],\"k\":1}"
            let half = body.utf8.count / 2
            let chunks = [body.prefix(half), body.dropFirst(half)].map {
                String($0.utf8.count, radix: 16) + "\r\n" + $0 + "\r\n"
            }
            try connection.send(
                "POST /recommend HTTP/1.1\r\nHost: t\r\nContent-Type: application/json; charset=utf-8\r\n"
                    + "Transfer-Encoding: chunked\r\n\r\n\(chunks.joined())0\r\n\r\n"
                    + "GET /health/live HTTP/1.1\r\nHost: t\r\n\r\nGET /nowhere HTTP/1.1\r\nHost: t\r\n\r\n"
            )
            #expect(try connection.receive().items() == ["scifi-1-01"])
            #expect(try connection.receive().text == "{\"live\":true}")
            #expect(try connection.receive().status == 404)
        }
    }

    @Test func models_AndMetrics_TellWhatIsServed() throws {
        try withServer { connection, _ in
            let models = try connection.get("/models").json()["models"] as? [[String: Any]]
            let model = try #require(models?.first)
            #expect(model["name"] as? String == "demo")
            #expect(model["architecture"] as? String == "hstu")
            #expect(model["parameters"] as? Int == 56_742)
            #expect(model["catalogue_size"] as? Int == 1_200)
            #expect(model["state"] as? String == "ready")
            // A history longer than the window is cut to it.
            func counted(_ query: String) throws -> Int? {
                let models = try connection.get("/models?length=\(query)").json()["models"] as? [[String: Any]]
                return (models?.first?["operations_per_request"] as? [String: Any])?["length"] as? Int
            }
            #expect(try counted("1") == 1 && counted("1000000") == model["window"] as? Int)
            for query in ["0", "1000001", "-1", "x", ""] {
                #expect(try connection.get("/models?length=\(query)").status == 422)
            }
            _ = try connection.recommend("{\"history\":\(Self.history)}")
            _ = try connection.recommend("{\"history\":[]}")
            _ = try connection.recommend("{")
            let text = try connection.get("/metrics")
            #expect(text.headers["content-type"]?.hasPrefix("text/plain; version=0.0.4") == true)
            try connection.expectMetrics(
                "genrec_recommend_outcomes_total{outcome=\"ok\"} 1",
                "genrec_batch_size_count{model=\"demo\",version=\"1\"} 1",
                "genrec_recommend_outcomes_total{outcome=\"cold_start\"} 1",
                "genrec_recommend_outcomes_total{outcome=\"invalid\"} 1",
                "genrec_http_requests_total{route=\"/recommend\",method=\"POST\",status=\"200\"} 2",
                "genrec_http_connections 1"
            )
            let open = try connection.get(
                "/metrics",
                headers: ["Accept": "application/openmetrics-text; version=1.0.0"]
            )
            #expect(open.text.hasSuffix("# EOF\n"))
        }
    }

    @Test func drain_FinishesWhatHasBegun_ThenEndsWithZero() throws {
        let server = try RunningServer(environment: ["GENREC_SCHEDULER_MIN_WAIT_US": "1000000"])
        let connection = try server.connect()
        let idle = try server.connect()
        _ = try idle.get("/health/live")
        let body = "{\"history\":\(Self.history),\"k\":1}"
        try connection.send(
            "POST /recommend HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\n"
                + "Content-Length: \(body.utf8.count)\r\n\r\n\(body)"
        )
        // The query uses another connection and shows that the request has been accepted.
        try server.connect().expectMetrics("genrec_queue_depth 1")
        server.signal(SIGTERM)
        let reply = try connection.receive()
        #expect(reply.status == 200)
        #expect(reply.headers["connection"] == "close")
        #expect(try idle.isClosedByServer())
        let ended = server.waitUntilExit()
        #expect(ended.status == 0)
        #expect(ended.log.contains("draining") && ended.log.contains("stopped"))
        #expect(throws: (any Error).self) { try server.connect() }
    }

    @Test func configurationFault_EndsWithOneSentenceThatNamesTheKey() throws {
        try Genrec.withTemporaryFolder { folder in
            for (yaml, key) in [
                ("http:\n  lops: 2\n", "http.lops"), ("limits:\n  max_k: many\n", "limits.max_k"),
                ("log:\n  level: loud\n", "log.level"), ("http:\n  listen: nowhere\n", "nowhere"),
                ("engine:\n  device: gpu\n", "gpu"), ("- a\n- b\n", "each with a single value"), ("a: [", "YAML"),
            ] {
                let file = folder.appendingPathComponent("genrec.yaml").path
                try yaml.write(toFile: file, atomically: true, encoding: .utf8)
                let output = try Genrec.run(["serve", "--config", file])
                #expect(output.status == 1)
                #expect(output.standardError.contains(key), "\(output.standardError)")
                #expect(output.standardOutput.isEmpty)
            }
        }
    }

    @Test func documentedConfiguration_IsAccepted_AndIsTheDefaults() throws {
        let file = Genrec.root.appendingPathComponent("Config/genrec.yaml").path
        try withServer(["--config", file]) { connection, _ in
            let reply = try connection.get("/health/ready")
            #expect(reply.text == "{\"ready\":true}")
        }
    }

    @Test func brokenBundle_EndsWithOneSentence() throws {
        try Genrec.withTemporaryFolder { folder in
            for (file, damage) in [
                ("model.safetensors", { (data: inout Data) in data = data.dropLast(100) }),
                ("config.json", { (data: inout Data) in data = Data("{}".utf8) }),
                (
                    "catalogue.jsonl",
                    { (data: inout Data) in data.append(Data("{\"index\":1,\"id\":\"twice\"}\n".utf8)) }
                ),
            ] as [(String, (inout Data) -> Void)] {
                let copy = folder.appendingPathComponent(UUID().uuidString)
                try FileManager.default.copyItem(atPath: Genrec.demoBundle, toPath: copy.path)
                let url = copy.appendingPathComponent(file)
                var data = try Data(contentsOf: url)
                damage(&data)
                try data.write(to: url)
                let output = try Genrec.run(["serve", "--bundle", copy.path])
                #expect(output.status == 1)
                #expect(output.standardError.contains(file), "\(output.standardError)")
                #expect(output.standardError.split(separator: "\n").count == 1, "\(output.standardError)")
            }
        }
    }

    @Test func wrongUsage_EndsWithTwo() throws {
        #expect(try Genrec.run(["serve", "--no-such-option"]).status == 2)
        #expect(try Genrec.run(["bench", "--bundle", "x", "--batch", "0"]).status == 2)
        #expect(try Genrec.run(["bench", "--bundle", "x", "--append", "0"]).status == 2)
        #expect(try Genrec.run(["bench", "--bundle", "x", "--length", "8", "--append", "8"]).status == 2)
        #expect(try Genrec.run(["evaluate"]).status == 2)
    }

    private static let fixtures: [(name: String, format: String, checkpoint: String)] = [
        ("hstu-small", "meta", "/checkpoint.pt"), ("hstu-concat-ua", "meta", "/checkpoint.pt"),
        ("hstu-uneven", "meta", "/checkpoint.pt"), ("hstu-layernorm", "meta", "/checkpoint.pt"),
        ("hstu-ml1m-shape", "meta", "/checkpoint.pt"), ("sasrec-meta", "meta", "/checkpoint.pt"),
        ("sasrec-original", "sasrec.pytorch", "/checkpoint.pth"), ("sasrec-pre", "sasrec.pytorch", "/checkpoint.pth"),
        ("sasrec-post", "sasrec.pytorch", "/checkpoint.pth"), ("llama-small", "huggingface", ""),
        ("gpt2-small", "huggingface", ""),
    ]

    @Test(arguments: fixtures)
    func importedFixture_AnswersOverHTTPAsTheReference(name: String, format: String, checkpoint: String) throws {
        try Genrec.withTemporaryFolder { folder in
            let output = folder.appendingPathComponent(name).path
            let imported = try Genrec.run([
                "import", "--from", format, "--checkpoint", Genrec.fixture(name + checkpoint), "--describe",
                Genrec.fixture("\(name)/cases.json"), "--name", name, "--version", "1", "--output", output,
            ])
            #expect(imported.status == 0, "\(imported.standardError)")
            let file = try Data(contentsOf: URL(fileURLWithPath: Genrec.fixture("\(name)/cases.json")))
            let object = try #require(try JSONSerialization.jsonObject(with: file) as? [String: Any])
            try withServer(["--bundle", output]) { connection, _ in
                for example in try #require(object["cases"] as? [[String: Any]]) {
                    for (key, seen, mode) in [
                        ("top", false, "top_k"), ("top_unseen", true, "top_k"), ("greedy_unseen", true, "sequence"),
                    ] {
                        let answers = try #require(example[key] as? [[String: Any]])
                        let body: [String: Any] = [
                            "history": example["history"] ?? [], "request_time": example["request_time"] ?? 0,
                            "k": answers.count, "mode": mode, "exclude": ["seen": seen],
                        ]
                        let reply = try connection.recommend(
                            String(decoding: try JSONSerialization.data(withJSONObject: body), as: UTF8.self)
                        )
                        #expect(try reply.items() == answers.map { "\($0["item"] ?? "")" })
                        let expected = answers.map { $0["score"] as? Double ?? .infinity }
                        // Relative to the scale of the scores, which is 1 for cosines.
                        let tolerance = 1e-4 * max(1, expected.map(abs).max() ?? 1)
                        for (score, answer) in zip(try reply.scores(), expected) {
                            #expect(abs(score - answer) <= tolerance)
                        }
                    }
                }
            }
        }
    }
}
