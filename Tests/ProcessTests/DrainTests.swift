// Shutdown behind a load balancer: during the drain delay, readiness fails, and every request is still accepted and
// answered.

import Foundation
import TLSTesting
import Testing

@Suite struct DrainTests {
    private static let recommendation = "{\"history\":[{\"item\":\"anime-4-01\"}],\"k\":3}"
    /// Longer than any test: only a second signal ends the delay.
    private static let delay = ["GENREC_DRAIN_DELAY_MS": "3600000"]

    private static func request(_ path: String, _ body: String) -> String {
        "POST \(path) HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\n"
            + "Content-Length: \(body.utf8.count)\r\n\r\n\(body)"
    }

    /// Sends SIGTERM and waits until readiness fails.
    private func announce(_ server: RunningServer, _ connect: () throws -> TestConnection) throws {
        server.signal(SIGTERM)
        try awaitUnreadiness(connect)
    }

    /// Each poll uses a new connection.
    private func awaitUnreadiness(_ connect: () throws -> TestConnection) throws {
        var ready = try connect().get("/health/ready")
        while ready.status == 200 { ready = try connect().get("/health/ready") }
        #expect(ready.status == 503 && ready.text == "{\"ready\":false,\"reasons\":[\"draining\"]}")
        #expect(ready.headers["connection"] == "close")
    }

    /// A second signal, of the other kind, skips the delay. The server shuts down in order.
    private func skipDelay(_ server: RunningServer) {
        server.signal(SIGINT)
        let ended = server.waitUntilExit()
        #expect(ended.status == 0)
        #expect(ended.log.contains("draining") && ended.log.contains("stopped"), "\(ended.log)")
    }

    @Test func delay_AcceptsAndAnswersEverything_WithConnectionClose() throws {
        let server = try RunningServer(environment: Self.delay)
        let idle = try server.connect()
        #expect(try idle.get("/health/live").headers["connection"] == nil)
        let fresh = try server.connect()
        try announce(server, server.connect)
        for connection in [idle, fresh, try server.connect(), try server.connect()] {
            let reply = try connection.recommend(Self.recommendation)
            #expect(reply.status == 200)
            #expect(try reply.items().count == 3)
            #expect(reply.headers["connection"] == "close")
            #expect(try connection.isClosedByServer())
        }
        #expect(try server.connect().get("/health/live").status == 200)
        #expect(try server.connect().get("/nowhere").headers["connection"] == "close")
        skipDelay(server)
    }

    @Test func delay_AnswersPipelinedRequests_AndClosesBehindTheLast() throws {
        let server = try RunningServer(environment: Self.delay)
        try announce(server, server.connect)
        let connection = try server.connect()
        let request = Self.request("/recommend", Self.recommendation)
        try connection.send(request + request + request)
        let replies = try (0..<3).map { _ in try connection.receive() }
        #expect(replies.map(\.status) == [200, 200, 200])
        #expect(replies.map { $0.headers["connection"] } == [nil, nil, "close"])
        #expect(try connection.isClosedByServer())
        skipDelay(server)
    }

    @Test func delay_LeavesStreamsAndWhatIsAdmittedAlone() throws {
        let server = try RunningServer(
            environment: Self.delay.merging(["GENREC_SCHEDULER_MIN_WAIT_US": "1000000"]) { $1 }
        )
        let stream = try server.connect()
        let body = """
            {"history":[{"item":"anime-4-01"}],"k":20,"mode":"sequence","stream":true}
            """
        try stream.send(Self.request("/recommend", body))
        while try !server.connect().get("/metrics").text.contains("genrec_queue_depth 1\n") {}
        try announce(server, server.connect)
        server.signal(SIGTERM)
        let reply = try stream.receive()
        #expect(reply.status == 200 && !reply.isTruncated)
        #expect(try reply.lines().last?["done"] as? Bool == true)
        #expect(server.waitUntilExit().status == 0)
    }

    @Test func delay_HoldsForTheAdminListenerAndUNIXSockets() throws {
        try Genrec.withTemporaryFolder { folder in
            let admin = folder.appendingPathComponent("admin.sock").path
            let server = try RunningServer(
                environment: Self.delay.merging(["GENREC_ADMIN_LISTEN": "unix:\(admin)"]) { $1 }
            )
            let kept = try TestConnection(path: admin)
            #expect(try kept.get("/metrics").status == 200)
            try announce(server) { try TestConnection(path: admin) }
            try awaitUnreadiness(server.connect)
            for connection in [kept, try TestConnection(path: admin)] {
                let metrics = try connection.get("/metrics")
                #expect(metrics.status == 200 && metrics.headers["connection"] == "close")
            }
            skipDelay(server)
            #expect(!FileManager.default.fileExists(atPath: admin))
        }
    }

    @Test func delay_HoldsForTLS() throws {
        try Genrec.withTemporaryFolder { folder in
            let authority = try TestAuthority()
            let identity = try authority.issue("server")
            let (certificate, key) = (folder.appendingPathComponent("c.pem"), folder.appendingPathComponent("k.pem"))
            try Data(identity.certificate).write(to: certificate)
            try Data(identity.key).write(to: key)
            let server = try RunningServer(
                environment: Self.delay.merging(
                    ["GENREC_TLS_CERTIFICATE": certificate.path, "GENREC_TLS_KEY": key.path]
                ) { $1 }
            )
            func connect() throws -> TestConnection {
                try TestConnection(port: server.port, tls: TLSTestOptions(authority: authority.certificate))
            }
            let kept = try connect()
            #expect(try kept.get("/health/live").headers["connection"] == nil)
            try announce(server, connect)
            for connection in [kept, try connect()] {
                let reply = try connection.recommend(Self.recommendation)
                #expect(reply.status == 200 && reply.headers["connection"] == "close")
            }
            skipDelay(server)
        }
    }

    /// At any stage of the start. Before the server listens, the signal's default action ends it.
    @Test func signalDuringTheStart_IsNoFailure() throws {
        try Genrec.withTemporaryFolder { folder in
            for round in 0..<20 {
                let path = folder.appendingPathComponent("\(round)").path
                let errors = Pipe()
                let process = try Genrec.start(["serve", "--listen", "unix:\(path)"], errors: .pipe(errors))
                let log = StreamCollector(errors.fileHandleForReading)
                while !FileManager.default.fileExists(atPath: path), process.isRunning {}
                process.signal(SIGTERM)
                let end = process.waitUntilExit()
                let text = log.waitForEnd()
                #expect(end == .exited(0) || end == .killed(signal: SIGTERM), "\(end): \(text)")
                #expect(!text.contains("the model could not be loaded"), "\(text)")
            }
        }
    }

    @Test func delay_EndsByItself() throws {
        let server = try RunningServer(environment: ["GENREC_DRAIN_DELAY_MS": "300"])
        let idle = try server.connect()
        _ = try idle.get("/health/live")
        server.signal(SIGTERM)
        #expect(try idle.isClosedByServer())
        #expect(server.waitUntilExit().status == 0)
    }
}
