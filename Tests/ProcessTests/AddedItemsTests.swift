// Items added over HTTP to a running server: every route knows them from the reply on, after a crash and after a
// reload, until they are removed.

import Foundation
import Testing

@Suite struct AddedItemsTests {
    private static let history = "\"history\":{\"items\":[\"anime-4-01\",\"anime-4-02\"],\"timestamps\":[10,20]}"

    private static func patch(_ connection: TestConnection, _ items: String) throws -> TestReply {
        let reply = try connection.post("/admin/catalogue/demo", "{\"items\":[\(items)]}", method: "PATCH")
        ServedContract.check(reply, to: "PATCH", "/admin/catalogue/demo")
        return reply
    }

    @Test func addedItem_IsOnEveryRoute_AlsoAfterACrashAndAReload() throws {
        try Genrec.withTemporaryFolder { folder in
            let environment = ["GENREC_STATE_DIRECTORY": folder.appendingPathComponent("state").path]
            var server = try RunningServer(environment: environment)
            var connection = try server.connect()
            let request = "{\(Self.history),\"request_time\":30,\"k\":3}"
            let best = try #require(try connection.recommend(request).items().first)
            let changed = try Self.patch(
                connection,
                "{\"item\":\"new-1\",\"like\":[\"\(best)\"],\"tags\":[\"fresh\"],\"popularity\":1e9,\"title\":\"Brand new\"}"
            )
            #expect(
                changed.text == #"{"changed":1,"unknown_items":[],"unknown":0,"persisted":true,"revision":1}"#
            )
            func check() throws {
                let reply = try connection.recommend(request)
                #expect(try reply.items().prefix(2) == [best, "new-1"])
                let scores = try reply.scores()
                #expect(scores[0] == scores[1])
                let stream = try connection.post("/recommend", request.dropLast() + ",\"stream\":true}")
                #expect(stream.text.contains("\"new-1\""))
                let sequence = try connection.recommend(request.dropLast() + ",\"mode\":\"sequence\"}")
                #expect(try sequence.items().count == 3)
                let batch = try connection.post("/recommend/batch", "{\"requests\":[\(request)]}")
                #expect(batch.text.contains("\"new-1\""))
                let ranked = try connection.post(
                    "/rank",
                    "{\(Self.history),\"request_time\":30,\"candidates\":[\"anime-6-01\",\"new-1\",\"\(best)\"],\"order\":\"request\"}"
                )
                let ranks = try ranked.scores()
                #expect(ranks[1] == ranks[2] && ranks[1] == scores[0])
                // In a history the item is known, and counts as seen.
                let seen = try connection.recommend(
                    "{\"history\":{\"items\":[\"anime-4-01\",\"new-1\"],\"timestamps\":[10,20]},\"request_time\":30,\"k\":1000}"
                )
                #expect(try seen.text.contains("\"unknown_items\":0") && !seen.items().contains("new-1"))
                #expect(try connection.recommend("{\"history\":[],\"k\":1}").items() == ["new-1"])
                let tagged = "{\(Self.history),\"allow\":{\"tags\":[\"fresh\"]}}"
                #expect(try connection.recommend(tagged).items() == ["new-1"])
                let excluded = try connection.recommend(request.dropLast() + ",\"exclude\":{\"tags\":[\"fresh\"]}}")
                #expect(try !excluded.items().contains("new-1"))
                let item =
                    #"{"item":"new-1","title":"Brand new","tags":["fresh"],"popularity":1000000000,"available":true,"#
                    + #""changed":true,"added":true}"#
                #expect(try connection.get("/admin/catalogue/demo/new-1").text == item)
                #expect(try connection.get("/admin/catalogue/demo?q=brand").text == "{\"items\":[\(item)]}")
                let models = try connection.get("/models").text
                #expect(models.contains("\"catalogue\":{\"items\":1201,\"unavailable\":0,\"changed\":1}"))
            }
            try check()
            server.signal(SIGKILL)
            _ = server.waitUntilExit()
            server = try RunningServer(environment: environment)
            defer { server.stop() }
            connection = try server.connect()
            try check()
            #expect(try connection.post("/admin/reload", "").status == 200)
            try check()
            _ = try Self.patch(connection, "{\"item\":\"new-1\",\"available\":false}")
            #expect(try !connection.recommend(request).items().contains("new-1"))
            #expect(try Self.patch(connection, "{\"item\":\"new-1\",\"reset\":true}").json()["changed"] as? Int == 1)
            #expect(try connection.get("/admin/catalogue/demo/new-1").status == 404)
            let unknown = try Self.patch(connection, "{\"item\":\"new-1\",\"popularity\":1}")
            #expect(try unknown.json()["unknown"] as? Int == 1)
            let without = try connection.recommend("{\"history\":{\"items\":[\"new-1\"]},\"k\":1}")
            #expect(try without.text.contains("\"unknown_items\":1") && !without.items().contains("new-1"))
        }
    }

    /// The store keeps ids. The catalogue decides at the time of the request which of them are items.
    @Test func addedItem_IsKnownInStoredHistories() throws {
        try Genrec.withTemporaryFolder { folder in
            let users = folder.appendingPathComponent("users").path
            let server = try RunningServer(
                environment: ["GENREC_USERS_STORE": "local", "GENREC_USERS_LOCAL_DIRECTORY": users]
            )
            defer { server.stop() }
            let connection = try server.connect()
            let events = ["anime-4-01", "new-1", "new-2"].enumerated().map { index, item in
                "{\"user_id\":\"u\",\"item\":\"\(item)\",\"timestamp\":\(10 + index)}"
            }
            let taken = try connection.post("/events", "{\"events\":[\(events.joined(separator: ","))]}")
            #expect(taken.status == 200, "\(taken.text)")
            let request = "{\"user_id\":\"u\",\"request_time\":30,\"k\":1000}"
            #expect(try connection.recommend(request).text.contains("\"unknown_items\":2"))
            _ = try Self.patch(connection, "{\"item\":\"new-1\",\"like\":[\"anime-4-02\"]}")
            let reply = try connection.recommend(request)
            #expect(try reply.text.contains("\"unknown_items\":1") && !reply.items().contains("new-1"))
            #expect(try reply.json()["history_used"] as? Int == 2)
            let sent = try connection.recommend(
                "{\"history\":{\"items\":[\"anime-4-01\",\"new-1\"],\"timestamps\":[10,11]},\"request_time\":30,\"k\":1000}"
            )
            #expect(try reply.items() == sent.items() && reply.scores() == sent.scores())
        }
    }

    @Test func whatIsNoItem_IsRefusedAsAWhole() throws {
        let server = try RunningServer(environment: ["GENREC_CATALOGUE_MAX_ADDED": "2"])
        defer { server.stop() }
        let connection = try server.connect()
        let numbers = (0..<32).map { "\($0 % 3)" }.joined(separator: ",")
        for (item, words) in [
            (#""embedding":[1,2]"#, "embedding has 2 numbers, but the model's rows have 32"),
            (#""embedding":[]"#, "embedding has 0 numbers"),
            (#""embedding":[1e39]"#, "items[1].embedding[0] must be a number in the range of float32"),
            // A score would overflow, and fail every request.
            ("\"embedding\":[\(numbers.dropLast())3e38]", "embedding[31] is 3e+38, not from -1e12 to 1e12"),
            (#""embedding":[null]"#, "items[1].embedding[0] must be a number"),
            (#""embedding":"x""#, "items[1].embedding must be an array of numbers"),
            (#""like":[]"#, "items[1].like must name at least one item"),
            (#""like":["nothing"]"#, "like names 'nothing', which is not an item of the model's bundle"),
            (#""like":["x"]"#, "like names 'x'"),
            (#""like":[true]"#, "items[1].like[0] must be a string"),
            (#""like":["anime-4-01"],"embedding":[1]"#, "items[1] has both embedding and like"),
            (#""like":["anime-4-01"],"reset":true"#, "items[1] has reset together with another change"),
            (#""like":["anime-4-01"],"title":7"#, "items[1].title must be a string"),
            (#""title":"X","popularity":1"#, "items[1].title is only for new items"),
            (#""like":["anime-4-01"],"like":["anime-4-01"]"#, "the key 'like' is duplicated"),
        ] {
            let refused = try Self.patch(connection, #"{"item":"anime-4-01","available":false},{"item":"x",\#(item)}"#)
            #expect([400, 422].contains(refused.status) && refused.text.contains(words), "\(item): \(refused.text)")
        }
        #expect(try connection.get("/admin/catalogue/demo/anime-4-01").text.contains("\"changed\":false"))
        let two = "{\"item\":\"x\",\"embedding\":[\(numbers)]},{\"item\":17,\"embedding\":[\(numbers)]}"
        #expect(try Self.patch(connection, two).status == 200)
        let third = try Self.patch(connection, "{\"item\":\"z\",\"embedding\":[\(numbers)]}")
        #expect(third.status == 422 && third.text.contains("catalogue.max_added"))
        #expect(try Self.patch(connection, two).json()["changed"] as? Int == 2)
        #expect(try connection.get("/admin/catalogue/demo/17").text.contains("\"added\":true"))
        #expect(try Self.patch(connection, "{\"item\":\"x\",\"reset\":true}").status == 200)
        #expect(try Self.patch(connection, "{\"item\":\"z\",\"embedding\":[\(numbers)]}").status == 200)
    }
}
