// A server with a local user store: events in, users out, across crashes and a full disk; and the related commands.

import Foundation
import Testing

@Suite struct UserStoreTests {
    private static func server(_ folder: URL) throws -> RunningServer {
        try RunningServer(environment: [
            "GENREC_USERS_STORE": "local",
            "GENREC_USERS_LOCAL_DIRECTORY": folder.appendingPathComponent("users").path,
        ])
    }

    private static func line(_ user: String, _ item: String, _ timestamp: Int) -> String {
        "{\"user_id\":\"\(user)\",\"item\":\"\(item)\",\"timestamp\":\(timestamp)}"
    }

    @Test func events_AreKept_Shown_AndForgotten() throws {
        try Genrec.withTemporaryFolder { folder in
            let server = try Self.server(folder)
            defer { server.stop() }
            let connection = try server.connect()
            let lines = [
                Self.line("u", "anime-4-02", 20), Self.line("u", "anime-4-01", 10), Self.line("u", "nothing", 30),
            ]
            let body = lines.joined(separator: "\n")
            let head = "POST /events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\n"
            try connection.send(head + "Content-Length: \(body.utf8.count)\r\n\r\n" + body)
            let taken = try connection.receive()
            ServedContract.check(taken, to: "POST", "/events")
            #expect(taken.status == 200)
            #expect(taken.text == #"{"accepted":3,"duplicates":0,"unknown_items":1,"persisted":true}"#)
            let json = "{\"events\":[\(lines.joined(separator: ","))]}"
            let again = try connection.post("/events", json)
            #expect(again.text == #"{"accepted":0,"duplicates":3,"unknown_items":1,"persisted":true}"#)
            let shown = try connection.get("/users/u")
            #expect(
                shown.text == #"{"user_id":"u","events":[{"item":"anime-4-01","timestamp":10},"#
                    + #"{"item":"anime-4-02","timestamp":20},{"item":"nothing","timestamp":30}],"count":3}"#
            )
            #expect(try connection.get("/users/nobody").status == 404)
            #expect(try connection.get("/users/u", method: "DELETE").status == 200)
            #expect(try connection.get("/users/u").status == 404)
            let malformed = try connection.post("/events", #"{"events":[{"user_id":"v","item":"a"},{"user_id":"v"}]}"#)
            #expect(malformed.status == 422)
            #expect(try malformed.json()["detail"] as? String == "events[1].item is missing")
            #expect(try connection.get("/users/v").status == 404)
        }
    }

    /// A hundred thousand events are larger than the limit for other bodies.
    @Test func longBody_OfEvents_IsTaken_AndOfOtherCallsRefused() throws {
        try Genrec.withTemporaryFolder { folder in
            let server = try Self.server(folder)
            defer { server.stop() }
            let connection = try server.connect()
            let long = String(repeating: "i", count: 1_000)
            let lines = (0..<9_000).map { Self.line("u\($0 % 9)", "\(long)\($0 % 7)", $0) }
            let reply = try connection.post("/events", "{\"events\":[\(lines.joined(separator: ","))]}")
            #expect(reply.text.hasPrefix(#"{"accepted":9000,"#))
            try connection.send(
                "POST /recommend HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                    + "Content-Length: 9000000\r\n\r\n"
            )
            #expect(try connection.receive().status == 413)
        }
    }

