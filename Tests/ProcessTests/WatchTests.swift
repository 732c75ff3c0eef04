// `watch: true`: the server loads a swapped link and a renamed directory, but no incomplete bundle.

import Foundation
import Testing

@Suite struct WatchTests {
    private struct Fixture {
        let folder: URL
        var name = "demo"

        func bundle(_ version: String) throws -> URL {
            let bundle = folder.appendingPathComponent("demo-\(version)")
            try FileManager.default.copyItem(atPath: Genrec.demoBundle, toPath: bundle.path)
            let file = bundle.appendingPathComponent("config.json")
            try String(contentsOf: file, encoding: .utf8)
                .replacing("\"version\": \"1\"", with: "\"version\": \"\(version)\"")
                .replacing("\"name\": \"demo\"", with: "\"name\": \"\(name)\"")
                .write(to: file, atomically: true, encoding: .utf8)
            return bundle
        }

        var link: URL { folder.appendingPathComponent("current") }

        /// Points the link elsewhere, atomically.
        func lead(to bundle: URL) throws {
            let next = folder.appendingPathComponent("next")
            try FileManager.default.createSymbolicLink(at: next, withDestinationURL: bundle)
            guard rename(next.path, link.path) == 0 else { throw Genrec.Failure(description: "errno \(errno)") }
        }
    }

    /// Calls `body` with a server that watches a link to version 1.
    private func withServer(_ body: (RunningServer, Fixture) throws -> Void) throws {
        try Genrec.withTemporaryFolder { folder in
            let fixture = Fixture(folder: folder)
            try fixture.lead(to: try fixture.bundle("1"))
            let file = folder.appendingPathComponent("genrec.yaml").path
            try "models:\n  - bundle: \(fixture.link.path)\n    watch: true\n"
                .write(toFile: file, atomically: true, encoding: .utf8)
            let server = try RunningServer(["--config", file])
            defer { server.stop() }
            try body(server, fixture)
        }
    }

    /// Polls, with no reply refused, until the condition holds; the server's own limit ends a futile wait.
    private func wait(_ connection: TestConnection, until condition: () throws -> Bool) throws {
        while try !condition() {
            try #require(try connection.recommend("{\"history\":[{\"item\":\"anime-4-01\"}]}").status == 200)
        }
    }

    private func version(_ connection: TestConnection) throws -> String? {
        let reply = try connection.recommend("{\"history\":[{\"item\":\"anime-4-01\"}]}")
        #expect(reply.status == 200)
        return (try reply.json()["model"] as? [String: String])?["version"]
    }

    private func failures(_ connection: TestConnection) throws -> Int {
        let text = try connection.get("/metrics").text
        let match = text.firstMatch(of: #/genrec_model_reloads_total\{result="failure"\} (\d+)/#)
        return match.flatMap { Int($0.1) } ?? 0
    }

    @Test func aLinkThatIsSwapped_AndADirectoryThatIsRenamed_AreServed() throws {
        try withServer { server, fixture in
            let connection = try server.connect()
            #expect(try version(connection) == "1")
            try fixture.lead(to: try fixture.bundle("2"))
            try wait(connection) { try version(connection) == "2" }
            // The serving version has its predecessor's share.
            let models = try #require(try connection.get("/models").json()["models"] as? [[String: Any]])
            #expect(models.first?["share"] as? Double == 100)
            // A directory replaces the link.
            let third = try fixture.bundle("3")
            try FileManager.default.removeItem(at: fixture.link)
            try FileManager.default.moveItem(at: third, to: fixture.link)
            try wait(connection) { try version(connection) == "3" }
            #expect(try failures(connection) == 0)
        }
    }

    @Test func linksThatAreSwappedTogether_AreAllServed() throws {
        try Genrec.withTemporaryFolder { folder in
            let names = ["a", "b", "c"]
            let fixtures = try names.map { name in
                let own = folder.appendingPathComponent(name)
                try FileManager.default.createDirectory(at: own, withIntermediateDirectories: true)
                return Fixture(folder: own, name: name)
            }
            for fixture in fixtures { try fixture.lead(to: try fixture.bundle("1")) }
            let file = folder.appendingPathComponent("genrec.yaml").path
            let models = fixtures.map { "  - bundle: \($0.link.path)\n    watch: true\n" }.joined()
            try "models:\n\(models)default_model: a\n".write(toFile: file, atomically: true, encoding: .utf8)
            let server = try RunningServer(["--config", file])
            defer { server.stop() }
            let connection = try server.connect()
            let next = try fixtures.map { try $0.bundle("2") }
            for (fixture, bundle) in zip(fixtures, next) { try fixture.lead(to: bundle) }
            try wait(connection) {
                let models = try #require(try connection.get("/models").json()["models"] as? [[String: Any]])
                return models.allSatisfy { $0["version"] as? String == "2" }
            }
            #expect(try failures(connection) == 0)
        }
    }

    @Test func aBundleThatCannotBeUsed_IsNotServed_UntilItIsMended() throws {
        try withServer { server, fixture in
            let connection = try server.connect()
            let broken = try fixture.bundle("2")
            let weights = broken.appendingPathComponent("model.safetensors")
            let whole = try Data(contentsOf: weights)
            try whole.dropLast(100).write(to: weights, options: .atomic)
            try fixture.lead(to: broken)
            try wait(connection) { try failures(connection) == 1 }
            #expect(try version(connection) == "1")
            try whole.write(to: weights, options: .atomic)
            try wait(connection) { try version(connection) == "2" }
            #expect(try failures(connection) == 1)
        }
    }

    @Test func aBundleThatIsBeingWritten_IsLeftAlone() throws {
        try withServer { server, fixture in
            let connection = try server.connect()
            let next = try fixture.bundle("2")
            let weights = next.appendingPathComponent("model.safetensors")
            let whole = try Data(contentsOf: weights)
            try fixture.lead(to: next)
            // The replies arrive before the files have been unchanged for a second.
            var count = 0
            for length in stride(from: 1_000, to: whole.count, by: whole.count / 200) {
                try whole.prefix(length).write(to: weights, options: .atomic)
                if try version(connection) == "1" { count += 1 }
            }
            #expect(count > 0)
            #expect(try failures(connection) == 0)
            try whole.write(to: weights, options: .atomic)
            try wait(connection) { try version(connection) == "2" }
            #expect(try failures(connection) == 0)
        }
    }
}
