// Accepted and refused handshakes.

import COpenSSL
import Dispatch
import Glibc
import TLSTesting
import Testing

@testable import HTTP

/// The reason with which the server fails a client's handshake, or its first read; nil: neither fails.
private func refusal(_ address: ListenAddress, _ options: TLSTestOptions) throws -> Int32? {
    do {
        let client = try TestClient(address, tls: options)
        // With TLS 1.3 the client is ready before the server has seen its certificate.
        client.send(getRequest("/", "Connection: close\r\n"))
        let stream = try #require(client.tls)
        while try stream.read(limit: 65_536) != nil {}
        return stream.isClosed ? nil : 0
    } catch let failure as TLSTestFailure {
        return failure.reason
    }
}

@Suite struct TLSHandshakeTests {
    @Test(
        arguments: [
            ([], nil), (["http/1.1"], "http/1.1"), (["h2", "http/1.1"], "http/1.1"), (["http/1.1", "h2"], "http/1.1"),
        ] as [([String], String?)]
    )
    func protocol_isChosen(_ offered: [String], _ chosen: String?) throws {
        let fixture = try TLSFixture()
        let server = try fixture.server()
        var options = fixture.options()
        options.protocols = offered
        // A name that neither the certificate contains nor the server knows.
        options.serverName = "elsewhere.example"
        let client = try TestClient(server.address, tls: options)
        #expect(client.tls?.engine.chosenProtocol == chosen)
        client.send(getRequest())
        #expect(client.readReply().hasSuffix("/ 0"))
    }

