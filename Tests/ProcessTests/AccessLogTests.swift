// The access log and traces of the real binary: a line for each request, spans at a small collector.

import Foundation
import Synchronization
import Testing

/// A minimal collector: accepts POSTs, answers 200, keeps the bodies.
private final class Collector: Sendable {
    let port: UInt16
    private let listener: Int32
    private let bodies = Mutex<[[UInt8]]>([])

    init() throws {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isBound = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic in
                bind(descriptor, generic, length) == 0 && listen(descriptor, 16) == 0
                    && getsockname(descriptor, generic, &length) == 0
            }
        }
        guard isBound else { throw Genrec.Failure(description: "no collector: \(errno)") }
        listener = descriptor
        port = UInt16(bigEndian: address.sin_port)
        Thread.detachNewThread { [self] in
            while true {
                let connection = accept(listener, nil, nil)
                guard connection >= 0 else { return }
                take(connection)
            }
        }
    }

    /// Wakes the thread, which keeps the collector alive.
    func stop() { shutdown(listener, Int32(SHUT_RDWR)) }

    private func take(_ connection: Int32) {
        defer { close(connection) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            if let end = bytes.firstRange(of: Array("\r\n\r\n".utf8)) {
                let head = String(decoding: bytes[..<end.lowerBound], as: UTF8.self)
                guard head.hasPrefix("POST /v1/traces HTTP/1.1\r\n"),
                    let match = head.firstMatch(of: #/Content-Length: (\d+)/#), let length = Int(match.1)
                else { return }
                if bytes.count >= end.upperBound + length {
                    bodies.withLock { $0.append(Array(bytes[end.upperBound...])) }
                    let reply = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"
                    _ = Glibc.send(connection, reply, reply.utf8.count, Int32(MSG_NOSIGNAL))
                    return
                }
            }
            let count = recv(connection, &buffer, buffer.count, 0)
            guard count > 0 else { return }
            bytes += buffer[..<count]
        }
    }

    /// The spans of all batches so far.
    func spans() throws -> [[String: Any]] {
        try bodies.withLock { $0 }.flatMap { body -> [[String: Any]] in
            let object = try JSONSerialization.jsonObject(with: Data(body)) as? [String: Any]
            let resources = object?["resourceSpans"] as? [[String: Any]] ?? []
            let scopes = resources.flatMap { $0["scopeSpans"] as? [[String: Any]] ?? [] }
            return scopes.flatMap { $0["spans"] as? [[String: Any]] ?? [] }
        }
    }
}

@Suite struct AccessLogTests {
    private static let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    private static let keys: Set<String> = [
        "time", "request_id", "trace_id", "client", "route", "method", "status", "bytes_in", "bytes_out", "duration_ms",
        "queue_ms", "prefill_ms", "decode_ms", "model", "version", "source", "k", "history", "cached", "outcome",
        "user",
    ]
    private static let call = "{\"user_id\":\"ann\",\"history\":[{\"item\":\"anime-4-01\"}],\"k\":3}"

    private func lines(_ path: URL) throws -> [[String: Any]] {
        try String(contentsOf: path, encoding: .utf8).split(separator: "\n").map { line in
            let object = try JSONSerialization.jsonObject(with: Data(line.utf8))
            return try #require(object as? [String: Any], "\(line)")
        }
    }

