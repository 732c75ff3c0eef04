// API keys, roles, the routes that need no key, and the admin listener.

import Foundation
import Testing

@Suite struct AccessTests {
    private static let recommendBody = "{\"history\":[],\"k\":1}"

    /// Calls `body` with a server whose keys are `caller` (recommend) and `operator` (admin), and the file they are in.
    private func withKeys(
        _ environment: [String: String] = [:],
        _ body: (RunningServer, URL) throws -> Void
    ) throws {
        try Genrec.withTemporaryFolder { folder in
            let file = folder.appendingPathComponent("keys")
            try """
            # printf %s caller | sha256sum
            \(Self.callerDigest) recommend
            # printf %s operator | sha256sum
            \(Self.operatorDigest) admin
            """.write(to: file, atomically: true, encoding: .utf8)
            let server = try RunningServer(
                environment: environment.merging(["GENREC_AUTH_KEYS_FILE": file.path]) { $1 }
            )
            defer { server.stop() }
            try body(server, file)
        }
    }

    private static let callerDigest = "61de55ba3388aec4fdf6ecfc6eef846fb0f1b13e28cc8381270c27ffa313aee5"
    private static let operatorDigest = "06e55b633481f7bb072957eabcf110c972e86691c3cfedabe088024bffe42f23"

    private static func bearer(_ key: String) -> [String: String] { ["Authorization": "Bearer \(key)"] }

    /// The status of each guarded route for a request with these headers.
    private static func statuses(_ connection: TestConnection, _ headers: [String: String]) throws -> [Int] {
        [
            try connection.post("/recommend", recommendBody, headers: headers).status,
            try connection.post("/recommend/batch", "{\"requests\":[]}", headers: headers).status,
            try connection.get("/models", headers: headers).status,
            try connection.get("/metrics", headers: headers).status,
            try connection.get("/users/u-42", headers: headers, method: "DELETE").status,
            try connection.post("/admin/reload", "", headers: headers).status,
        ]
    }

    @Test func keys_OpenWhatTheirRoleAllows_AndNothingElse() throws {
        try withKeys { server, _ in
            let connection = try server.connect()
            #expect(try Self.statuses(connection, [:]) == [401, 401, 401, 401, 401, 401])
            #expect(try Self.statuses(connection, Self.bearer("stranger")) == [401, 401, 401, 401, 401, 401])
            #expect(try Self.statuses(connection, Self.bearer("caller")) == [200, 200, 403, 403, 403, 403])
            #expect(try Self.statuses(connection, Self.bearer("operator")) == [200, 200, 200, 200, 200, 200])
            for path in ["/health/live", "/health/ready", "/openapi.json", "/"] {
                #expect(try connection.get(path).status == 200)
            }
            // Unknown paths, and replies that every path gives, are no secret.
            #expect(try connection.get("/nowhere").status == 404)
            #expect(try connection.get("/metrics", method: "DELETE").status == 405)
            #expect(try connection.get("/metrics", method: "OPTIONS").status == 204)
        }
    }

    @Test func challenge_SaysWhatIsMissing() throws {
        try withKeys { server, _ in
            let connection = try server.connect()
            func challenge(_ headers: [String: String]) throws -> String? {
                try connection.get("/metrics", headers: headers).headers["www-authenticate"]
            }
            #expect(try challenge([:]) == "Bearer realm=\"genrec\"")
            #expect(try challenge(["Authorization": "Basic b3BlcmF0b3I="]) == "Bearer realm=\"genrec\"")
            #expect(try challenge(Self.bearer("x")) == "Bearer realm=\"genrec\", error=\"invalid_token\"")
            #expect(try challenge(Self.bearer("caller")) == "Bearer realm=\"genrec\", error=\"insufficient_scope\"")
            // An intermediary could read a doubled header differently.
            try connection.send(
                "GET /metrics HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer operator\r\nAuthorization: Bearer operator\r\n\r\n"
            )
            #expect(try connection.receive().status == 401)
        }
    }

