// Whether memory grows with the number of requests, by the C library's count, in a separate process. Memory that is
// allocated and freed again does not show here.

import CLinux
import TLSTesting
import Testing

@testable import HTTP

/// Allocated heap bytes.
private func heapInUse() -> Int { Int(CLinux_heap_bytes_in_use()) }

@Suite struct AllocationTests {
    @Test func parser_keepsItsStorage_fromRequestToRequest() async {
        await #expect(processExitsWith: .success) {
            let bytes = Array(
                "POST /recommend HTTP/1.1\r\nHost: example.com\r\nUser-Agent: test\r\nContent-Type: application/json\r\nContent-Length: 4\r\n\r\n"
                    .utf8
            )
            var parser = RequestParser(limits: HTTPLimits())
            func parseOnce() -> Bool {
                defer { parser.reset() }
                return parser.parse(bytes.span) == .complete(byteCount: bytes.count)
            }
            // Twice: the second parse reuses what the first one left behind.
            #expect(parseOnce())
            #expect(parseOnce())
            let before = heapInUse()
            var isComplete = true
            for _ in 0..<1_000 { isComplete = parseOnce() && isComplete }
            let after = heapInUse()
            #expect(isComplete)
            #expect(after == before)
        }
    }

    @Test func server_doesNotGrow_withTheNumberOfRequests() async {
        await #expect(processExitsWith: .success) {
            let handler = TestHandler { request, exchange in
                exchange.respond(HTTPResponse(status: 200, body: request.body))
            }
            let server = try TestServer(handler: handler)
            let client = try TestClient(server.address)
            func exchange(_ count: Int) {
                for _ in 0..<count {
                    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello")
                    #expect(client.readReply().hasSuffix("hello"))
                    handler.counts.update { $0.records = [] }
                }
            }
            exchange(200)
            // A leak grows every time; a buffer grows once.
            let growth = (0..<3).map { _ in
                let before = heapInUse()
                exchange(2_000)
                return heapInUse() - before
            }
            // A leak of one byte per request would be 2000; the rest allows for the test's own strings.
            #expect(growth.contains { $0 < 1_000 })
        }
    }

    /// OpenSSL has buffers of two records, 34 KB, for an active connection; an idle one frees them.
    @Test(arguments: [TLSTestVersion.tls12, .tls13]) func idleTLSConnection_holdsNoBuffers(
        _ version: TLSTestVersion
    ) async {
        await #expect(processExitsWith: .success) { [version] in
            let fixture = try TLSFixture()
            let handler = TestHandler { request, exchange in
                exchange.respond(HTTPResponse(status: 200, body: request.body))
            }
            let server = try fixture.server(handler: handler)
            let body = String(repeating: "x", count: 60_000)
            func connect(_ count: Int) throws -> [TestClient] {
                try (0..<count).map { _ in
                    let client = try TestClient(server.address, tls: fixture.options(version))
                    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)")
                    let isWhole = client.readReply().hasSuffix(body)
                    #expect(isWhole)
                    client.forgetTLS()
                    return client
                }
            }
            let first = try connect(20)
            let before = heapInUse()
            let count = 100
            let clients = try connect(count)
            let each = (heapInUse() - before) / count
            #expect(each < 30_000, "\(each) bytes a connection")
            #expect(server.server.connectionCount == first.count + clients.count)
        }
    }
}
