// `POST /admin/reload` and the other routes about the server itself.

import Foundation
import Synchronization
import Testing

@Suite struct ReloadTests {
    /// Calls `body` with a server of a copy of the demo bundle.
    private func withOwnBundle(_ body: (RunningServer, URL) throws -> Void) throws {
        try Genrec.withTemporaryFolder { folder in
            let bundle = folder.appendingPathComponent("bundle")
            try FileManager.default.copyItem(atPath: Genrec.demoBundle, toPath: bundle.path)
            let server = try RunningServer(["--bundle", bundle.path])
            defer { server.stop() }
            try body(server, bundle)
        }
    }

    private static func setVersion(_ version: String, _ bundle: URL) throws {
        let file = bundle.appendingPathComponent("config.json")
        let text = try String(contentsOf: file, encoding: .utf8)
        let changed = text.replacing(#/"version"\s*:\s*"[^"]*"/#, with: "\"version\": \"\(version)\"")
        #expect(changed != text)
        try changed.write(to: file, atomically: true, encoding: .utf8)
    }

    @Test func newBundle_IsServedFromThenOn() throws {
        try withOwnBundle { server, bundle in
            let connection = try server.connect()
            try Self.setVersion("2", bundle)
            #expect(try connection.recommend("{\"history\":[]}").text.contains("\"version\":\"1\""))
            let reply = try connection.post("/admin/reload", "")
            #expect(reply.status == 200)
            let model = try #require(try reply.json()["model"] as? [String: Any])
            #expect(model["version"] as? String == "2" && model["state"] as? String == "ready")
            #expect(try connection.recommend("{\"history\":[]}").text.contains("\"version\":\"2\""))
            let warm = try connection.recommend("{\"history\":[{\"item\":\"anime-4-01\"}]}")
            #expect(try warm.json()["source"] as? String == "model")
            #expect(try connection.get("/models").text.contains("\"version\":\"2\""))
            let metrics = try connection.get("/metrics").text
            #expect(metrics.contains("genrec_model_reloads_total{result=\"success\"} 1\n"))
            #expect(metrics.contains("genrec_model_info{name=\"demo\",version=\"2\""))
            #expect(!metrics.contains("genrec_model_info{name=\"demo\",version=\"1\""))
        }
    }

    @Test func bundleThatCannotBeServed_LeavesTheOneBefore() throws {
        try withOwnBundle { server, bundle in
            let connection = try server.connect()
            let before = try connection.recommend("{\"history\":[{\"item\":\"anime-4-01\"}]}").items()
            // By renaming, like a deployment.
            let weights = bundle.appendingPathComponent("model.safetensors")
            try Data(contentsOf: weights).dropLast(100).write(to: weights, options: .atomic)
            let reply = try connection.post("/admin/reload", "")
            #expect(reply.status == 422)
            #expect((try reply.json()["detail"] as? String)?.contains("model.safetensors") == true)
            #expect(try connection.recommend("{\"history\":[{\"item\":\"anime-4-01\"}]}").items() == before)
            try FileManager.default.removeItem(at: bundle)
            #expect(try connection.post("/admin/reload", "").status == 422)
            #expect(try connection.get("/health/ready").status == 200)
            #expect(
                try connection.get("/metrics").text.contains("genrec_model_reloads_total{result=\"failure\"} 2\n")
            )
        }
    }

