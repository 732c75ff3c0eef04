// Hostile and unlucky clients against the real binary, small enough for seconds. Tests/Benchmarks/crowd.py does the
// same with ten thousand connections, and attacks.sh with slowhttptest.

import Foundation
import Testing

@Suite struct AttackTests {
    private static let request =
        "POST /recommend HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\nContent-Length: 14\r\n\r\n{\"history\":[]}"

    /// Open descriptors of the server.
    private static func descriptors(of server: RunningServer) throws -> Int {
        try FileManager.default.contentsOfDirectory(atPath: "/proc/\(server.processIdentifier)/fd").count
    }

    /// Resident memory of the server in KiB.
    private static func residentMemory(of server: RunningServer) throws -> Int {
        let status = try String(contentsOfFile: "/proc/\(server.processIdentifier)/status", encoding: .utf8)
        let line = try #require(status.split(separator: "\n").first { $0.hasPrefix("VmRSS:") })
        return try #require(Int(line.filter(\.isNumber)))
    }

    /// The value of a metric without labels.
    private static func metric(_ name: String, _ connection: TestConnection) throws -> Int {
        let text = try connection.get("/metrics").text
        let line = try #require(text.split(separator: "\n").first { $0.hasPrefix("\(name) ") })
        return try #require(Int(line.dropFirst(name.utf8.count + 1)))
    }

    @Test func drippingAndIdleConnections_LeaveTheOthersServed() throws {
        let server = try RunningServer()
        defer { server.stop() }
        let crowd = try (0..<400).map { _ in try server.connect() }
        let served = try server.connect()
        for (index, byte) in Self.request.utf8.enumerated() {
            // Half of them send byte by byte, the other half send nothing.
            for connection in crowd[..<200] { try connection.send([byte]) }
            if index % 8 == 0 { #expect(try served.get("/health/live").status == 200) }
        }
        for connection in crowd[..<200] { #expect(try connection.receive().status == 200) }
    }

    @Test func clientsThatVanishMidRequest_LeaveNeitherDescriptorsNorMemory() throws {
        let server = try RunningServer()
        defer { server.stop() }
        let watcher = try server.connect()
        func wave() throws {
            let crowd = try (0..<300).map { _ in try server.connect() }
            for (index, connection) in crowd.enumerated() {
                // Cut in the head, in the body, or with a complete request and an unread reply.
                let cut = [20, Self.request.utf8.count - 5, Self.request.utf8.count][index % 3]
                try connection.send(Array(Self.request.utf8.prefix(cut)))
                if index % 2 == 0 { connection.reset() }
            }
        }
        func settle() throws {
            while try Self.metric("genrec_http_connections", watcher) > 1 {}
        }
        try wave()
        try settle()
        let (descriptors, memory) = (try Self.descriptors(of: server), try Self.residentMemory(of: server))
        for _ in 0..<5 {
            try wave()
            try settle()
        }
        #expect(try Self.descriptors(of: server) == descriptors)
        // 1500 connections: a leak of one buffer each would be 100 MB, of one object each still 2 MB.
        #expect(try Genrec.isSanitized || Self.residentMemory(of: server) < memory + 2_000)
    }

    @Test func serverWithoutDescriptors_GoesOn_AndRecovers() throws {
        let server = try RunningServer()
        defer { server.stop() }
        let kept = try server.connect()
        #expect(try kept.get("/health/live").status == 200)
        // Eight more descriptors, and no others.
        let limit = try Self.descriptors(of: server) + 8
        let prlimit = try Genrec.run(
            program: "/usr/bin/prlimit",
            ["--pid", "\(server.processIdentifier)", "--nofile=\(limit):\(limit)"]
        )
        try #require(prlimit.status == 0)
        do {
            let crowd = try (0..<40).map { _ in try server.connect() }
            // The first connections are served; the others are closed instead of waiting forever.
            try crowd[0].send(Self.request)
            #expect(try crowd[0].receive().status == 200)
            for connection in crowd[20...] { #expect(try connection.isClosedByServer()) }
            #expect(try kept.get("/health/live").status == 200)
        }
        while try Self.metric("genrec_http_connections", kept) > 1 {}
        #expect(try server.connect().get("/health/live").status == 200)
    }

    @Test func connectionsBeyondTheCap_AreAnswered503() throws {
        let server = try RunningServer(environment: ["GENREC_HTTP_MAX_CONNECTIONS": "3"])
        defer { server.stop() }
        let kept = try (0..<3).map { _ in try server.connect() }
        for connection in kept { #expect(try connection.get("/health/live").status == 200) }
        for _ in 0..<5 {
            let refused = try server.connect()
            let reply = try refused.receive()
            #expect(reply.status == 503 && reply.headers["retry-after"] != nil)
            #expect(reply.headers["content-type"] == "application/problem+json")
            #expect(try refused.isClosedByServer())
        }
        #expect(try kept[0].get("/health/live").status == 200)
    }

    @Test func brokenPipes_DoNotEndTheServer() throws {
        let server = try RunningServer(environment: ["GENREC_LOG_LEVEL": "debug"])
        defer { server.stop() }
        let connection = try server.connect()
        server.signal(SIGPIPE)
        #expect(try connection.get("/health/live").status == 200)
        // A reply to a client that has left.
        for _ in 0..<20 {
            let gone = try server.connect()
            try gone.send(String(repeating: Self.request, count: 20))
            gone.reset()
        }
        #expect(try connection.get("/health/live").status == 200)
        #expect(server.isRunning)
    }

    @Test func secondSignal_EndsADrainingServerAtOnce() throws {
        let server = try RunningServer(environment: ["GENREC_LIMITS_MAX_K": "100000"])
        let connection = try server.connect()
        let body = """
            {"history":{"items":["anime-4-01"]},"k":100000,"mode":"sequence","exclude":{"seen":false},"stream":true}
            """
        try connection.send(
            "POST /recommend HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\n"
                + "Content-Length: \(body.utf8.count)\r\n\r\n\(body)"
        )
        _ = try connection.receive(until: "\"rank\":1}\n")
        // A draining server has no listener.
        server.signal(SIGTERM)
        while (try? server.connect()) != nil {}
        #expect(server.isRunning)
        server.signal(SIGINT)
        let ended = server.waitUntilExit()
        #expect(ended.status == 1 && ended.log.contains("a second signal ends the process immediately"))
    }
}
