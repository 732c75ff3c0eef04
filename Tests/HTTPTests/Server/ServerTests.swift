// The whole server over real sockets, on ports chosen by the kernel.

import CLinux
import Dispatch
import Glibc
import Testing

@testable import HTTP

private func get(_ path: String, _ fields: String = "") -> String {
    "GET \(path) HTTP/1.1\r\nHost: a\r\n\(fields)\r\n"
}

private func post(_ path: String, _ body: String) -> String {
    "POST \(path) HTTP/1.1\r\nHost: a\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)"
}

@Suite struct ServerTests {
    @Test(arguments: [1, 2]) func connection_servesManyRequests(_ loops: Int) throws {
        let server = try TestServer.echoing(loops: loops)
        for _ in 0..<4 {
            let client = try TestClient(server.address)
            for number in 0..<20 {
                client.send(post("/\(number)", String(repeating: "x", count: number * 100)))
                let reply = client.readReply()
                #expect(reply.hasPrefix("HTTP/1.1 200 OK\r\nDate: "))
                #expect(reply.hasSuffix("\r\n\r\n/\(number) \(number * 100)"))
            }
        }
    }

    @Test func pipelinedRequests_areAnsweredInOrder() throws {
        let server = try TestServer.echoing()
        let client = try TestClient(server.address)
        client.send((0..<200).map { post("/\($0)", "body") }.joined())
        for number in 0..<200 { #expect(client.readReply().hasSuffix("\r\n\r\n/\(number) 4")) }
    }

    @Test func pipelinedRequests_areAnsweredInOrder_fromAnotherThread() throws {
        let handler = TestHandler { request, exchange in
            let path = request.head.path
            DispatchQueue.global().async { exchange.respond(HTTPResponse(status: 200, body: Array(path.utf8))) }
        }
        let server = try TestServer(handler: handler)
        let client = try TestClient(server.address)
        client.send((0..<200).map { get("/\($0)") }.joined())
        for number in 0..<200 { #expect(client.readReply().hasSuffix("\r\n\r\n/\(number)")) }
    }

    @Test func largeBodies_passBothWays() throws {
        let handler = TestHandler { request, exchange in
            exchange.respond(HTTPResponse(status: 200, body: request.body))
        }
        let server = try TestServer(handler: handler)
        let client = try TestClient(server.address)
        let body = String(repeating: "0123456789abcdef", count: 200_000)
        DispatchQueue.global().async { [fd = client.fd] in
            let bytes = Array(post("/", body).utf8)
            var sent = 0
            while sent < bytes.count {
                let count = bytes[sent...].withUnsafeBytes {
                    Glibc.send(fd, $0.baseAddress, $0.count, CLinux_MSG_NOSIGNAL)
                }
                if count <= 0 { return }
                sent += count
            }
        }
        #expect(client.readReply().hasSuffix(body))
    }

    @Test func drippingRequest_doesNotDelayOthers() throws {
        let server = try TestServer.echoing()
        let slow = try TestClient(server.address)
        let quick = try TestClient(server.address)
        for byte in get("/slow").utf8 {
            slow.send([byte])
            quick.send(get("/quick"))
            #expect(quick.readReply().hasSuffix("/quick 0"))
        }
        #expect(slow.readReply().hasSuffix("/slow 0"))
    }

    @Test func halfClosedClient_getsItsReply() throws {
        let release = Signal()
        let handler = TestHandler { _, exchange in
            DispatchQueue.global().async {
                _ = release.wait()
                exchange.respond(HTTPResponse(status: 200, body: Array("late".utf8)))
            }
        }
        let server = try TestServer(handler: handler)
        let client = try TestClient(server.address)
        client.send(get("/"))
        client.shutdownWrite()
        // The probe arrives first, and the client, which is alive, skips it.
        #expect(client.read(until: "\r\n\r\n") == "HTTP/1.1 100 Continue\r\n\r\n")
        release.raise()
        #expect(client.readToEnd().hasSuffix("\r\n\r\nlate"))
        #expect(handler.counts.value.cancelled == 0)
    }

    @Test(arguments: [false, true]) func vanishedClient_cancelsItsExchange(_ byReset: Bool) throws {
        let delivered = Signal()
        let cancelled = Signal()
        let handler = TestHandler { _, exchange in
            exchange.onCancel { cancelled.raise() }
            delivered.raise()
        }
        let server = try TestServer(handler: handler)
        let client = try TestClient(server.address)
        client.send(get("/"))
        #expect(delivered.wait())
        if byReset { client.reset() } else { client.close() }
        #expect(cancelled.wait())
        #expect(TestServer.waitUntil { server.server.connectionCount == 0 })
        #expect(handler.counts.value.cancelled == 1)
    }

    @Test func refusedRequest_getsItsReply_thoughItsBodyIsStillComing() throws {
        let handler = TestHandler(
            verdict: { _ in .accept(maximumBodyBytes: 1_000) },
            answer: { _, exchange in exchange.respond(HTTPResponse(status: 200)) }
        )
        let server = try TestServer(handler: handler)
        let client = try TestClient(server.address)
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5000000\r\n\r\n")
        client.send([UInt8](repeating: 0, count: 5_000_000))
        let reply = client.readToEnd()
        #expect(reply.hasPrefix("HTTP/1.1 413 Content Too Large\r\n"))
        #expect(reply.hasSuffix("The body of the request is longer than 1000 bytes."))
    }

    @Test func leftOutField_isReported() throws {
        let handler = TestHandler { _, exchange in
            exchange.respond(HTTPResponse(status: 200, headers: [("X-Id", "a\r\nX-Evil: b")]))
        }
        let server = try TestServer(handler: handler)
        let client = try TestClient(server.address)
        client.send(get("/"))
        #expect(!client.readReply().contains("X-Evil"))
        #expect(TestServer.waitUntil { handler.counts.value.leftOut == 1 })
    }

    @Test func durationOfAReply_includesItsHandler() throws {
        let worked: UInt64 = 1_000_000
        let handler = TestHandler { request, exchange in
            while Syscall.now() < request.receivedAt + worked {}
            exchange.respond(HTTPResponse(status: 200))
        }
        let server = try TestServer(handler: handler)
        let client = try TestClient(server.address)
        client.send(get("/"))
        _ = client.readReply()
        #expect(TestServer.waitUntil { !handler.counts.value.records.isEmpty })
        #expect(handler.counts.value.records.allSatisfy { $0.durationNanoseconds >= worked })
    }

    @Test func events_balance() throws {
        let server = try TestServer.echoing()
        for _ in 0..<10 {
            let client = try TestClient(server.address)
            client.send(get("/", "Connection: close\r\n"))
            #expect(client.readToEnd().hasSuffix("/ 0"))
        }
        #expect(TestServer.waitUntil { server.handler.counts.value.closed == 10 })
        let counts = server.handler.counts.value
        #expect(counts.opened == 10)
        #expect(counts.records.count == 10)
        #expect(counts.records.allSatisfy { $0.isComplete && $0.isFromHandler && $0.status == 200 })
    }

    @Test func idleServer_doesNothing() throws {
        let server = try TestServer.echoing()
        let client = try TestClient(server.address)
        client.send(get("/"))
        _ = client.readReply()
        #expect(server.staysAsleep())
        client.send(get("/again"))
        #expect(client.readReply().hasSuffix("/again 0"))
    }

    /// Each server has one short time-out, so that on a slow machine no other one fires first.
    @Test func timeouts_workOverSockets() throws {
        let short = Duration.milliseconds(50)
        let silent = try TestServer.echoing { $0.timeouts.firstByte = short }
        #expect(try TestClient(silent.address).readToEnd() == "")
        let slow = try TestServer.echoing { $0.timeouts.header = short }
        let half = try TestClient(slow.address)
        half.send("GET / HT")
        #expect(half.readToEnd().hasPrefix("HTTP/1.1 408 Request Timeout\r\n"))
        let idle = try TestServer.echoing { $0.timeouts.idle = short }
        let client = try TestClient(idle.address)
        client.send(get("/"))
        #expect(client.readReply().hasSuffix("/ 0"))
        #expect(client.readToEnd() == "")
    }

    @Test func repliesFromAnotherThread_doNotWakeALoopThatIsAwake() throws {
        let count = 64
        let exchanges = Box<[HTTPExchange]>([])
        let entered = Signal()
        let release = Signal()
        let handler = TestHandler { request, exchange in
            if request.head.path == "/block" {
                entered.raise()
                _ = release.wait()
                exchange.respond(HTTPResponse(status: 200))
            } else {
                exchanges.update { $0.append(exchange) }
            }
        }
        let server = try TestServer(handler: handler)
        let clients = try (0..<count).map { _ in try TestClient(server.address) }
        for client in clients { client.send(get("/")) }
        #expect(TestServer.waitUntil { exchanges.value.count == count })
        let blocker = try TestClient(server.address)
        blocker.send(get("/block"))
        #expect(entered.wait())
        let before = server.server.wakeUps
        for exchange in exchanges.value { exchange.respond(HTTPResponse(status: 200)) }
        #expect(server.server.wakeUps == before)
        release.raise()
        for client in clients { #expect(client.readReply().hasPrefix("HTTP/1.1 200 OK")) }
    }
}

@Suite struct StreamingServerTests {
    @Test func stream_reachesTheClientPieceByPiece() throws {
        let exchanges = Box<[HTTPExchange]>([])
        let handler = TestHandler { _, exchange in
            exchange.start(status: 200, headers: [("Content-Type", "application/x-ndjson")])
            exchanges.update { $0.append(exchange) }
        }
        let server = try TestServer(handler: handler)
        let client = try TestClient(server.address)
        client.send(get("/"))
        #expect(client.read(until: "\r\n\r\n").contains("\r\nTransfer-Encoding: chunked\r\n"))
        let exchange = try #require(exchanges.value.first)
        for number in 0..<5 {
            #expect(exchange.send(Array("item \(number)\n".utf8)) == .sent)
            #expect(client.read(until: "\n\r\n") == "7\r\nitem \(number)\n\r\n")
        }
        exchange.finish()
        #expect(client.read(until: "0\r\n\r\n") == "0\r\n\r\n")
        client.send(get("/"))
        #expect(client.read(until: "\r\n\r\n").hasPrefix("HTTP/1.1 200 OK"))
    }

    @Test func abortedStream_endsWithoutTheLastChunk() throws {
        let handler = TestHandler { _, exchange in
            exchange.start(status: 200)
            _ = exchange.send(Array("part".utf8))
            exchange.abort()
        }
        let server = try TestServer(handler: handler)
        let client = try TestClient(server.address)
        client.send(get("/"))
        #expect(client.readToEnd().hasSuffix("\r\n\r\n4\r\npart\r\n"))
    }

    @Test func slowReader_holdsItsWriter_andGetsEverything() throws {
        let pieces = 400
        let pieceBytes = 20_000
        let holds = Box(0)
        let handler = TestHandler { _, exchange in
            let left = Box(pieces)
            let pump: @Sendable () -> Void = {
                while left.value > 0 {
                    left.update { $0 -= 1 }
                    if exchange.send([UInt8](repeating: 0x61, count: pieceBytes)) == .holdOn {
                        holds.update { $0 += 1 }
                        return
                    }
                }
                exchange.finish()
            }
            exchange.onWritable(pump)
            exchange.start(status: 200)
            pump()
        }
        let server = try TestServer(handler: handler)
        let client = try TestClient(server.address, receiveBuffer: 4_096)
        client.send(get("/"))
        // The writer blocks while the client does not read.
        #expect(TestServer.waitUntil { holds.value > 0 })
        client.send(get("/last", "Connection: close\r\n"))
        var count = 0
        var tail: [UInt8] = []
        while let piece = client.read() {
            count += piece.lazy.filter { $0 == 0x61 }.count
            tail = (tail + piece).suffix(7)
            if tail.ends(with: "\r\n0\r\n\r\n") { break }
        }
        #expect(count >= pieces * pieceBytes)
        #expect(holds.value > 1)
    }

    @Test func slowReader_isCutOff_afterTheWriteStall() throws {
        let cancelled = Signal()
        let handler = TestHandler { _, exchange in
            exchange.onCancel { cancelled.raise() }
            exchange.start(status: 200)
            while exchange.send([UInt8](repeating: 0, count: 50_000)) == .sent {}
            _ = exchange.send([UInt8](repeating: 0, count: 900_000))
        }
        let server = try TestServer(handler: handler) { $0.timeouts.writeStall = .milliseconds(100) }
        let client = try TestClient(server.address, receiveBuffer: 4_096)
        client.send(get("/"))
        #expect(cancelled.wait())
        #expect(TestServer.waitUntil { server.server.connectionCount == 0 })
        #expect(handler.counts.value.records.map(\.isComplete) == [false])
    }
}

@Suite struct ListenerTests {
    @Test(arguments: [1, 3]) func unixSocket_isServed_andRemoved(_ loops: Int) throws {
        let folder = try temporaryFolder()
        defer { rmdir(folder) }
        let address = ListenAddress.unix(path: "\(folder)/socket")
        let seen = Box<[PeerAddress]>([])
        let handler = TestHandler { request, exchange in
            seen.update { $0.append(request.head.peer) }
            exchange.respond(HTTPResponse(status: 200))
        }
        let server = try TestServer(listen: [address], loops: loops, handler: handler)
        #expect(server.addresses == [address])
        for _ in 0..<5 {
            let client = try TestClient(address)
            client.send(get("/"))
            #expect(client.readReply().hasPrefix("HTTP/1.1 200 OK"))
        }
        #expect(seen.value.allSatisfy { $0 == .local && $0.isLoopback })
        server.server.stop()
        #expect(access("\(folder)/socket", F_OK) != 0)
    }

    @Test func unixClient_thatVanishes_cancelsItsExchange() throws {
        let folder = try temporaryFolder()
        defer { rmdir(folder) }
        let cancelled = Signal()
        let delivered = Signal()
        let handler = TestHandler { _, exchange in
            exchange.onCancel { cancelled.raise() }
            delivered.raise()
        }
        let server = try TestServer(listen: [.unix(path: "\(folder)/socket")], handler: handler)
        let client = try TestClient(server.address)
        client.send(get("/"))
        #expect(delivered.wait())
        client.close()
        #expect(cancelled.wait())
    }

    @Test func unixSocket_leftByADeadServer_isReplaced_andALivingOneIsNot() throws {
        let folder = try temporaryFolder()
        defer { rmdir(folder) }
        let address = ListenAddress.unix(path: "\(folder)/socket")
        let left = CLinux_stream_socket(CLinux_AF_UNIX)
        try #require(try address.socketAddress().withSockaddr { bind(left, $0, $1) } == 0)
        close(left)
        let server = try TestServer.echoing(listen: [address])
        #expect(throws: HTTPError(.cannotListen, "")) { try TestServer.echoing(listen: [address]) }
        let client = try TestClient(address)
        client.send(get("/"))
        #expect(client.readReply().hasSuffix("/ 0"))
        server.server.stop()
    }

    @Test func ipv6AndBothFamilies_areServed() throws {
        let probe = CLinux_stream_socket(CLinux_AF_INET6)
        guard probe >= 0 else { return }
        close(probe)
        let server = try TestServer.echoing(listen: [.tcp(host: "*", port: 0), .tcp(host: "::1", port: 0)])
        guard case .tcp(_, let anyPort) = server.addresses[0] else { return }
        #expect(anyPort != 0)
        let targets = [
            ListenAddress.tcp(host: "127.0.0.1", port: anyPort), .tcp(host: "::1", port: anyPort), server.addresses[1],
        ]
        for target in targets {
            let client = try TestClient(target)
            client.send(get("/"))
            #expect(client.readReply().hasSuffix("/ 0"), "\(target)")
        }
    }

    @Test func takenPort_isAnErrorThatNamesIt() throws {
        let server = try TestServer.echoing(loops: 2)
        do {
            _ = try TestServer.echoing(listen: [server.address])
            Issue.record("listened on a taken port")
        } catch let error as HTTPError {
            #expect(error.code == .cannotListen)
            #expect(error.message.contains(server.address.description))
        }
    }

    @Test func connections_inheritNoDelay_fromTheirListener() throws {
        let (sockets, bound, _) = try ListenSocket.open(.tcp(host: "127.0.0.1", port: 0), count: 1)
        let listener = try #require(sockets.first).fd
        defer { close(listener) }
        let client = try TestClient(bound)
        var accepted = Syscall.accept(listener).result
        _ = TestServer.waitUntil {
            if accepted == .wouldBlock { accepted = Syscall.accept(listener).result }
            return accepted != .wouldBlock
        }
        guard case .value(let fd) = accepted else {
            Issue.record("nothing to accept")
            return
        }
        var option: Int32 = 0
        var length: socklen_t = 4
        getsockopt(Int32(fd), Int32(IPPROTO_TCP), TCP_NODELAY, &option, &length)
        #expect(option == 1)
        close(Int32(fd))
        client.close()
    }

    @Test func second_start_isAnError() throws {
        let server = try TestServer.echoing()
        #expect(throws: HTTPError(.alreadyStarted, "")) { try server.server.start() }
    }

    @Test func loops_shareThePort() throws {
        let server = try TestServer.echoing(loops: 4)
        let clients = try (0..<40).map { _ in try TestClient(server.address) }
        for client in clients { client.send(get("/")) }
        for client in clients { #expect(client.readReply().hasSuffix("/ 0")) }
    }

    @Test func connectionsBeyondTheCap_areAnswered503() throws {
        let server = try TestServer.echoing { $0.limits.connections = 2 }
        let kept = try (0..<2).map { _ in try TestClient(server.address) }
        for client in kept {
            client.send(get("/"))
            #expect(client.readReply().hasSuffix("/ 0"))
        }
        let refused = try TestClient(server.address)
        refused.send(get("/"))
        let reply = refused.readToEnd()
        #expect(reply.hasPrefix("HTTP/1.1 503 Service Unavailable\r\n"))
        #expect(reply.contains("\r\nRetry-After: 1\r\n"))
        refused.close()
        kept[0].close()
        #expect(TestServer.waitUntil { server.server.connectionCount == 1 })
        let next = try TestClient(server.address)
        next.send(get("/"))
        #expect(next.readReply().hasSuffix("/ 0"))
        #expect(server.handler.counts.value.refused == 1)
    }

    @Test func connectionsOfOneAddress_areAnswered503BeyondTheirCap() throws {
        let server = try TestServer.echoing { $0.limits.connectionsPerAddress = 1 }
        let first = try TestClient(server.address)
        first.send(get("/"))
        #expect(first.readReply().hasSuffix("/ 0"))
        #expect(try TestClient(server.address).readToEnd().hasPrefix("HTTP/1.1 503 "))
    }
}

extension [UInt8] {
    fileprivate func ends(with text: String) -> Bool { suffix(text.utf8.count) == Array(text.utf8)[...] }
}
