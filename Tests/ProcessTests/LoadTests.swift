// `genrec load` against the real server. The tests check counts and shapes; times depend on the machine.

import Foundation
import Testing

@Suite struct LoadTests {
    private func url(_ server: RunningServer) -> String { "http://127.0.0.1:\(server.port)" }

    private func object(_ output: Genrec.Output) throws -> [String: Any] {
        try #require(try JSONSerialization.jsonObject(with: Data(output.standardOutput.utf8)) as? [String: Any])
    }

    /// The server's count of recommendation requests with that status.
    private func served(_ status: Int, by server: RunningServer) throws -> Int {
        let name = "genrec_http_requests_total{route=\"/recommend\",method=\"POST\",status=\"\(status)\"} "
        let line = try server.connect().get("/metrics").text.split(separator: "\n").first { $0.hasPrefix(name) }
        return line.flatMap { Double($0.dropFirst(name.count)) }.map { Int($0) } ?? 0
    }

    @Test func openLoop_ReportsAsTheContractSays_WhatTheServerHasCounted() throws {
        let server = try RunningServer()
        defer { server.stop() }
        let output = try Genrec.run([
            "load", "--url", url(server), "--rate", "100", "--seconds", "1", "--seed", "7", "--json",
        ])
        #expect(output.status == 0, "\(output.standardError)")
        let report = try object(output)
        #expect(report["offered_rate"] as? Double == 100)
        #expect(try #require(report["throughput"] as? Double) > 0)
        #expect(try #require(report["goodput"] as? Double) > 0)
        let latency = try #require(report["latency_ms"] as? [String: Double])
        #expect(latency.keys.sorted() == ["max", "p50", "p90", "p99", "p99.9"])
        let statuses = try #require(report["statuses"] as? [String: Int])
        let answered = try #require((report["requests"] as? [String: Int])?["answered"])
        #expect(statuses.keys.sorted() == ["200"])
        #expect(statuses["200"] == answered)
        #expect(try eventually { try served(200, by: server) == answered })
        let replies = try #require(report["replies"] as? [String: Any])
        #expect(replies["unreadable"] as? Int == 0)
        #expect(replies["unknown_items"] as? Int == 0)
        #expect(try #require(replies["history_used"] as? Int) > answered)
        #expect(report["seed"] as? String == "7")
    }

    @Test func closedLoop_WithReturningAndVanishingUsers_AccountsForEveryRequest() throws {
        let server = try RunningServer()
        defer { server.stop() }
        try Genrec.withTemporaryFolder { folder in
            let trace = folder.appendingPathComponent("trace.tsv").path
            let output = try Genrec.run([
                "load", "--url", url(server), "--connections", "4", "--seconds", "1", "--returning", "0.5",
                "--abandon", "0.2", "--lengths", "1:80", "--k", "3", "--trace", trace, "--json",
                "--interactions", Genrec.demoInteractions,
            ])
            #expect(output.status == 0, "\(output.standardError)")
            let requests = try #require(try object(output)["requests"] as? [String: Int])
            let begun = try #require(requests["begun"])
            #expect(requests.filter { $0.key != "begun" && $0.key != "returning" }.values.reduce(0, +) == begun)
            #expect(try #require(requests["returning"]) > 0)
            #expect(try #require(requests["abandoned"]) > 0)
            let lines = try String(contentsOfFile: trace, encoding: .utf8).split(separator: "\n")
            #expect(lines.first == "time\tlatency_ms\toutcome")
            #expect(lines.count == begun + 1)
        }
    }

    @Test func interrupt_PrintsTheResultsSoFar() throws {
        let server = try RunningServer()
        defer { server.stop() }
        let output = Pipe()
        let process = try Genrec.start(
            ["load", "--url", url(server), "--rate", "50", "--seconds", "3600", "--json"],
            output: .pipe(output)
        )
        while try served(200, by: server) == 0 { #expect(process.isRunning) }
        process.signal(SIGINT)
        let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        #expect(process.waitUntilExit() == .exited(0))
        let report = try object(Genrec.Output(status: 0, standardOutput: text, standardError: ""))
        #expect(report["interrupted"] as? Bool == true)
        #expect(try #require((report["statuses"] as? [String: Int])?["200"]) > 0)
    }

    @Test func apiKey_ComesFromTheEnvironment_AndIsNowhereToBeSeen() throws {
        try Genrec.withTemporaryFolder { folder in
            let keys = folder.appendingPathComponent("keys").path
            // printf %s reader-key | sha256sum
            try "ec4408df15da46b328f6f3246fa723d0aa6cb0f0a0dd9c4626080ab1b02aa3b2 recommend\n".write(
                toFile: keys,
                atomically: true,
                encoding: .utf8
            )
            let server = try RunningServer(environment: ["GENREC_AUTH_KEYS_FILE": keys])
            defer { server.stop() }
            let arguments = [
                "load", "--url", url(server), "--connections", "1", "--seconds", "0.2", "--json",
                "--interactions", Genrec.demoInteractions,
            ]
            let allowed = try Genrec.run(arguments, environment: ["GENREC_API_KEY": "reader-key"])
            #expect(try (object(allowed)["statuses"] as? [String: Int])?.keys.sorted() == ["200"])
            #expect(!(allowed.standardOutput + allowed.standardError).contains("reader-key"))
            let refused = try Genrec.run(arguments)
            #expect(try (object(refused)["statuses"] as? [String: Int])?.keys.sorted() == ["401"])
            #expect(refused.standardError.contains("API key"))
        }
    }

    @Test func serverThatIsNotThere_IsOneSentence_AndStatusOne() throws {
        // A bound port, so that no other test's server gets it, without a listener.
        let socket = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(socket) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                #expect(bind(socket, $0, length) == 0 && getsockname(socket, $0, &length) == 0)
            }
        }
        let url = "http://127.0.0.1:\(UInt16(bigEndian: address.sin_port))"
        let output = try Genrec.run(["load", "--url", url, "--seconds", "1"])
        #expect(output.status == 1)
        #expect(output.standardOutput.isEmpty)
        #expect(output.standardError.hasPrefix("genrec: \(url) does not accept a connection (Connection refused)"))
        #expect(output.standardError.split(separator: "\n").count == 1)
    }

    @Test(arguments: [
        (["--rate", "5", "--connections", "2"], "cannot be combined"), (["--rate", "0"], "--rate"),
        (["--connections", "0"], "--connections"), (["--seconds", "0"], "--seconds"),
        (["--seconds", "nan"], "--seconds"),
        (["--returning", "1.5"], "--returning"), (["--abandon", "-1"], "--abandon"),
        (["--lengths", "9:3"], "--lengths"),
        (["--mode", "best"], "--mode"), (["--k", "0"], "--k"), (["--url", "https://h"], "https is not supported"),
    ]) func wrongUsage_IsStatusTwo(arguments: [String], words: String) throws {
        let output = try Genrec.run(["load", "--url", "http://127.0.0.1:9"] + arguments)
        #expect(output.status == 2)
        #expect(output.standardError.contains(words))
    }
}