    @Test(arguments: [TLSTestVersion.tls12, .tls13])
    func otherProtocols_areRefusedWithTheirAlert(_ version: TLSTestVersion) throws {
        let fixture = try TLSFixture()
        let server = try fixture.server()
        for offered in [["h2"], ["http/1.0"], ["http/1.1x", "http/1."], ["h2", "HTTP/1.1"]] {
            var options = fixture.options(version)
            options.protocols = offered
            #expect(try refusal(server.address, options) == SSL_R_TLSV1_ALERT_NO_APPLICATION_PROTOCOL, "\(offered)")
        }
        #expect(
            TestServer.waitUntil {
                server.handler.counts.value.failedHandshakes == Array(repeating: .noSharedProtocol, count: 4)
            }
        )
    }

    @Test func oldVersions_areRefused() throws {
        let fixture = try TLSFixture()
        let server = try fixture.server()
        let reason = try refusal(server.address, fixture.options(.tls11))
        #expect(reason == SSL_R_TLSV1_ALERT_PROTOCOL_VERSION)
        #expect(TestServer.waitUntil { server.handler.counts.value.failedHandshakes == [.unsupportedVersion] })
    }

    @Test(arguments: [
        "AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-SHA256", "ECDHE-ECDSA-AES256-SHA", "ECDHE-ECDSA-AES128-CCM",
    ])
    func otherCiphers_areRefused(_ cipher: String) throws {
        let fixture = try TLSFixture()
        let server = try fixture.server()
        var options = fixture.options(.tls12)
        options.ciphers = cipher
        #expect(try refusal(server.address, options) == SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE)
        #expect(TestServer.waitUntil { server.handler.counts.value.failedHandshakes == [.noSharedAlgorithm] })
    }

    @Test func cipher_isChosenByTheServer() throws {
        let fixture = try TLSFixture()
        let server = try fixture.server()
        var options = fixture.options(.tls12)
        for (offered, chosen) in [
            ("ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-GCM-SHA256"),
            // A client that prefers ChaCha20 has no hardware for AES.
            ("ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-CHACHA20-POLY1305"),
        ] {
            options.ciphers = offered
            #expect(try TestClient(server.address, tls: options).tls?.engine.cipher == chosen)
        }
    }

    @Test func renegotiation_isRefused() throws {
        let fixture = try TLSFixture()
        let server = try fixture.server()
        let client = try TestClient(server.address, tls: fixture.options(.tls12))
        let stream = try #require(client.tls)
        do {
            try stream.untilDone(stream.engine.renegotiate)
            Issue.record("renegotiated")
        } catch let failure as TLSTestFailure {
            #expect(failure.reason == SSL_R_NO_RENEGOTIATION)
        }
        #expect(TestServer.waitUntil { server.handler.counts.value.fullHandshakes == 1 })
    }

    @Test(arguments: [
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "DELETE /users/u HTTP/1.1\r\nHost: a\r\n\r\n",
        "CONNECT a:1 HTTP/1.1\r\n\r\n",
    ])
    func plainHTTP_isAnsweredInPlain(_ request: String) throws {
        let fixture = try TLSFixture()
        let server = try fixture.server()
        let client = try TestClient(server.address)
        client.send(request)
        let reply = client.readToEnd()
        #expect(reply.hasPrefix("HTTP/1.1 400 Bad Request\r\n") && reply.hasSuffix("HTTPS, not HTTP."))
        client.close()
        #expect(TestServer.waitUntil { server.server.connectionCount == 0 })
        #expect(TestServer.waitUntil { server.handler.counts.value.failedHandshakes == [.plainHTTP] })
    }

    @Test(arguments: [
        [UInt8](repeating: 0, count: 100), [0x16, 0x03, 0x01, 0x00, 0x00], [0x16, 0x03, 0x01, 0xFF, 0xFF, 1],
        [0x17, 0x03, 0x03, 0x00, 0x05, 1, 2, 3, 4, 5], [0x15, 0x03, 0x03, 0x00, 0x02, 2, 40],
        [0x16, 0x03, 0x01, 0x00, 0x04, 1, 0xFF, 0xFF, 0xFF], [0x80, 0x2E, 0x01, 0x03, 0x01, 0, 0, 0, 0, 0, 0],
    ])
    func bytesThatAreNoHandshake_endTheConnection(_ bytes: [UInt8]) throws {
        let fixture = try TLSFixture()
        let server = try fixture.server()
        let client = try TestClient(server.address)
        client.send(bytes)
        client.shutdownWrite()
        // The server sends at most an alert.
        #expect(client.readToEnd().utf8.count < 20)
        client.close()
        #expect(TestServer.waitUntil { server.server.connectionCount == 0 })
        let failures = server.handler.counts.value.failedHandshakes
        #expect(failures.count == 1 && failures != [.plainHTTP])
    }

    /// A reset could overtake the alert.
    @Test func refusedHandshake_isNotEndedByAReset_thoughTheClientIsStillSending() throws {
        let fixture = try TLSFixture()
        let server = try fixture.server()
        var options = fixture.options()
        options.protocols = ["h2"]
        let engine = try TLSTestEngine(options)
        _ = try engine.shakeHands()
        let client = try TestClient(server.address)
        client.send(engine.takeOutput() + [UInt8](repeating: 0, count: 100_000))
        var bytes = [UInt8](repeating: 0, count: 1_000)
        var count = recv(client.fd, &bytes, bytes.count, 0)
        while count > 0 {
            engine.receive(Array(bytes[..<count]))
            count = recv(client.fd, &bytes, bytes.count, 0)
        }
        // The end of the stream; a reset would be an error.
        #expect(count == 0)
        #expect(throws: TLSTestFailure.self) { try engine.shakeHands() }
        client.close()
        #expect(TestServer.waitUntil { server.server.connectionCount == 0 })
    }

    @Test func handshakeCutShort_isCounted() throws {
        let fixture = try TLSFixture()
        let server = try fixture.server()
        let hello = try TLSTestEngine(fixture.options())
        _ = try hello.shakeHands()
        let bytes = hello.takeOutput()
        for count in [0, 1, 5, bytes.count / 2, bytes.count - 1, bytes.count] {
            let client = try TestClient(server.address)
            client.send(Array(bytes[..<count]))
            client.close()
        }
        #expect(TestServer.waitUntil { server.handler.counts.value.closed == 6 })
        #expect(
            TestServer.waitUntil {
                server.handler.counts.value.failedHandshakes == Array(repeating: .disconnected, count: 6)
            }
        )
    }

    @Test func handshakeThatTakesTooLong_isEnded() throws {
        let fixture = try TLSFixture()
        let server = try fixture.server { $0.timeouts.handshake = .milliseconds(50) }
        let silent = try TestClient(server.address)
        #expect(silent.readToEnd() == "")
        let hello = try TLSTestEngine(fixture.options())
        _ = try hello.shakeHands()
        let half = try TestClient(server.address)
        half.send(hello.takeOutput())
        while half.read() != nil {}
        #expect(TestServer.waitUntil { server.server.connectionCount == 0 })
        #expect(TestServer.waitUntil { server.handler.counts.value.failedHandshakes == [.timeout, .timeout] })
    }

    @Test func firstByteTimeout_endsWithTheClosureAlert() throws {
        let fixture = try TLSFixture()
        let server = try fixture.server { $0.timeouts.firstByte = .milliseconds(50) }
        let client = try TestClient(server.address, tls: fixture.options())
        #expect(client.readToEnd() == "")
        #expect(client.tls?.isClosed == true)
        #expect(server.handler.counts.value.failedHandshakes.isEmpty)
    }

    @Test func clientThatDoesNotTrustTheServer_isCounted() throws {
        let fixture = try TLSFixture()
        let server = try fixture.server()
        let stranger = try TestAuthority("stranger")
        let reason = try refusal(server.address, TLSTestOptions(authority: stranger.certificate))
        #expect(reason == SSL_R_CERTIFICATE_VERIFY_FAILED)
        #expect(TestServer.waitUntil { server.handler.counts.value.failedHandshakes == [.clientAlert] })
    }
}