    /// A request by user name has the same answer, to the bit, as one with the history.
    @Test func userByName_IsAnsweredAsWithTheHistory() throws {
        try Genrec.withTemporaryFolder { folder in
            let server = try Self.server(folder)
            defer { server.stop() }
            let connection = try server.connect()
            let items = (1...6).map { "anime-4-0\($0)" }
            let times = (1...6).map { 1_700_000_000 + $0 * 60 }
            let lines = zip(items, times).prefix(5).map { Self.line("u", $0, $1) }.joined(separator: ",")
            #expect(try connection.post("/events", "{\"events\":[\(lines)]}").status == 200)
            func sent(_ count: Int) throws -> TestReply {
                let list = items.prefix(count).map { "\"\($0)\"" }.joined(separator: ",")
                let numbers = times.prefix(count).map(String.init).joined(separator: ",")
                return try connection.recommend(
                    "{\"history\":{\"items\":[\(list)],\"timestamps\":[\(numbers)]},\"request_time\":1700001000}"
                )
            }
            func check(_ named: TestReply, _ count: Int) throws {
                let expected = try sent(count)
                #expect(named.status == 200, "\(named.text)")
                #expect(try named.items() == expected.items() && named.scores() == expected.scores())
                #expect(try named.json()["history_source"] as? String == "store")
                #expect(try expected.json()["history_source"] == nil)
                #expect(try named.json()["history_used"] as? Int == count)
            }
            let byName = "{\"user_id\":\"u\",\"request_time\":1700001000"
            try check(try connection.recommend(byName + "}"), 5)
            let event = "{\"item\":\"\(items[5])\",\"timestamp\":\(times[5])}"
            // For this request only, and then permanently.
            try check(try connection.recommend(byName + ",\"events\":[\(event)]}"), 6)
            try check(try connection.recommend(byName + "}"), 5)
            try check(try connection.recommend(byName + ",\"events\":[\(event)],\"store\":true}"), 6)
            let again = try connection.recommend(byName + "}")
            try check(again, 6)
            #expect(try again.json()["history_cached"] as? Int ?? 0 > 0)
            let batch = try connection.post("/recommend/batch", "{\"requests\":[\(byName)}]}")
            #expect(batch.text.contains("\"history_source\":\"store\""))
            let history = zip(items, times).map { "{\"item\":\"\($0)\",\"timestamp\":\($1)}" }.joined(separator: ",")
            let candidates =
                "\"request_time\":1700001000,\"candidates\":[\"\(items[0])\",\"anime-1-01\",\"drama-1-01\"]"
            let ranked = try connection.post("/rank", "{\"user_id\":\"u\",\(candidates)}")
            let expected = try connection.post("/rank", "{\"history\":[\(history)],\(candidates)}")
            #expect(try ranked.items() == expected.items() && ranked.scores() == expected.scores())
            #expect(try ranked.json()["history_source"] as? String == "store")
            let ranks = try connection.post("/rank/batch", "{\"requests\":[{\"user_id\":\"u\",\(candidates)}]}")
            #expect(ranks.text.contains("\"history_source\":\"store\""))
            let stranger = try connection.recommend("{\"user_id\":\"nobody\"}")
            #expect(try stranger.json()["source"] as? String == "popularity")
            for (body, words) in [
                ("{}", "history is missing"),
                ("{\"user_id\":\"u\",\"history\":[],\"events\":[\(event)]}", "without history"),
                ("{\"user_id\":\"u\",\"events\":[{}]}", "events[0].item is missing"),
            ] {
                let refused = try connection.recommend(body)
                #expect(refused.status == 422 && refused.text.contains(words))
            }
        }
    }

    @Test func withoutAStore_NothingIsThere() throws {
        let server = try RunningServer()
        defer { server.stop() }
        let connection = try server.connect()
        #expect(try connection.post("/events", "{\"events\":[]}").status == 404)
        #expect(try connection.get("/users/u").status == 405)
        for (body, words) in [
            ("{\"user_id\":\"u\"}", "history is missing"),
            ("{\"history\":[],\"events\":[]}", "unknown field 'events'"),
            ("{\"history\":[],\"store\":true}", "unknown field 'store'"),
        ] {
            let refused = try connection.recommend(body)
            #expect(refused.status == 422 && refused.text.contains(words))
        }
    }

    @Test func killedServer_HasWhatItAcknowledged_AndADeletedUserStaysDeleted() throws {
        try Genrec.withTemporaryFolder { folder in
            let first = try Self.server(folder)
            let connection = try first.connect()
            for time in 1...20 {
                let event = Self.line("u\(time % 3)", "anime-4-0\(time % 5 + 1)", time)
                #expect(try connection.post("/events", "{\"events\":[\(event)]}").status == 200)
            }
            #expect(try connection.get("/users/u2", method: "DELETE").status == 200)
            let before = try ["u0", "u1"].map { try connection.get("/users/\($0)").text }
            first.signal(SIGKILL)
            _ = first.waitUntilExit()
            let second = try Self.server(folder)
            defer { second.stop() }
            let again = try second.connect()
            #expect(try ["u0", "u1"].map { try again.get("/users/\($0)").text } == before)
            #expect(try again.get("/users/u2").status == 404)
        }
    }

