// `models` and `routing` in the configuration file, and changes over HTTP that survive a restart.

import Foundation
import Testing

@Suite struct ModelsOfTheFileTests {
    private static let history =
        "\"history\":{\"items\":[\"anime-4-01\",\"anime-4-02\"],\"timestamps\":[10,20]},\"request_time\":30"

    /// Calls `body` with a folder and a function that copies the demo bundle into it.
    private func withBundles(_ body: (URL, (_ name: String, _ version: String) throws -> String) throws -> Void) throws
    {
        try Genrec.withTemporaryFolder { folder in
            try body(folder) { name, version in
                let bundle = folder.appendingPathComponent("\(name)-\(version)")
                try FileManager.default.copyItem(atPath: Genrec.demoBundle, toPath: bundle.path)
                let file = bundle.appendingPathComponent("config.json")
                try String(contentsOf: file, encoding: .utf8)
                    .replacing("\"version\": \"1\"", with: "\"version\": \"\(version)\"")
                    .replacing("\"name\": \"demo\"", with: "\"name\": \"\(name)\"")
                    .write(to: file, atomically: true, encoding: .utf8)
                return bundle.path
            }
        }
    }

    private func write(_ text: String, _ folder: URL) throws -> String {
        let path = folder.appendingPathComponent("genrec.yaml").path
        try text.write(toFile: path, atomically: true, encoding: .utf8)
        return path
    }

    private static func model(_ reply: TestReply) throws -> [String: String] {
        try #require(try reply.json()["model"] as? [String: String])
    }

    private static func models(_ connection: TestConnection) throws -> [[String: Any]] {
        try #require(try connection.get("/models").json()["models"] as? [[String: Any]])
    }

    @Test func modelsOfDifferentTypes_ServeTogether_AsTheFileDividesThem() throws {
        try withBundles { folder, bundle in
            let file = try write(
                """
                models:
                  - bundle: \(try bundle("movies", "7"))
                  - bundle: \(try bundle("movies", "8"))
                    dtype: bf16
                    threads: 1
                  - bundle: \(try bundle("books", "2"))
                    dtype: int8
                routing:
                  movies:
                    split: {"7": 0, "8": 100}
                    shadow: {"7": 25}
                default_model: movies
                """,
                folder
            )
            let check = try Genrec.run(["check-config", file])
            #expect(check.status == 0, "\(check.standardError)")
            let server = try RunningServer(["--config", file])
            defer { server.stop() }
            let connection = try server.connect()
            let models = try Self.models(connection)
            #expect(models.map { $0["dtype"] as? String } == ["float32", "bfloat16", "int8"])
            #expect(models.map { $0["share"] as? Double } == [0, 100, 100])
            #expect(models.map { $0["shadow"] as? Double } == [25, 0, 0])
            #expect(models[1]["threads"] as? Int == 1)
            func ask(_ rest: String = "") throws -> TestReply {
                try connection.recommend("{\(Self.history)\(rest)}")
            }
            #expect(try Self.model(ask()) == ["name": "movies", "version": "8"])
            #expect(try Self.model(ask(",\"model\":\"books\"")) == ["name": "books", "version": "2"])
            // The same weights in three types: nearly the same answers, but different scores.
            let precise = try ask(",\"model\":\"movies\",\"version\":\"7\"")
            #expect(try Self.model(precise) == ["name": "movies", "version": "7"])
            #expect(try precise.text != ask().text)
            let plain = try RunningServer()
            defer { plain.stop() }
            let alone = try plain.connect().recommend("{\(Self.history)}")
            #expect(try alone.items() == precise.items())
            let info = try connection.get("/metrics").text
            for dtype in ["float32", "bfloat16", "int8"] {
                #expect(info.contains("dtype=\"\(dtype)\"} 1\n"), "\(dtype)")
            }
        }
    }

