// Catalogue changes while serving: every route sees a change, and no reload or crash loses it.

import Foundation
import Testing

@Suite struct CatalogueChangesTests {
    private static let history = "\"history\":{\"items\":[\"anime-4-01\",\"anime-4-02\"],\"timestamps\":[10,20]}"
    private static let request = "{\(history),\"request_time\":30,\"k\":5}"

    private static func server(_ folder: URL) throws -> RunningServer {
        try RunningServer(environment: ["GENREC_STATE_DIRECTORY": folder.appendingPathComponent("state").path])
    }

    private static func patch(_ connection: TestConnection, _ items: String) throws -> TestReply {
        try connection.post("/admin/catalogue/demo", "{\"items\":[\(items)]}", method: "PATCH")
    }

    @Test func withdrawnItem_ComesBackFromNoRoute_AlsoAfterACrashAndAReload() throws {
        try Genrec.withTemporaryFolder { folder in
            var server = try Self.server(folder)
            var connection = try server.connect()
            let best = try #require(try connection.recommend(Self.request).items().first)
            let popular = try #require(try connection.recommend("{\"history\":[],\"k\":1}").items().first)
            let changed = try Self.patch(
                connection,
                "{\"item\":\"\(best)\",\"available\":false},{\"item\":\"\(popular)\",\"available\":false},"
                    + "{\"item\":\"nothing\",\"available\":false}"
            )
            #expect(
                changed.text
                    == #"{"changed":2,"unknown_items":["nothing"],"unknown":1,"persisted":true,"revision":1}"#
            )
            func check() throws {
                let sequence = "{\(Self.history),\"request_time\":30,\"k\":5,\"mode\":\"sequence\"}"
                for body in [Self.request, sequence, "{\"history\":[],\"k\":5}"] {
                    let reply = try connection.recommend(body)
                    #expect(reply.status == 200)
                    let items = try reply.items()
                    #expect(items.count == 5 && !items.contains(best) && !items.contains(popular))
                    let stream = try connection.post("/recommend", body.dropLast() + ",\"stream\":true}")
                    #expect(!stream.text.contains("\"\(best)\"") && !stream.text.contains("\"\(popular)\""))
                }
                let batch = try connection.post("/recommend/batch", "{\"requests\":[\(Self.request)]}")
                #expect(batch.status == 200 && !batch.text.contains("\"\(best)\""))
                let named = "{\(Self.history),\"request_time\":30,\"allow\":{\"items\":[\"\(best)\"]}}"
                #expect(try connection.recommend(named).items() == [])
                let ranked = try connection.post(
                    "/rank",
                    "{\(Self.history),\"request_time\":30,\"candidates\":[\"\(best)\",\"anime-4-03\"],\"order\":\"request\"}"
                )
                #expect(ranked.text.components(separatedBy: "\"available\":false").count == 2)
            }
            try check()
            server.signal(SIGKILL)
            _ = server.waitUntilExit()
            server = try Self.server(folder)
            defer { server.stop() }
            connection = try server.connect()
            try check()
            #expect(try connection.post("/admin/reload", "").status == 200)
            try check()
            let models = try connection.get("/models")
            #expect(models.text.contains("\"catalogue\":{\"items\":1200,\"unavailable\":2,\"changed\":2}"))
            let reset = try Self.patch(connection, "{\"item\":\"\(best)\",\"reset\":true}")
            #expect(try reset.json()["revision"] as? Int == 2)
            #expect(try connection.recommend(Self.request).items().first == best)
        }
    }

    @Test func items_AreShown_AndFound() throws {
        let server = try RunningServer()
        defer { server.stop() }
        let connection = try server.connect()
        let lines = """
            {"item":"drama-1-02","tags":["new","genre:drama"],"popularity":123456.5}

            {"item":"drama-1-02","available":false}
            """
        let head = "PATCH /admin/catalogue/demo HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\n"
        try connection.send(head + "Content-Length: \(lines.utf8.count)\r\n\r\n" + lines)
        let changed = try connection.receive()
        ServedContract.check(changed, to: "PATCH", "/admin/catalogue/demo")
        #expect(changed.text == #"{"changed":2,"unknown_items":[],"unknown":0,"persisted":false,"revision":1}"#)
        let item =
            #"{"item":"drama-1-02","title":"Drama 1, episode 2","tags":["new","genre:drama"],"#
            + #""popularity":123456.5,"available":false,"changed":true,"added":false}"#
        #expect(try connection.get("/admin/catalogue/demo/drama-1-02").text == item)
        #expect(try connection.get("/admin/catalogue/demo?q=drama+epi&limit=1").text == "{\"items\":[\(item)]}")
        #expect(try connection.get("/admin/catalogue/demo?q=DRAMA-1-02").text == "{\"items\":[\(item)]}")
        #expect(try connection.get("/admin/catalogue/demo/nothing").status == 404)
        #expect(try connection.get("/admin/catalogue/other?q=x").status == 404)
        #expect(try connection.get("/admin/catalogue/demo").status == 422)
        #expect(try connection.get("/admin/catalogue/demo?q=x&limit=0").status == 422)
        let tagged = try connection.recommend("{\"history\":[],\"allow\":{\"tags\":[\"new\"]}}")
        #expect(try tagged.items() == [])
        #expect(try Self.patch(connection, "{\"item\":\"drama-1-02\",\"available\":true}").status == 200)
        let again = try connection.recommend("{\"history\":[],\"allow\":{\"tags\":[\"new\"]}}")
        #expect(try again.items() == ["drama-1-02"] && again.scores() == [123456.5])
    }

    /// Popularities are float64 and scores float32.
    @Test func popularityBeyondAScore_IsTheGreatestScore() throws {
        let server = try RunningServer()
        defer { server.stop() }
        let connection = try server.connect()
        let changes = #"{"item":"drama-1-02","popularity":1e300},{"item":"drama-1-03","popularity":1e301}"#
        #expect(try Self.patch(connection, changes).status == 200)
        let popular = try connection.recommend("{\"history\":[],\"k\":2}")
        #expect(try popular.status == 200 && popular.items() == ["drama-1-03", "drama-1-02"])
        let score = "\"score\":3.4028235e+38"
        #expect(popular.text.components(separatedBy: score).count == 3)
        let ranked = try connection.post("/rank", "{\"history\":[],\"candidates\":[\"drama-1-02\"]}")
        #expect(ranked.status == 200 && ranked.text.contains(score))
    }

    @Test func malformedChange_ChangesNothing() throws {
        let server = try RunningServer()
        defer { server.stop() }
        let connection = try server.connect()
        for (items, sentence) in [
            (
                #"{"item":"drama-1-02","available":false},{"item":"x","available":1}"#,
                "items[1].available must be true or false"
            ),
            (#"{"available":false}"#, "items[0].item is missing"),
            (#"{"item":"x"}"#, "items[0] changes nothing"),
            (#"{"item":"x","reset":true,"popularity":1}"#, "items[0] has reset together with another change"),
            (#"{"item":"x","popularity":-1}"#, "items[0].popularity must be a finite number, at least 0"),
            (#"{"item":"x","colour":1}"#, "items[0].colour is an unknown field"),
        ] {
            let refused = try Self.patch(connection, items)
            #expect(try refused.status == 422 && refused.json()["detail"] as? String == sentence, "\(refused.text)")
        }
        // A body that is no JSON is that first of all.
        let half = try connection.post("/admin/catalogue/demo", #"{"items":[{"item":"x","colour":1}]"#, method: "PATCH")
        #expect(half.status == 400)
        let lines = "{\"item\":\"drama-1-02\",\"available\":false}\n{\"item\":"
        let head = "PATCH /admin/catalogue/demo HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\n"
        try connection.send(head + "Content-Length: \(lines.utf8.count)\r\n\r\n" + lines)
        let refused = try connection.receive()
        #expect(refused.status == 422 && refused.text.contains("line 2: "))
        #expect(try connection.get("/admin/catalogue/demo/drama-1-02").text.contains("\"changed\":false"))
        #expect(try connection.post("/admin/catalogue/other", "{\"items\":[]}", method: "PATCH").status == 404)
    }

    @Test func stateFolderInUse_EndsTheStartWithOneSentence() throws {
        try Genrec.withTemporaryFolder { folder in
            let server = try Self.server(folder)
            defer { server.stop() }
            let state = folder.appendingPathComponent("state").path
            let output = try Genrec.run(
                ["serve", "--listen", "127.0.0.1:0"],
                environment: ["GENREC_STATE_DIRECTORY": state]
            )
            #expect(output.status == 1)
            #expect(output.standardError == "genrec: another process has the server's folder \(state)\n")
        }
    }
}

/// Fewer items than requested, and a limit per tag.
@Suite struct RemovalTests {
    private static let history = "\"history\":{\"items\":[\"anime-4-01\",\"anime-4-02\"],\"timestamps\":[10,20]}"

    @Test func fewerItems_SayWhy() throws {
        let server = try RunningServer()
        defer { server.stop() }
        let connection = try server.connect()
        let change = "{\"items\":[{\"item\":\"anime-4-05\",\"available\":false}]}"
        #expect(try connection.post("/admin/catalogue/demo", change, method: "PATCH").status == 200)
        let body =
            "{\(Self.history),\"request_time\":30,\"exclude\":{\"items\":[\"anime-4-02\",\"anime-4-03\"]},\"allow\":{\"items\":"
            + "[\"anime-4-01\",\"anime-4-03\",\"anime-4-04\",\"anime-4-05\"]}"
        let expected =
            "\"exhausted\":true,\"eligible\":1,\"removed\":{\"seen\":2,\"excluded\":1,\"not_allowed\":1195,"
            + "\"unavailable\":1,\"max_per_tag\":0}"
        let reply = try connection.recommend(body + "}")
        #expect(try reply.items() == ["anime-4-04"] && reply.text.contains(expected), "\(reply.text)")
        let stream = try connection.post("/recommend", body + ",\"stream\":true}")
        #expect(stream.text.contains(expected))
        let enough = try connection.recommend("{\(Self.history),\"request_time\":30}")
        #expect(enough.text.contains("\"exhausted\":false,\"timing_ms\""))
    }

    @Test func boundOnTags_Holds() throws {
        let server = try RunningServer()
        defer { server.stop() }
        let connection = try server.connect()
        func titles(_ more: String) throws -> TestReply {
            try connection.recommend("{\(Self.history),\"request_time\":30,\"k\":1000\(more)}")
        }
        let all = try titles("").items()
        let reply = try titles(",\"diversity\":{\"max_per_tag\":3}")
        #expect(reply.status == 200)
        let items = try reply.items()
        // In the demo bundle the prefix of an item's id is its genre, which is one of its tags.
        let genres = Dictionary(grouping: items) { $0.prefix { $0 != "-" } }
        #expect(genres.count > 1 && genres.values.allSatisfy { 1...3 ~= $0.count })
        #expect(items == all.filter { Set(items).contains($0) } && items.first == all.first)
        #expect(try reply.json()["exhausted"] as? Bool == true)
        #expect(try reply.json()["eligible"] as? Int == items.count)
        let removed = try #require(try reply.json()["removed"] as? [String: Int])
        #expect(removed.values.reduce(0, +) + items.count == 1200)
        let none = try titles(",\"diversity\":{\"max_per_tag\":1,\"prefix\":\"nothing\"}")
        #expect(try none.items() == all)
        let cold = try connection.recommend("{\"history\":[],\"k\":50,\"diversity\":{\"max_per_tag\":2}}")
        #expect(try Dictionary(grouping: cold.items()) { $0.prefix { $0 != "-" } }.values.allSatisfy { $0.count <= 2 })
        let sequence = try connection.recommend(
            "{\(Self.history),\"request_time\":30,\"k\":8,\"mode\":\"sequence\",\"diversity\":{\"max_per_tag\":1}}"
        )
        let generated = try sequence.items()
        #expect(Set(generated.map { $0.prefix { $0 != "-" } }).count == generated.count)
        for (rule, words) in [("{}", "max_per_tag is missing"), ("{\"max_per_tag\":0}", "max_per_tag must be")] {
            let refused = try titles(",\"diversity\":\(rule)")
            #expect(refused.status == 422 && refused.text.contains(words))
        }
    }
}
