// HTTP through TLS: the server of ServerTests.swift, under the conditions that TLS adds.

import CLinux
import Dispatch
import Glibc
import TLSTesting
import Testing

@testable import HTTP

@Suite struct TLSServerTests {
    @Test(arguments: [TLSTestVersion.tls12, .tls13], [TestKey.p256, .rsa(bits: 2_048)])
    func connection_servesManyRequests(_ version: TLSTestVersion, _ key: TestKey) throws {
        let fixture = try TLSFixture(key: key)
        let server = try fixture.server(loops: 2)
        for _ in 0..<3 {
            let client = try TestClient(server.address, tls: fixture.options(version))
            for number in 0..<20 {
                let body = String(repeating: "x", count: number * 2_000)
                client.send("POST /\(number) HTTP/1.1\r\nHost: a\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)")
                #expect(client.readReply().hasSuffix("\r\n\r\n/\(number) \(number * 2_000)"))
            }
        }
        #expect(server.handler.counts.value.fullHandshakes == 3)
    }

    @Test(arguments: [TLSTestVersion.tls12, .tls13], [1, 7])
    func bytesOneByOne_areTheSame(_ version: TLSTestVersion, _ pieceBytes: Int) throws {
        let fixture = try TLSFixture()
        let server = try fixture.server()
        let client = try TestClient(server.address, tls: fixture.options(version), pieceBytes: pieceBytes)
        for path in ["/a", "/b"] {
            client.send(getRequest(path))
            #expect(client.readReply().hasSuffix("\r\n\r\n\(path) 0"))
        }
    }