    @Test func folderInUse_EndsTheStartWithOneSentence() throws {
        try Genrec.withTemporaryFolder { folder in
            let server = try Self.server(folder)
            defer { server.stop() }
            let users = folder.appendingPathComponent("users").path
            let output = try Genrec.run(
                ["serve", "--listen", "127.0.0.1:0"],
                environment: ["GENREC_USERS_STORE": "local", "GENREC_USERS_LOCAL_DIRECTORY": users]
            )
            #expect(output.status == 1)
            #expect(output.standardError == "genrec: another process has the users' folder \(users)\n")
        }
    }

    /// A limit on file size stands in for a full disk: the server refuses events that do not fit, continues to serve,
    /// and accepts events when there is room again. The limit is set after the start, because the thread sanitizer
    /// writes its own file there.
    @Test func fullDisk_RefusesEvents_AndServesOn() throws {
        try Genrec.withTemporaryFolder { folder in
            let users = folder.appendingPathComponent("users").path
            let script = folder.appendingPathComponent("serve.sh")
            // SIGXFSZ is ignored, so that writing fails instead.
            let text = "#!/bin/sh\ntrap '' XFSZ\nexec \"$@\"\n"
            try text.write(to: script, atomically: true, encoding: .utf8)
            let output = Pipe()
            let process = try Genrec.start(
                program: "/bin/sh",
                [script.path, Genrec.path, "serve", "--listen", "unix:\(folder.path)/socket"],
                environment: ["GENREC_USERS_STORE": "local", "GENREC_USERS_LOCAL_DIRECTORY": users],
                output: .pipe(output)
            )
            defer {
                process.signal(SIGTERM)
                process.waitUntilExit()
            }
            #expect(try output.fileHandleForReading.read(upToCount: 1)?.isEmpty == false)
            let connection = try TestConnection(path: folder.path + "/socket")
            #expect(try connection.post("/events", "{\"events\":[\(Self.line("u", "a", 1))]}").status == 200)
            let many = (0..<2_000).map { Self.line("v", "item-\($0)", 2) }.joined(separator: ",")
            func limit(to bytes: String) throws {
                let arguments = ["--pid", "\(process.processIdentifier)", "--fsize=\(bytes):unlimited"]
                try #require(Genrec.run(program: "/usr/bin/prlimit", arguments).status == 0)
            }
            try limit(to: "32768")
            let refused = try connection.post("/events", "{\"events\":[\(many)]}")
            #expect(refused.status == 507)
            #expect(try connection.get("/users/u").text.hasSuffix("\"count\":1}"))
            #expect(try connection.post("/events", "{\"events\":[\(Self.line("u", "b", 2))]}").status == 200)
            try limit(to: "unlimited")
            let taken = try connection.post("/events", "{\"events\":[\(many)]}")
            #expect(taken.status == 200 && taken.text.hasPrefix(#"{"accepted":2000,"#))
        }
    }