    @Test func everyRequest_HasALine_WithoutTheUsersName() throws {
        try Genrec.withTemporaryFolder { folder in
            let file = folder.appendingPathComponent("access.log")
            let server = try RunningServer(environment: [
                "GENREC_LOG_ACCESS": "json", "GENREC_LOG_ACCESS_FILE": file.path,
            ])
            let connection = try server.connect()
            let first = try connection.recommend(
                Self.call,
                headers: ["traceparent": Self.parent, "X-Request-Id": "one"]
            )
            #expect(first.headers["traceparent"]?.hasPrefix("00-0af7651916cd43dd8448eb211c80319c-") == true)
            #expect(try connection.recommend(Self.call).headers["traceparent"] == nil)
            #expect(try connection.recommend("{").status == 400)
            #expect(try connection.get("/nowhere").status == 404)
            #expect(try connection.get("/health/live").status == 200)
            let malformed = try server.connect()
            try malformed.send("what\r\n\r\n")
            #expect(try malformed.receive().status == 400)
            // The server writes the line when the reply has ended, which the reader may see first; its shutdown flushes
            // every line.
            #expect(server.stop().status == 0)
            let lines = try lines(file)
            #expect(lines.map { $0["status"] as? Int } == [200, 200, 400, 404, 200, 400])
            for line in lines { #expect(Set(line.keys) == Self.keys) }
            #expect(lines[0]["request_id"] as? String == "one")
            #expect(lines[0]["trace_id"] as? String == "0af7651916cd43dd8448eb211c80319c")
            #expect(lines[0]["route"] as? String == "/recommend" && lines[0]["method"] as? String == "POST")
            #expect(lines[0]["outcome"] as? String == "ok" && lines[0]["source"] as? String == "model")
            #expect(lines[0]["k"] as? Int == 3 && lines[0]["history"] as? Int == 1)
            #expect(lines[0]["model"] as? String == "demo")
            #expect((lines[0]["user"] as? String)?.count == 16)
            #expect(lines[0]["user"] as? String == lines[1]["user"] as? String)
            #expect(lines[1]["cached"] is Int)
            #expect(lines[2]["outcome"] as? String == "invalid")
            #expect(lines[3]["route"] as? String == "none" && lines[3]["request_id"] is String)
            #expect(try !String(contentsOf: file, encoding: .utf8).contains("ann"))
        }
    }

    @Test func sample_LeavesOutSuccesses_AndNoErrors() throws {
        try Genrec.withTemporaryFolder { folder in
            let file = folder.appendingPathComponent("access.log")
            let server = try RunningServer(environment: [
                "GENREC_LOG_ACCESS": "text", "GENREC_LOG_ACCESS_FILE": file.path, "GENREC_LOG_ACCESS_SAMPLE": "0",
            ])
            let connection = try server.connect()
            for _ in 0..<20 { #expect(try connection.get("/health/live").status == 200) }
            #expect(try connection.get("/nowhere").status == 404)
            #expect(server.stop().status == 0)
            let text = try String(contentsOf: file, encoding: .utf8)
            #expect(text.split(separator: "\n").count == 1)
            #expect(text.contains(" route=none method=GET status=404 "), "\(text)")
        }
    }

    @Test func hangUp_OpensTheFileAgain() throws {
        try Genrec.withTemporaryFolder { folder in
            let file = folder.appendingPathComponent("access.log")
            let old = folder.appendingPathComponent("access.log.1")
            let server = try RunningServer(environment: [
                "GENREC_LOG_ACCESS": "json", "GENREC_LOG_ACCESS_FILE": file.path,
            ])
            let connection = try server.connect()
            #expect(try connection.get("/health/live").status == 200)
            // Another thread writes the line.
            while try lines(file).isEmpty {}
            try FileManager.default.moveItem(at: file, to: old)
            server.signal(SIGHUP)
            while !FileManager.default.fileExists(atPath: file.path) {}
            // Until then lines go to the old file.
            while try lines(file).isEmpty { #expect(try connection.get("/health/live").status == 200) }
            #expect(server.stop().status == 0)
            #expect(try !lines(old).isEmpty && !lines(file).isEmpty)
        }
    }

    @Test func spans_ReachTheCollector_BelowTheCallersSpan() throws {
        let collector = try Collector()
        defer { collector.stop() }
        let server = try RunningServer(environment: [
            "GENREC_TELEMETRY_OTLP_ENDPOINT": "http://127.0.0.1:\(collector.port)", "GENREC_TELEMETRY_SAMPLE": "0",
        ])
        let connection = try server.connect()
        let recorded = try connection.recommend(Self.call, headers: ["traceparent": Self.parent, "tracestate": "a=1"])
        // Neither the caller nor the sampling share traces this request.
        #expect(try connection.recommend(Self.call).headers["traceparent"]?.hasSuffix("-00") == true)
        #expect(server.stop().status == 0)
        let spans = try collector.spans()
        let root = try #require(spans.first { $0["kind"] as? Int == 2 })
        #expect(spans.count { $0["kind"] as? Int == 2 } == 1)
        #expect(root["name"] as? String == "POST /recommend")
        #expect(root["traceId"] as? String == "0af7651916cd43dd8448eb211c80319c")
        #expect(root["parentSpanId"] as? String == "b7ad6b7169203331" && root["traceState"] as? String == "a=1")
        let id = try #require(root["spanId"] as? String)
        #expect(recorded.headers["traceparent"] == "00-0af7651916cd43dd8448eb211c80319c-\(id)-01")
        func time(_ span: [String: Any], _ key: String) throws -> UInt64 {
            let text = try #require(span[key] as? String)
            return try #require(UInt64(text))
        }
        let parts = spans.filter { $0["kind"] as? Int == 1 }
        #expect(
            Set(parts.compactMap { $0["name"] as? String }).isSuperset(of: ["queue", "prefill", "decode", "encode"])
        )
        for part in parts {
            #expect(part["parentSpanId"] as? String == id)
            #expect(try time(part, "startTimeUnixNano") >= time(root, "startTimeUnixNano"))
            #expect(try time(part, "endTimeUnixNano") <= time(root, "endTimeUnixNano"))
        }
    }

    @Test func collectorThatIsAway_CostsSpans_AndNothingElse() throws {
        let server = try RunningServer(environment: [
            "GENREC_TELEMETRY_OTLP_ENDPOINT": "http://127.0.0.1:1", "GENREC_TELEMETRY_SAMPLE": "1",
        ])
        let connection = try server.connect()
        for _ in 0..<50 { #expect(try connection.recommend(Self.call).status == 200) }
        var text = ""
        repeat { text = try connection.get("/metrics").text } while text.contains("genrec_spans_dropped_total 0.0\n")
        #expect(text.contains("genrec_spans_exported_total 0.0\n"))
        let ended = server.stop()
        #expect(ended.status == 0)
        #expect(ended.log.components(separatedBy: "the collector does not accept spans").count == 2, "\(ended.log)")
    }

    @Test(arguments: [
        ("GENREC_TELEMETRY_OTLP_ENDPOINT", "https://agent:4318"), ("GENREC_TELEMETRY_SAMPLE", "1.5"),
        ("GENREC_LOG_ACCESS_SAMPLE", "nan"), ("GENREC_LOG_ACCESS", "yes"),
    ])
    func unusableSetting_EndsTheStart(_ key: String, _ value: String) throws {
        let ended = try Genrec.run(["serve", "--listen", "127.0.0.1:0"], environment: [key: value])
        #expect(ended.status == 1)
        let name = key.dropFirst("GENREC_".count).lowercased()
        #expect(ended.standardError.replacing("_", with: ".").contains(name.replacing("_", with: ".")))
    }
}