    @Test func faults_AreReportedWithTheirLines() throws {
        try withBundles { folder, bundle in
            let movies = try bundle("movies", "7")
            func faults(_ text: String) throws -> [String] {
                let file = try write(text, folder)
                let output = try Genrec.run(["check-config", file])
                #expect(output.status == 1)
                return output.standardError.split(separator: "\n").map { String($0).replacing(file, with: "F") }
            }
            #expect(
                try faults(
                    """
                    models:
                      - bundle: \(movies)
                        dtyp: bf16
                        threads: 9999
                      - dtype: f32
                      - bundle: \(movies)
                        device: ascend:0
                      - bundle: \(movies)
                        dtype: f64
                        watch: maybe
                    routing:
                      movies: {split: {"7": 99}}
                      books:
                        shares: {"1": 100}
                    """

                ).prefix(9).map { $0.replacing(#/ from 0 to \d+/#, with: " from 0 to N") } == [
                    "F:3:5: models[0] has no setting 'dtyp'; did you mean 'dtype'?",
                    "F:4:14: models[0].threads must be a whole number from 0 to N, not '9999'",
                    "F:5:5: models[1].bundle is missing",
                    "F:10:12: models[3].watch must be true or false, not 'maybe'",
                    "F:12:11: routing.movies.split sums to 99.0, not to 100",
                    "F:14:5: routing.books has no setting 'shares'; it has split and shadow",
                    "F:14:5: routing.books.split is missing",
                    "F:6:5: device: ascend:0 is not listed in engine.device",
                    "F:8:5: dtype: there is no dtype 'f64'; use auto, f32, f16, bf16 or int8",
                ]
            )
            let books = try bundle("books", "1")
            #expect(
                try faults(
                    """
                    bundle: \(movies)
                    models:
                      - bundle: \(movies)
                      - bundle: \(movies)
                      - bundle: \(books)
                    routing:
                      movies: {split: {"7": 50, "8": 50}}
                      music: {split: {"1": 100}}
                    """
                ) == [
                    "F:1:9: bundle: models is set, too; remove one of them",
                    "F:4:5: version '7' of the model 'movies' appears twice",
                    "F:7:3: routing.movies: there is no version '8'; there are 7, 7",
                    "F:8:3: routing.music: there is no model of that name",
                    "default_model must be set, because there are models of several names: books, movies",
                ]
            )
            #expect(
                try faults("models: 7\nrouting: [1]\n").prefix(1) == [
                    "F:1:9: models must be a list of bundles, each '- bundle: DIRECTORY'"
                ]
            )
            #expect(
                try faults("models:\n  - bundle: /nowhere\n").contains {
                    $0.contains("F:2:5: ") && $0.contains("/nowhere")
                }
            )
            let file = try write("models:\n  - bundle: \(movies)\ndefault_model: music\n", folder)
            let output = try Genrec.run(["serve", "--listen", "127.0.0.1:0", "--config", file])
            #expect(output.standardError == "genrec: default_model: there is no model 'music'; there are movies\n")
        }
    }

    @Test func changesOverHTTP_SurviveARestart_UntilTheFileChanges() throws {
        try withBundles { folder, bundle in
            let (old, new) = (try bundle("movies", "7"), try bundle("movies", "8"))
            let state = folder.appendingPathComponent("state").path
            func configuration(_ rest: String = "") -> String {
                "models:\n  - bundle: \(old)\nstate:\n  directory: \(state)\n\(rest)"
            }
            let file = try write(configuration(), folder)
            func shares(_ connection: TestConnection) throws -> [Double?] {
                try Self.models(connection).map { $0["share"] as? Double }
            }
            var server = try RunningServer(["--config", file])
            var connection = try server.connect()
            #expect(try connection.post("/admin/models", "{\"bundle\":\"\(new)\"}").text.contains("\"persisted\":true"))
            for split in ["{\"7\":90,\"8\":10}", "{\"7\":40,\"8\":60}"] {
                let reply = try connection.post("/admin/routing/movies", "{\"split\":\(split)}", method: "PUT")
                #expect(reply.status == 200 && reply.text.contains("\"persisted\":true"))
            }
            // Not an orderly shutdown.
            server.signal(SIGKILL)
            _ = server.waitUntilExit()
            server = try RunningServer(["--config", file])
            connection = try server.connect()
            #expect(try shares(connection) == [40, 60])
            #expect(try connection.post("/admin/routing/movies/rollback", "").text.contains("{\"7\":90,\"8\":10}"))
            server.stop()
            // The file has changed since the routing was saved, so the file wins.
            _ = try write(configuration("routing:\n  movies: {split: {\"7\": 100}}\n"), folder)
            server = try RunningServer(["--config", file])
            connection = try server.connect()
            #expect(try shares(connection) == [100, 0])
            server.stop()
            // A deleted bundle that was added over HTTP is skipped, and so is the routing that names it.
            _ = try write(configuration(), folder)
            try FileManager.default.removeItem(atPath: new)
            server = try RunningServer(["--config", file])
            connection = try server.connect()
            #expect(try shares(connection) == [100])
            let stopped = server.stop()
            #expect(stopped.log.contains("an added model is not served"))
            // An unreadable state file is not skipped.
            try "{".write(toFile: state + "/fleet.json", atomically: true, encoding: .utf8)
            let output = try Genrec.run(["serve", "--listen", "127.0.0.1:0", "--config", file])
            #expect(output.status == 1 && output.standardError.contains("fleet.json"))
        }
    }

    /// A model that replaced another keeps its place after a restart, because there may be no room for both. A changed
    /// file overrides it.
    @Test func aReplacement_HasThePlaceAfterARestart_UntilTheFileChanges() throws {
        try withBundles { folder, bundle in
            let (old, new) = (try bundle("movies", "7"), try bundle("movies", "8"))
            let state = folder.appendingPathComponent("state").path
            func configuration(_ shadow: String = "") -> String {
                """
                models:
                  - bundle: \(old)
                routing:
                  movies: {split: {"7": 100}\(shadow)}
                state:
                  directory: \(state)
                """
            }
            let file = try write(configuration(), folder)
            /// Versions and shares after a start.
            func standing(_ body: (TestConnection) throws -> Void = { _ in }) throws -> [String: Double] {
                let server = try RunningServer(["--config", file])
                let connection = try server.connect()
                try body(connection)
                let models = try Self.models(connection).filter { $0["state"] as? String == "ready" }
                #expect(try connection.recommend("{\(Self.history)}").status == 200)
                // Not an orderly shutdown.
                server.signal(SIGKILL)
                _ = server.waitUntilExit()
                return try Dictionary(
                    uniqueKeysWithValues: models.map { model in
                        (try #require(model["version"] as? String), try #require(model["share"] as? Double))
                    }
                )
            }
            let replaced = try standing { connection in
                let reply = try connection.post("/admin/models", "{\"bundle\":\"\(new)\",\"replace\":\"movies:7\"}")
                #expect(reply.status == 201 && reply.text.contains("\"persisted\":true"))
            }
            #expect(replaced == ["8": 100])
            #expect(try standing() == ["8": 100])
            // The replaced bundle is no longer needed.
            let elsewhere = old + "-kept"
            try FileManager.default.moveItem(atPath: old, toPath: elsewhere)
            #expect(try standing() == ["8": 100])
            try FileManager.default.moveItem(atPath: elsewhere, toPath: old)
            // If the replacement cannot be read, the file's model serves.
            try FileManager.default.moveItem(atPath: new, toPath: elsewhere)
            #expect(try standing() == ["7": 100])
            try FileManager.default.moveItem(atPath: elsewhere, toPath: new)
            #expect(try standing() == ["8": 100])
            _ = try write(configuration(", shadow: {\"7\": 10}"), folder)
            #expect(try standing() == ["7": 100])
        }
    }

    @Test func withoutAFolder_ChangesSayThatTheyAreGone() throws {
        try withBundles { _, bundle in
            let server = try RunningServer()
            defer { server.stop() }
            let connection = try server.connect()
            let added = try connection.post("/admin/models", "{\"bundle\":\"\(try bundle("demo", "2"))\"}")
            #expect(added.text.contains("\"persisted\":false"))
            let routed = try connection.post("/admin/routing/demo", "{\"split\":{\"2\":100}}", method: "PUT")
            #expect(routed.text.contains("\"persisted\":false"))
        }
    }
}