    @Test func commands_ImportExportAndShow() throws {
        try Genrec.withTemporaryFolder { folder in
            let users = folder.appendingPathComponent("users").path
            let file = folder.appendingPathComponent("ratings.csv")
            try "userId,movieId,timestamp,event\n1,7,30,buy\n1,8,10,\n2,7,20,5\n".write(
                to: file,
                atomically: true,
                encoding: .utf8
            )
            for (accepted, duplicates) in [(3, 0), (0, 3)] {
                let output = try Genrec.run([
                    "users", "import", "--directory", users, "--interactions", file.path, "--json",
                ])
                #expect(
                    output.standardOutput == "{\"users\":2,\"accepted\":\(accepted),\"duplicates\":\(duplicates)}\n"
                )
            }
            let shown = try Genrec.run(["users", "show", "--directory", users, "1"])
            #expect(
                shown.standardOutput == #"{"user_id":"1","events":[{"item":"8","timestamp":10},"#
                    + #"{"item":"7","timestamp":30,"action":"buy"}],"count":2}"# + "\n"
            )
            let export = try Genrec.run(["users", "export", "--directory", users])
            #expect(export.standardOutput.split(separator: "\n").count == 3)
            #expect(export.standardOutput.hasPrefix(#"{"user_id":"1","item":"8","timestamp":10}"# + "\n"))
            #expect(try Genrec.run(["users", "show", "--directory", users, "3"]).status == 1)
            // The export imports again, with its actions.
            let lines = folder.appendingPathComponent("events.ndjson")
            try export.standardOutput.write(to: lines, atomically: true, encoding: .utf8)
            let copy = folder.appendingPathComponent("copy").path
            _ = try Genrec.run(["users", "import", "--directory", copy, "--interactions", lines.path])
            let again = try Genrec.run(["users", "export", "--directory", copy])
            #expect(again.standardOutput == export.standardOutput)
        }
    }

    /// Half an export is not a whole one, and a mistyped folder is no empty store.
    @Test func whatCannotBeWritten_OrIsNotThere_Fails() throws {
        try Genrec.withTemporaryFolder { folder in
            let users = folder.appendingPathComponent("users").path
            let file = folder.appendingPathComponent("ratings.csv")
            try "user,item,timestamp\n1,7,30\n".write(to: file, atomically: true, encoding: .utf8)
            _ = try Genrec.run(["users", "import", "--directory", users, "--interactions", file.path])
            let script = "exec \"$0\" users export --directory \"$1\" > /dev/full"
            let full = try Genrec.run(program: "/bin/sh", ["-c", script, Genrec.path, users])
            #expect(full.status == 1)
            #expect(full.standardError == "genrec: cannot write to standard output: No space left on device\n")
            let other = folder.appendingPathComponent("user").path
            for arguments in [["export"], ["show", "1"]] {
                let output = try Genrec.run(["users"] + arguments + ["--directory", other])
                #expect(output.status == 1 && output.standardOutput.isEmpty)
                #expect(output.standardError == "genrec: there is no user store in \(other)\n")
            }
            #expect(!FileManager.default.fileExists(atPath: other))
            try "user,item,timestamp\na\u{7F}b,7,30\n".write(to: file, atomically: true, encoding: .utf8)
            let refused = try Genrec.run(["users", "import", "--directory", users, "--interactions", file.path])
            #expect(refused.status == 1 && refused.standardError.contains("ratings.csv: the user"))
            #expect(refused.standardError.hasSuffix("has an id that must not have control characters\n"))
        }
    }

    /// Clients that write every field send `null` for a history that the store has.
    @Test func historyThatIsNull_IsThatOfTheStore() throws {
        try Genrec.withTemporaryFolder { folder in
            let server = try Self.server(folder)
            defer { server.stop() }
            let connection = try server.connect()
            let event = Self.line("u", "scifi-1-01", 1)
            #expect(try connection.post("/events", "{\"events\":[\(event)]}").status == 200)
            for path in ["/recommend", "/rank"] {
                let more = path == "/rank" ? #","candidates":["scifi-1-02"]"# : ""
                let reply = try connection.post(path, #"{"user_id":"u","history":null\#(more)}"#)
                #expect(reply.status == 200 && reply.text.contains(#""history_source":"store""#), "\(reply.text)")
            }
        }
    }

    @Test func bundlesAreCompared_AndStudied() throws {
        try Genrec.withTemporaryFolder { folder in
            let lines = try String(contentsOfFile: Genrec.demoInteractions, encoding: .utf8).split(separator: "\n")
            let file = folder.appendingPathComponent("some.tsv")
            try (lines.prefix(400).joined(separator: "\n") + "\n").write(to: file, atomically: true, encoding: .utf8)
            let page = folder.appendingPathComponent("report.html")
            let compared = try Genrec.run([
                "evaluate", "--bundle", Genrec.demoBundle, "--bundle", Genrec.demoBundle, "--interactions", file.path,
                "--html", page.path, "--json",
            ])
            #expect(compared.status == 0, "\(compared.standardError)")
            let object = try JSONSerialization.jsonObject(with: Data(compared.standardOutput.utf8)) as? [String: Any]
            let second = try #require((object?["bundles"] as? [[String: Any]])?.last)
            #expect(second["wins"] as? Int == 0 && second["losses"] as? Int == 0)
            #expect(try String(contentsOf: page, encoding: .utf8).hasSuffix("</html>\n"))
            let study = try Genrec.run([
                "study", "--bundles", Genrec.demoBundle, Genrec.demoBundle, "--interactions", file.path,
                "--seconds", "0.05",
            ])
            #expect(study.status == 0, "\(study.standardError)")
            #expect(study.standardOutput.contains("no law for hstu"))
        }
    }
}
