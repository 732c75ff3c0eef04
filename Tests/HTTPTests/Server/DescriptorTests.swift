// Process-wide behaviour, namely descriptors: tested in separate processes.

import Dispatch
import Glibc
import Testing

@testable import HTTP

/// The number of open descriptors of this process.
private func openDescriptors() -> Int {
    (0..<1_024).count { fcntl(Int32($0), F_GETFD) >= 0 }
}

/// Makes Dispatch open its permanent descriptors, one of them for the first timer.
private func openDispatchsOwn() throws {
    try TestServer.echoing().server.stop()
    let timer = Signal()
    DispatchQueue.global().asyncAfter(deadline: .now() + .milliseconds(1)) { timer.raise() }
    #expect(timer.wait())
}

private func request(_ client: TestClient) -> String {
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    return client.readReply()
}

@Suite(.serialized) struct DescriptorTests {
    @Test func server_leavesNoDescriptorOpen_whenStopped() async {
        await #expect(processExitsWith: .success) {
            try openDispatchsOwn()
            let before = openDescriptors()
            for round in 0..<5 {
                let server = try TestServer.echoing(loops: 3)
                let clients = try (0..<20).map { _ in try TestClient(server.address) }
                for client in clients { #expect(request(client).hasSuffix("/ 0")) }
                // Some clients leave before the server, some are cut.
                for client in clients.prefix(round * 4) { client.close() }
                server.server.stop()
            }
            // The eventfds close with the last reference to their loops, shortly after the sockets.
            #expect(TestServer.waitUntil { openDescriptors() == before })
        }
    }

    @Test func vanishingClients_leaveNothingBehind() async {
        await #expect(processExitsWith: .success) {
            let handler = TestHandler { request, exchange in
                if request.head.path == "/" { exchange.respond(HTTPResponse(status: 200)) }
            }
            try openDispatchsOwn()
            let server = try TestServer(loops: 2, handler: handler)
            _ = request(try TestClient(server.address))
            #expect(TestServer.waitUntil { server.server.connectionCount == 0 })
            let before = openDescriptors()
            for round in 0..<10 {
                let clients = try (0..<40).map { _ in try TestClient(server.address) }
                for (index, client) in clients.enumerated() {
                    client.send(index % 2 == 0 ? "GET /open HTTP/1.1\r\nHost: a\r\n\r\n" : "GET / HT")
                    if (index + round) % 3 == 0 { client.reset() } else { client.close() }
                }
                #expect(TestServer.waitUntil { server.server.connectionCount == 0 })
            }
            #expect(TestServer.waitUntil { openDescriptors() == before })
            let counts = handler.counts.value
            #expect(counts.opened == counts.closed)
        }
    }

    @Test func server_survives_whenDescriptorsRunOut() async {
        await #expect(processExitsWith: .success) {
            let server = try TestServer.echoing()
            let kept = try TestClient(server.address)
            #expect(request(kept).hasSuffix("/ 0"))
            // One more descriptor for the client of the next line, none for the server's side of it.
            let limit = rlim_t((0..<1_024).first { fcntl(Int32($0), F_GETFD) < 0 } ?? 0) + 1
            var saved = rlimit()
            getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &saved)
            var lowered = rlimit(rlim_cur: limit, rlim_max: saved.rlim_max)
            try #require(setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &lowered) == 0)
            let unlucky = try TestClient(server.address)
            // The server accepts the connection with its reserve descriptor and closes it, instead of leaving it in the
            // backlog forever.
            #expect(unlucky.readToEnd() == "")
            #expect(server.handler.counts.value.acceptFailures > 0)
            #expect(request(kept).hasSuffix("/ 0"))
            unlucky.close()
            try #require(setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &saved) == 0)
            #expect(request(try TestClient(server.address)).hasSuffix("/ 0"))
        }
    }
}
