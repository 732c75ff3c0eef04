// gzip both ways over the wire, against the gzip program.

import Foundation
import Testing

/// The output of the gzip program.
private func gzip(_ input: [UInt8], _ arguments: String...) throws -> [UInt8] {
    let (source, target) = (Pipe(), Pipe())
    let process = try Genrec.start(
        program: "/usr/bin/env",
        ["gzip"] + arguments,
        input: source.fileHandleForReading,
        output: .pipe(target)
    )
    // The inputs of these tests fit into a pipe.
    source.fileHandleForWriting.write(Data(input))
    source.fileHandleForWriting.closeFile()
    let output = target.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    return Array(output)
}

private func gunzip(_ input: [UInt8]) throws -> String {
    String(decoding: try gzip(input, "-dc"), as: UTF8.self)
}

@Suite struct CompressionTests {
    private static let call = """
        {"history":{"items":["anime-4-01","anime-4-02","anime-6-01"],"timestamps":[1700709188,1700782710,1700784705]},
        "request_time":1700800000,"k":100}
        """

    private func withServer(_ environment: [String: String] = [:], _ body: (RunningServer) throws -> Void) throws {
        let server = try RunningServer(environment: environment)
        defer { server.stop() }
        try body(server)
    }

    private func send(_ body: [UInt8], _ fields: String, over connection: TestConnection) throws -> TestReply {
        let head = "POST /recommend HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\n\(fields)\r\n"
        try connection.send(Array((head + "Content-Length: \(body.count)\r\n\r\n").utf8) + body)
        let reply = try connection.receive()
        ServedContract.check(reply, to: "POST", "/recommend")
        return reply
    }

    @Test func codedRequest_IsAnsweredAsAPlainOne_AndItsReplyCanBeCodedToo() throws {
        try withServer { server in
            let connection = try server.connect()
            let plain = try connection.recommend(Self.call)
            let coded = try send(try gzip(Array(Self.call.utf8), "-c"), "Content-Encoding: gzip", over: connection)
            #expect(coded.status == 200)
            #expect(try coded.items() == plain.items())
            #expect(coded.headers["vary"] == "Accept-Encoding" && coded.headers["content-encoding"] == nil)
            var both = try send(
                try gzip(Array(Self.call.utf8), "-c"),
                "Content-Encoding: x-gzip\r\nAccept-Encoding: gzip, br",
                over: connection
            )
            #expect(both.headers["content-encoding"] == "gzip")
            both.body = Array(try gunzip(both.body).utf8)
            #expect(try both.items() == plain.items())
        }
    }

    @Test func codedRequestThatIsNone_IsRefusedWithItsPlace() throws {
        try withServer(["GENREC_HTTP_MAX_INFLATED_BODY_BYTES": "70000"]) { server in
            let good = try gzip(Array(Self.call.utf8), "-c")
            let bomb = try gzip([UInt8](repeating: 32, count: 70_001), "-c")
            for (body, status, words) in [
                (Array(good.dropLast(3)), 400, "ends too early"), (good + [0], 400, "has data after its end"),
                (Array("plain".utf8), 400, "at byte 0"), (bomb, 413, "more than 70000 bytes"),
            ] {
                let connection = try server.connect()
                let reply = try send(body, "Content-Encoding: gzip\r\nX-Request-Id: mine", over: connection)
                #expect(reply.status == status && reply.text.contains(words), "\(reply.text)")
                #expect(reply.headers["x-request-id"] == "mine")
                #expect(try connection.isClosedByServer())
            }
            let connection = try server.connect()
            for coding in ["br", "gzip, gzip", "deflate"] {
                let reply = try send(good, "Content-Encoding: \(coding)", over: connection)
                #expect(reply.status == 415 && reply.headers["accept-encoding"] == "gzip, identity")
                #expect(reply.headers["accept-post"] == nil)
            }
        }
    }

    @Test func metricsPageAndContract_AreCoded_WithTheFieldsOfTheirHeads() throws {
        try withServer { server in
            let connection = try server.connect()
            for path in ["/metrics", "/openapi.json", "/"] {
                let reply = try connection.get(path, headers: ["Accept-Encoding": "gzip"])
                #expect(reply.headers["content-encoding"] == "gzip", "\(path)")
                #expect(try gunzip(reply.body).utf8.count > reply.body.count)
                let head = try connection.get(path, headers: ["Accept-Encoding": "gzip"], method: "HEAD")
                #expect(Set(head.headers.keys) == Set(reply.headers.keys))
                #expect(head.headers["content-encoding"] == "gzip" && head.headers["vary"] == reply.headers["vary"])
                #expect(path == "/metrics" || head.headers["content-length"] == reply.headers["content-length"])
            }
            let metrics = try connection.get("/metrics", headers: ["Accept-Encoding": "gzip"])
            #expect(metrics.headers["vary"] == "Accept, Accept-Encoding")
            #expect(try gunzip(metrics.body).contains("genrec_build_info"))
        }
    }

    @Test func stream_IsCodedRecordByRecord() throws {
        try withServer { server in
            let connection = try server.connect()
            let headers = ["Accept": "application/x-ndjson", "Accept-Encoding": "gzip"]
            let reply = try connection.recommend(Self.call, headers: headers)
            #expect(reply.headers["content-encoding"] == "gzip" && reply.headers["transfer-encoding"] == "chunked")
            #expect(!reply.isTruncated)
            #expect(try gunzip(reply.body).split(separator: "\n").count == 101)
        }
    }

    @Test func codingsThatAreAllForbidden_Are406_AndNoneAreOffered_WhenSwitchedOff() throws {
        try withServer { server in
            let connection = try server.connect()
            for accept in ["identity;q=0", "*;q=0", "gzip;q=0, *;q=0"] {
                let reply = try connection.get("/health/live", headers: ["Accept-Encoding": accept])
                #expect(reply.status == 406 && reply.headers["content-type"] == "application/problem+json")
            }
            let short = try connection.get("/health/live", headers: ["Accept-Encoding": "gzip, identity;q=0"])
            #expect(try short.status == 200 && gunzip(short.body) == "{\"live\":true}")
        }
        try withServer(["GENREC_HTTP_COMPRESSION_LEVEL": "0"]) { server in
            let connection = try server.connect()
            let metrics = try connection.get("/metrics", headers: ["Accept-Encoding": "gzip"])
            #expect(metrics.headers["content-encoding"] == nil && metrics.headers["vary"] == "Accept")
            #expect(try connection.get("/metrics", headers: ["Accept-Encoding": "gzip, *;q=0"]).status == 406)
            let coded = try send(try gzip(Array(Self.call.utf8), "-c"), "Content-Encoding: gzip", over: connection)
            #expect(coded.status == 200)
        }
    }
}