    @Test func keyIsJudgedBeforeTheBodyIsAskedFor() throws {
        try withKeys { server, _ in
            let connection = try server.connect()
            try connection.send(
                "POST /recommend HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\nExpect: 100-continue\r\n"
                    + "Content-Length: 20\r\n\r\n"
            )
            #expect(try connection.receive().status == 401)
        }
    }

    @Test func hangUp_ReadsTheKeysAgain_AndABadFileLeavesThem() throws {
        try withKeys { server, file in
            let connection = try server.connect()
            func status() throws -> Int { try connection.get("/models", headers: Self.bearer("caller")).status }
            #expect(try status() == 403)
            try "\(Self.callerDigest) admin\n".write(to: file, atomically: true, encoding: .utf8)
            #expect(try status() == 403)
            server.signal(SIGHUP)
            while try status() == 403 {}
            #expect(try status() == 200)
            #expect(try connection.get("/models", headers: Self.bearer("operator")).status == 401)
            try "caller admin\n".write(to: file, atomically: true, encoding: .utf8)
            server.signal(SIGHUP)
            #expect(try status() == 200)
            let log = server.stop().log
            #expect(log.contains("the API keys were reloaded") && log.contains("the API keys could not be reloaded"))
            #expect(log.contains("line 1"))
        }
    }

    @Test func keysAreNeverLogged() throws {
        try withKeys(["GENREC_LOG_LEVEL": "trace"]) { server, _ in
            let connection = try server.connect()
            for key in ["caller", "operator", "stranger-key"] {
                _ = try Self.statuses(connection, Self.bearer(key))
            }
            server.signal(SIGHUP)
            let log = server.stop().log
            #expect(log.contains("/metrics"))
            for word in ["stranger-key", "caller", "operator", Self.callerDigest, Self.operatorDigest, "Bearer"] {
                #expect(!log.contains(word), "\(word)")
            }
        }
    }

    @Test func badKeysFile_EndsTheStartWithOneSentence() throws {
        try Genrec.withTemporaryFolder { folder in
            let file = folder.appendingPathComponent("keys").path
            for (text, word) in [(nil, "cannot read"), ("", "no keys"), ("secret admin", "64 hexadecimal")] {
                try text?.write(toFile: file, atomically: true, encoding: .utf8)
                let output = try Genrec.run(["serve"], environment: ["GENREC_AUTH_KEYS_FILE": file])
                #expect(output.status == 1)
                #expect(output.standardError.contains(file) && output.standardError.contains(word))
                #expect(!output.standardError.contains("secret"))
            }
        }
    }

    @Test func withoutKeys_AdministrationIsForThisMachine_AndForNoWebPage() throws {
        let server = try RunningServer()
        defer { server.stop() }
        let connection = try server.connect()
        #expect(try Self.statuses(connection, [:]) == [200, 200, 200, 200, 200, 200])
        // The console is the server's own page.
        let own = ["Host": "localhost:\(server.port)", "Origin": "http://localhost:\(server.port)"]
        #expect(try Self.statuses(connection, own) == [200, 200, 200, 200, 200, 200])
        for origin in ["http://evil.example", "http://localhost:1", "http://127.0.0.1:\(server.port)", "null", ""] {
            let foreign = ["Host": "localhost:\(server.port)", "Origin": origin]
            #expect(try Self.statuses(connection, foreign) == [403, 403, 403, 403, 403, 403], "\(origin)")
        }
        // A page whose host name resolves to this machine (DNS rebinding).
        let rebound = ["Host": "evil.example:\(server.port)", "Origin": "http://evil.example:\(server.port)"]
        #expect(try Self.statuses(connection, rebound) == [403, 403, 403, 403, 403, 403])
        // Browsers send no Origin with a same-origin GET; Host reveals the page. Services may call under any host name.
        let named = ["Host": "recommender.prod.svc"]
        #expect(try Self.statuses(connection, named) == [200, 200, 403, 403, 403, 403])
        let refusal = try connection.get("/metrics", headers: named)
        #expect(refusal.text.contains("http.hosts") && refusal.headers["www-authenticate"] == nil)
        for path in ["/health/live", "/health/ready", "/openapi.json", "/"] {
            #expect(try connection.get(path, headers: rebound).status == 200)
        }
    }