@Suite struct MutualTLSTests {
    private enum Shown: CaseIterable {
        case good, none, ofAnotherAuthority, expired, notYetValid, forServers
    }

    private static func identity(_ shown: Shown, _ authority: TestAuthority) throws -> TestIdentity? {
        switch shown {
        case .good: try authority.issue("client", for: .client)
        case .none: nil
        case .ofAnotherAuthority: try TestAuthority("stranger").issue("client", for: .client)
        case .expired: try authority.issue("client", for: .client, from: -20_000, to: -10_000)
        case .notYetValid: try authority.issue("client", for: .client, from: 10_000)
        case .forServers: try authority.issue("client", for: .server)
        }
    }

    @Test(arguments: [TLSTestVersion.tls12, .tls13]) func client_needsAGoodCertificate(_ version: TLSTestVersion) throws
    {
        let clients = try TestAuthority("clients")
        let fixture = try TLSFixture(clientCA: clients)
        let server = try fixture.server()
        for shown in Shown.allCases {
            var options = fixture.options(version)
            options.identity = try Self.identity(shown, clients)
            let before = server.handler.counts.value
            let reason = try refusal(server.address, options)
            switch shown {
            case .good:
                #expect(reason == nil)
                #expect(TestServer.waitUntil { server.handler.counts.value.records.count == 1 })
            default:
                // The client receives an alert, and its request is not executed.
                #expect((reason ?? 0) > SSL_AD_REASON_OFFSET, "\(shown)")
                let failures = before.failedHandshakes + [.clientCertificate]
                #expect(TestServer.waitUntil { server.handler.counts.value.failedHandshakes == failures }, "\(shown)")
                #expect(server.handler.counts.value.records.count == before.records.count)
            }
        }
    }

    @Test func withoutAClientCA_aCertificateIsNotLookedAt() throws {
        let fixture = try TLSFixture()
        let server = try fixture.server()
        var options = fixture.options()
        options.identity = try TestAuthority("stranger").issue("client", for: .client)
        #expect(try refusal(server.address, options) == nil)
    }
}