    @Test func pipelinedRequests_areAnsweredInOrder_alsoFromAnotherThread() throws {
        let fixture = try TLSFixture()
        let handler = TestHandler { request, exchange in
            let path = request.head.path
            DispatchQueue.global().async { exchange.respond(HTTPResponse(status: 200, body: Array(path.utf8))) }
        }
        let server = try fixture.server(handler: handler)
        let client = try TestClient(server.address, tls: fixture.options())
        client.send((0..<400).map { getRequest("/\($0)") }.joined())
        for number in 0..<400 { #expect(client.readReply().hasSuffix("\r\n\r\n/\(number)")) }
    }

    /// The client sends more than the read-ahead limit, so reading pauses with bytes in the socket and in OpenSSL's
    /// buffer.
    @Test func readingAhead_pausesAndGoesOn() throws {
        let fixture = try TLSFixture()
        let exchanges = Box<[HTTPExchange]>([])
        let handler = TestHandler { _, exchange in exchanges.update { $0.append(exchange) } }
        let server = try fixture.server(handler: handler) { $0.limits.readAheadBytes = 1_000 }
        let client = try TestClient(server.address, tls: fixture.options())
        let count = 500
        // Record by record, so that edges arrive while reading is paused.
        for number in 0..<count { client.send(getRequest("/\(number)")) }
        for number in 0..<count {
            #expect(TestServer.waitUntil { exchanges.value.count == number + 1 })
            guard exchanges.value.count == number + 1 else { return }
            exchanges.value[number].respond(HTTPResponse(status: 200, body: Array("\(number)".utf8)))
        }
        for number in 0..<count { #expect(client.readReply().hasSuffix("\r\n\r\n\(number)")) }
    }

    @Test(arguments: [TLSTestVersion.tls12, .tls13]) func largeBodies_passBothWays(_ version: TLSTestVersion) throws {
        let fixture = try TLSFixture()
        let handler = TestHandler { request, exchange in
            exchange.respond(HTTPResponse(status: 200, body: request.body))
        }
        let server = try fixture.server(handler: handler)
        let client = try TestClient(server.address, tls: fixture.options(version))
        let body = String(repeating: "0123456789abcdef", count: 200_000)
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)")
        let isWhole = client.readReply().hasSuffix(body)
        #expect(isWhole)
    }

    @Test func slowReader_getsEverything() throws {
        let fixture = try TLSFixture()
        let body = (0..<400_000).map { UInt8(truncatingIfNeeded: $0 &* 31 >> 3) }
        let handler = TestHandler { _, exchange in exchange.respond(HTTPResponse(status: 200, body: body)) }
        let server = try fixture.server(handler: handler)
        let client = try TestClient(server.address, tls: fixture.options(), receiveBuffer: 4_096)
        client.send(getRequest("/", "Connection: close\r\n"))
        _ = client.read(until: "\r\n\r\n")
        var received: [UInt8] = []
        while let piece = client.read(limit: 1_000) { received += piece }
        let isWhole = received == body
        #expect(isWhole)
        #expect(client.tls?.isClosed == true)
    }

    @Test func stream_reachesTheClientPieceByPiece_andHoldsItsWriter() throws {
        let fixture = try TLSFixture()
        let holds = Box(0)
        let pieces = 300
        let handler = TestHandler { _, exchange in
            let left = Box(pieces)
            let pump: @Sendable () -> Void = {
                while left.value > 0 {
                    left.update { $0 -= 1 }
                    if exchange.send([UInt8](repeating: 0x61, count: 20_000)) == .holdOn {
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
        let server = try fixture.server(handler: handler)
        let client = try TestClient(server.address, tls: fixture.options(), receiveBuffer: 4_096)
        client.send(getRequest())
        #expect(TestServer.waitUntil { holds.value > 0 })
        #expect(client.read(until: "\r\n\r\n").hasPrefix("HTTP/1.1 200 OK"))
        var count = 0
        var tail: [UInt8] = []
        while let piece = client.read() {
            count += piece.lazy.filter { $0 == 0x61 }.count
            tail = (tail + piece).suffix(7)
            if tail.elementsEqual("\r\n0\r\n\r\n".utf8) { break }
        }
        #expect(count == pieces * 20_000)
        #expect(holds.value > 1)
        client.send(getRequest())
        #expect(client.read(until: "\r\n\r\n").hasPrefix("HTTP/1.1 200 OK"))
    }

    @Test func slowReader_isCutOff_afterTheWriteStall_withoutTheClosureAlert() throws {
        let fixture = try TLSFixture()
        let handler = TestHandler { _, exchange in
            exchange.respond(HTTPResponse(status: 200, body: [UInt8](repeating: 0, count: 8_000_000)))
        }
        let server = try fixture.server(handler: handler) { $0.timeouts.writeStall = .milliseconds(100) }
        let client = try TestClient(server.address, tls: fixture.options(), receiveBuffer: 4_096)
        client.send(getRequest())
        #expect(TestServer.waitUntil { server.server.connectionCount == 0 })
        while client.read() != nil {}
        #expect(client.tls?.isClosed == false)
        #expect(handler.counts.value.records.map(\.isComplete) == [false])
    }

    /// A key update makes the server write while it reads, and its socket is full.
    @Test func keyUpdates_passWhileAReplyIsStuck() throws {
        let fixture = try TLSFixture()
        let body = [UInt8](repeating: 0x62, count: 3_000_000)
        let handler = TestHandler { request, exchange in
            let isLarge = request.head.path == "/large"
            exchange.respond(HTTPResponse(status: 200, body: isLarge ? body : Array("small".utf8)))
        }
        let server = try fixture.server(handler: handler)
        let client = try TestClient(server.address, tls: fixture.options(), receiveBuffer: 4_096)
        let stream = try #require(client.tls)
        client.send(getRequest("/large"))
        for _ in 0..<5 {
            try stream.engine.updateKeys()
            client.sendBytes(stream.engine.takeOutput())
            client.send(getRequest("/small"))
        }
        let isWhole = client.readReply().utf8.suffix(body.count).elementsEqual(body)
        #expect(isWhole)
        for _ in 0..<5 { #expect(client.readReply().hasSuffix("small")) }
    }

    @Test func unixSocket_staysPlain() throws {
        let fixture = try TLSFixture()
        var template = Array("/tmp/genrec-tls-XXXXXX".utf8CString)
        try #require(mkdtemp(&template) != nil)
        let folder = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        defer { rmdir(folder) }
        let local = ListenAddress.unix(path: "\(folder)/socket")
        let server = try fixture.server { $0.addresses.append(local) }
        let plain = try TestClient(local)
        plain.send(getRequest("/plain"))
        #expect(plain.readReply().hasSuffix("/plain 0"))
        let encrypted = try TestClient(server.address, tls: fixture.options())
        encrypted.send(getRequest("/tls"))
        #expect(encrypted.readReply().hasSuffix("/tls 0"))
        server.server.stop()
    }

    @Test func connectionsBeyondTheCap_areAnswered503() throws {
        let fixture = try TLSFixture()
        let server = try fixture.server { $0.limits.connections = 1 }
        // A handshake that has not started counts.
        let kept = try TestClient(server.address)
        #expect(TestServer.waitUntil { server.server.connectionCount == 1 })
        let refused = try TestClient(server.address, tls: fixture.options())
        #expect(refused.readToEnd().hasPrefix("HTTP/1.1 503 Service Unavailable\r\n"))
        #expect(refused.tls?.isClosed == true)
        let plain = try TestClient(server.address)
        plain.send(getRequest())
        #expect(plain.readToEnd().hasPrefix("HTTP/1.1 503 Service Unavailable\r\n"))
        kept.close()
    }

    @Test func idleServer_doesNothing() throws {
        let fixture = try TLSFixture()
        let server = try fixture.server()
        let client = try TestClient(server.address, tls: fixture.options())
        let silent = try TestClient(server.address)
        client.send(getRequest())
        _ = client.readReply()
        #expect(server.staysAsleep())
        client.send(getRequest("/again"))
        #expect(client.readReply().hasSuffix("/again 0"))
        silent.close()
    }
}

@Suite struct TLSEndingTests {
    @Test(arguments: [TLSTestVersion.tls12, .tls13])
    func lastReply_isFollowedByTheClosureAlert(_ version: TLSTestVersion) throws {
        let fixture = try TLSFixture()
        let server = try fixture.server()
        let client = try TestClient(server.address, tls: fixture.options(version))
        client.send(getRequest("/", "Connection: close\r\n"))
        #expect(client.readToEnd().hasSuffix("/ 0"))
        #expect(client.tls?.isClosed == true)
        client.close()
        #expect(TestServer.waitUntil { server.server.connectionCount == 0 })
    }

    @Test func clientsClosureAlert_isAnsweredByTheServers() throws {
        let fixture = try TLSFixture()
        let server = try fixture.server()
        let client = try TestClient(server.address, tls: fixture.options())
        client.send(getRequest())
        #expect(client.readReply().hasSuffix("/ 0"))
        try client.tls?.sayClose()
        #expect(client.readToEnd() == "")
        #expect(client.tls?.isClosed == true)
    }

    @Test func idleConnection_isEndedWithTheClosureAlert_afterItsTime() throws {
        let fixture = try TLSFixture()
        let server = try fixture.server { $0.timeouts.idle = .milliseconds(50) }
        let client = try TestClient(server.address, tls: fixture.options())
        client.send(getRequest())
        #expect(client.readReply().hasSuffix("/ 0"))
        #expect(client.readToEnd() == "")
        #expect(client.tls?.isClosed == true)
    }

    @Test func halfClosedClient_getsItsReply() throws {
        let fixture = try TLSFixture()
        let release = Signal()
        let handler = TestHandler { _, exchange in
            DispatchQueue.global().async {
                _ = release.wait()
                exchange.respond(HTTPResponse(status: 200, body: Array("late".utf8)))
            }
        }
        let server = try fixture.server(handler: handler)
        let client = try TestClient(server.address, tls: fixture.options())
        client.send(getRequest())
        try client.tls?.sayClose()
        client.shutdownWrite()
        #expect(client.read(until: "\r\n\r\n") == "HTTP/1.1 100 Continue\r\n\r\n")
        release.raise()
        #expect(client.readToEnd().hasSuffix("\r\n\r\nlate"))
        #expect(client.tls?.isClosed == true)
        #expect(handler.counts.value.cancelled == 0)
    }

    /// Ways in which a client leaves while its request is being answered.
    enum Departure: CaseIterable {
        case reset, closureAlertAndClose, closeAlone, halfCloseWithoutAlert
    }

    @Test(arguments: Departure.allCases) func vanishedClient_cancelsItsExchange(_ departure: Departure) throws {
        let fixture = try TLSFixture()
        let delivered = Signal()
        let cancelled = Signal()
        let handler = TestHandler { _, exchange in
            exchange.onCancel { cancelled.raise() }
            delivered.raise()
        }
        let server = try fixture.server(handler: handler)
        let client = try TestClient(server.address, tls: fixture.options())
        client.send(getRequest())
        #expect(delivered.wait())
        switch departure {
        case .reset: client.reset()
        case .closureAlertAndClose:
            try client.tls?.sayClose()
            client.close()
        case .closeAlone: client.close()
        // Anybody may have cut the stream, so there is no reply.
        case .halfCloseWithoutAlert: client.shutdownWrite()
        }
        #expect(cancelled.wait())
        #expect(TestServer.waitUntil { server.server.connectionCount == 0 })
        #expect(handler.counts.value.cancelled == 1)
    }

    /// To HTTP/1.0 a streamed reply ends with the connection; only the alert marks it as complete.
    @Test(arguments: [false, true]) func truncatedReply_isNotFollowedByTheClosureAlert(_ isAborted: Bool) throws {
        let fixture = try TLSFixture()
        let handler = TestHandler { _, exchange in
            exchange.start(status: 200)
            _ = exchange.send(Array("part".utf8))
            if isAborted { exchange.abort() } else { exchange.finish() }
        }
        let server = try fixture.server(handler: handler)
        let client = try TestClient(server.address, tls: fixture.options())
        client.send(getRequest(version: "1.0"))
        #expect(client.readToEnd().hasSuffix("\r\n\r\npart"))
        #expect(client.tls?.isClosed == !isAborted)
    }

    @Test func refusedRequest_getsItsReply_thoughItsBodyIsStillComing() throws {
        let fixture = try TLSFixture()
        let handler = TestHandler(
            verdict: { _ in .accept(maximumBodyBytes: 1_000) },
            answer: { _, exchange in exchange.respond(HTTPResponse(status: 200)) }
        )
        let server = try fixture.server(handler: handler)
        let client = try TestClient(server.address, tls: fixture.options())
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5000000\r\n\r\n")
        client.send([UInt8](repeating: 0, count: 5_000_000))
        #expect(client.readToEnd().hasPrefix("HTTP/1.1 413 Content Too Large\r\n"))
        #expect(client.tls?.isClosed == true)
    }

    @Test func damagedRecord_endsTheConnection() throws {
        let fixture = try TLSFixture()
        let server = try fixture.server()
        let client = try TestClient(server.address, tls: fixture.options())
        let engine = try #require(client.tls).engine
        try engine.write(Array(getRequest().utf8))
        var record = engine.takeOutput()
        record[record.count - 1] ^= 1
        client.sendBytes(record)
        #expect(client.read() == nil)
        #expect(TestServer.waitUntil { server.server.connectionCount == 0 })
        #expect(server.handler.counts.value.records.isEmpty)
    }

    @Test func drain_answersAClientThatIsShakingHands() throws {
        let fixture = try TLSFixture()
        let server = try fixture.server()
        let idle = try TestClient(server.address, tls: fixture.options())
        let client = try TestClient(server.address)
        #expect(TestServer.waitUntil { server.server.connectionCount == 2 })
        let drained = Signal()
        server.server.drain(timeoutNanoseconds: 60_000_000_000) { _ in drained.raise() }
        #expect(idle.readToEnd() == "")
        #expect(idle.tls?.isClosed == true)
        try client.startTLS(fixture.options())
        client.send(getRequest())
        let reply = client.readToEnd()
        #expect(reply.contains("\r\nConnection: close\r\n") && reply.hasSuffix("/ 0"))
        client.close()
        #expect(drained.wait())
    }
}