    @Test func hostsOfTheConfiguration_AreTrusted() throws {
        let server = try RunningServer(environment: ["GENREC_HTTP_HOSTS": "recommender.example, GPU-1"])
        defer { server.stop() }
        let connection = try server.connect()
        for host in ["recommender.example", "Recommender.Example:8080", "gpu-1", "localhost"] {
            #expect(try Self.statuses(connection, ["Host": host]) == [200, 200, 200, 200, 200, 200], "\(host)")
        }
        // Behind a proxy that terminates TLS and replaces Host.
        let proxied = ["Host": "localhost:8080", "Origin": "https://recommender.example"]
        #expect(try Self.statuses(connection, proxied) == [200, 200, 200, 200, 200, 200])
        #expect(try Self.statuses(connection, ["Host": "gpu-2"]) == [200, 200, 403, 403, 403, 403])
    }

    @Test func keys_TakeThePlaceOfTheRuleForPages() throws {
        try withKeys { server, _ in
            let connection = try server.connect()
            let headers = Self.bearer("operator").merging(["Host": "any", "Origin": "https://any.example"]) { $1 }
            #expect(try Self.statuses(connection, headers) == [200, 200, 200, 200, 200, 200])
        }
    }

    @Test func adminListener_HasTheOperatorsRoutes_AndTheFirstHasThemNoMore() throws {
        let server = try RunningServer(environment: ["GENREC_ADMIN_LISTEN": "127.0.0.1:0"])
        defer { server.stop() }
        let callers = try server.connect()
        #expect(try Self.statuses(callers, [:]) == [200, 200, 200, 404, 404, 404])
        let admin = try TestConnection(port: try #require(server.adminPort))
        #expect(try Self.statuses(admin, [:]) == [404, 404, 404, 200, 200, 200])
        for path in ["/health/live", "/health/ready", "/openapi.json", "/"] {
            #expect(try callers.get(path).status == 200)
            #expect(try admin.get(path).status == 200)
        }
        // Each listener documents only its own paths.
        func paths(_ connection: TestConnection) throws -> Set<String> {
            Set(try #require(try connection.get("/openapi.json").json()["paths"] as? [String: Any]).keys)
        }
        #expect(try paths(callers).isDisjoint(with: ["/metrics", "/users/{user_id}", "/admin/reload"]))
        #expect(try paths(admin).isDisjoint(with: ["/recommend", "/recommend/batch", "/models"]))
        #expect(try admin.get("/metrics").text.contains("genrec_http_connections 2\n"))
    }

    @Test func adminListener_AnswersWhileTheCallersAreDrained() throws {
        let server = try RunningServer(
            environment: ["GENREC_ADMIN_LISTEN": "127.0.0.1:0", "GENREC_SCHEDULER_MIN_WAIT_US": "1000000"]
        )
        let admin = try TestConnection(port: try #require(server.adminPort))
        let connection = try server.connect()
        let body = "{\"history\":[{\"item\":\"anime-4-01\"}],\"k\":1}"
        try connection.send(
            "POST /recommend HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\n"
                + "Content-Length: \(body.utf8.count)\r\n\r\n\(body)"
        )
        try admin.expectMetrics("genrec_queue_depth 1")
        server.signal(SIGTERM)
        var ready = try admin.get("/health/ready")
        while ready.status == 200 { ready = try admin.get("/health/ready") }
        #expect(ready.status == 503 && ready.text.contains("draining"))
        #expect(try admin.post("/admin/reload", "").status == 503)
        #expect(try connection.receive().status == 200)
        #expect(server.waitUntilExit().status == 0)
    }
}