    @Test func requestsAreAnswered_WhileTheModelIsReplacedUnderThem() throws {
        try withOwnBundle { server, _ in
            let isOver = Atomic<Bool>(false)
            let served = Atomic<Int>(0)
            let refused = Atomic<Int>(0)
            let group = DispatchGroup()
            for _ in 0..<4 {
                let connection = try server.connect()
                let box = UncheckedBox(connection)
                group.enter()
                Thread.detachNewThread {
                    while !isOver.load(ordering: .relaxed) {
                        let reply = try? box.value.recommend("{\"history\":[{\"item\":\"anime-4-01\"}],\"k\":1}")
                        if reply?.status == 200 {
                            served.add(1, ordering: .relaxed)
                        } else {
                            refused.add(1, ordering: .relaxed)
                        }
                    }
                    group.leave()
                }
            }
            let connection = try server.connect()
            for _ in 0..<10 { #expect(try connection.post("/admin/reload", "").status == 200) }
            isOver.store(true, ordering: .relaxed)
            group.wait()
            #expect(served.load(ordering: .relaxed) > 0 && refused.load(ordering: .relaxed) == 0)
            // The replaced engines are gone, and so are their threads.
            let engines = { try Self.engineThreads(of: server) }
            while try engines() > 1 {}
            #expect(try engines() == 1)
        }
    }

    /// Threads of the server that run an engine.
    private static func engineThreads(of server: RunningServer) throws -> Int {
        let tasks = "/proc/\(server.processIdentifier)/task"
        return try FileManager.default.contentsOfDirectory(atPath: tasks).count { task in
            let name = try? String(contentsOfFile: "\(tasks)/\(task)/comm", encoding: .utf8)
            return name == "genrec-engine\n"
        }
    }

    @Test func secondReload_IsRefusedWhileTheFirstRuns_OrSucceedsAfterIt() throws {
        try withOwnBundle { server, _ in
            let connections = try (0..<4).map { _ in try server.connect() }
            for connection in connections {
                try connection.send("POST /admin/reload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n")
            }
            let statuses = try connections.map { try $0.receive().status }
            #expect(statuses.contains(200) && statuses.allSatisfy { [200, 409].contains($0) })
        }
    }

    @Test func drainDuringAReload_EndsInOrder() throws {
        try withOwnBundle { server, _ in
            let connection = try server.connect()
            try connection.send("POST /admin/reload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n")
            server.signal(SIGTERM)
            #expect(server.waitUntilExit().status == 0)
        }
    }

    @Test func bodyOfAReload_NamesAModelOrNothing_AndItsLengthIsNeeded() throws {
        try withOwnBundle { server, _ in
            let connection = try server.connect()
            #expect(try connection.get("/admin/reload", method: "POST").status == 411)
            #expect(try server.connect().post("/admin/reload", "{}").status == 200)
            #expect(try server.connect().post("/admin/reload", "{\"model\":\"demo\"}").status == 200)
            #expect(try server.connect().post("/admin/reload", "{\"model\":\"other\"}").status == 404)
            #expect(try server.connect().post("/admin/reload", "{\"bundle\":\"/\"}").status == 422)
            #expect(try server.connect().post("/admin/reload", "{").status == 400)
        }
    }

    @Test func deletedUser_IsNamedWithWhatWasDropped() throws {
        let server = try RunningServer()
        defer { server.stop() }
        let connection = try server.connect()
        let reply = try connection.get("/users/u%2F42%20%C3%A9?x=1", method: "DELETE")
        #expect(reply.status == 200)
        let nothing = "{\"entries\":0,\"bytes\":0,\"events\":0,\"in_flight\":0}"
        #expect(reply.text == "{\"user_id\":\"u/42 é\",\"dropped\":\(nothing)}")
        for id in ["%", "%zz", "%FF", "%00", String(repeating: "a", count: 257)] {
            let reply = try connection.get("/users/\(id)", method: "DELETE")
            #expect(reply.status == 422)
            #expect((try reply.json()["detail"] as? String)?.hasPrefix("user_id ") == true)
        }
        #expect(try connection.get("/users/", method: "DELETE").status == 404)
        #expect(try connection.get("/users/a/b", method: "DELETE").status == 404)
        // The path label is the template, whichever user the path names.
        let metrics = try connection.get("/metrics").text
        #expect(metrics.contains("{route=\"/users/{user_id}\",method=\"DELETE\",status=\"200\"} 1\n"))
        #expect(!metrics.contains("/users/u"))
    }

    @Test func everyPathOfTheDocument_AnswersItsMethods_AndNoOthers() throws {
        let server = try RunningServer()
        defer { server.stop() }
        let connection = try server.connect()
        let document = try connection.get("/openapi.json").json()
        let paths = try #require(document["paths"] as? [String: [String: Any]])
        #expect(!paths.isEmpty)
        for (template, item) in paths {
            let path = template.replacing("{user_id}", with: "u-42")
            let methods = Set(item.keys).subtracting(["parameters"])
            let options = try connection.get(path, method: "OPTIONS")
            #expect(options.status == 204 && options.headers["x-request-id"] != nil)
            let allowed = try #require(options.headers["allow"])
            #expect(Set(allowed.lowercased().components(separatedBy: ", ")) == methods)
            for method in ["GET", "HEAD", "DELETE"] where !methods.contains(method.lowercased()) {
                let reply = try connection.get(path, method: method)
                #expect(reply.status == 405 && reply.headers["allow"] == allowed)
            }
            for method in ["PUT", "PATCH", "POST"] where !methods.contains(method.lowercased()) {
                let reply = try connection.get(path, headers: ["Content-Length": "0"], method: method)
                #expect(reply.status == 405 && reply.headers["allow"] == allowed)
            }
        }
    }

    @Test func console_IsAPageThatMayLoadNothing() throws {
        let server = try RunningServer()
        defer { server.stop() }
        let connection = try server.connect()
        let page = try connection.get("/")
        #expect(page.status == 200 && page.headers["content-type"] == "text/html; charset=utf-8")
        #expect(page.headers["content-security-policy"]?.hasPrefix("default-src 'none'; script-src 'sha256-") == true)
        #expect(page.text.hasPrefix("<!DOCTYPE html>"))
        let head = try connection.get("/", method: "HEAD")
        #expect(head.headers["content-length"] == "\(page.body.count)")
        // The server has every metric that the page reads, except the cache's, which does not exist yet.
        let metrics = try connection.get("/metrics").text
        _ = try connection.recommend("{\"history\":[]}")
        for match in page.text.matches(of: #/genrec_[a-z_]+/#) where !match.0.hasPrefix("genrec_user_cache") {
            #expect(metrics.contains(match.0), "\(match.0)")
        }
    }
}

/// Passes a connection to the only thread that uses it afterwards.
struct UncheckedBox<Value>: @unchecked Sendable {
    let value: Value
    init(_ value: Value) { self.value = value }
}
