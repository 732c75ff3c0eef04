// Sessions resumed with tickets, ticket keys, and certificates replaced meanwhile.

import TLSTesting
import Testing

@testable import HTTP

@Suite struct TLSResumptionTests {
    /// One request on a new connection.
    ///
    /// - Returns: whether the session was resumed, and the session to resume next.
    private func visit(
        _ server: TestServer,
        _ options: TLSTestOptions,
        _ session: TLSTestSession? = nil
    ) throws -> (isResumed: Bool, session: TLSTestSession) {
        var options = options
        options.session = session
        let client = try TestClient(server.address, tls: options)
        client.send(getRequest())
        #expect(client.readReply().hasSuffix("/ 0"))
        let engine = try #require(client.tls).engine
        return (engine.isResumed, try #require(engine.session))
    }

    @Test(arguments: [TLSTestVersion.tls12, .tls13]) func session_isResumed_onAnyLoop(_ version: TLSTestVersion) throws
    {
        let fixture = try TLSFixture()
        let server = try fixture.server(loops: 4)
        let first = try visit(server, fixture.options(version))
        #expect(!first.isResumed && first.session.isResumable)
        var session = first.session
        for _ in 0..<8 {
            let next = try visit(server, fixture.options(version), session)
            #expect(next.isResumed)
            session = next.session
        }
        #expect(server.handler.counts.value.resumedHandshakes == 8)
    }

    @Test(arguments: [TLSTestVersion.tls12, .tls13]) func ticket_outlivesOneRotation_andNotTwo(
        _ version: TLSTestVersion
    ) throws {
        let fixture = try TLSFixture()
        let server = try fixture.server()
        let options = fixture.options(version)
        let first = try visit(server, options)
        fixture.credentials.tickets.rotate()
        let second = try visit(server, options, first.session)
        #expect(second.isResumed)
        fixture.credentials.tickets.rotate()
        // The ticket of the second visit was made with the key current then.
        #expect(try visit(server, options, second.session).isResumed)
        #expect(try !visit(server, options, first.session).isResumed)
    }

    @Test func keys_areReplacedByTheClock_andWipedAfterTheirSecondTime() throws {
        let keys = try SessionTicketKeys(lifetimeSeconds: 1)
        let first = keys.current
        #expect(TestServer.waitUntil { keys.current !== first })
        let still = try SessionTicketKeys(lifetimeSeconds: 1_000)
        weak let second = still.current
        still.rotate()
        #expect(second != nil)
        still.rotate()
        #expect(second == nil)
    }

    @Test func ticketsOfStrangers_areIgnored() throws {
        let fixture = try TLSFixture()
        let other = try TLSFixture()
        let session = try visit(other.server(), other.options()).session
        #expect(try !visit(fixture.server(), fixture.options(), session).isResumed)
    }

    @Test func ticket_outlivesAnotherCertificate_andNotAnotherClientCA() throws {
        let (clients, others) = (try TestAuthority("clients"), try TestAuthority("others"))
        let fixture = try TLSFixture(clientCA: clients)
        let server = try fixture.server()
        var options = fixture.options()
        options.identity = try clients.issue("client", for: .client)
        let first = try visit(server, options)
        try fixture.credentials.replace(with: fixture.authority.issue("second").material(clientCA: clients), now: 0)
        let second = try visit(server, options, first.session)
        #expect(second.isResumed)
        try fixture.credentials.replace(with: fixture.authority.issue("third").material(clientCA: others), now: 0)
        options.session = second.session
        let client = try TestClient(server.address, tls: options)
        client.send(getRequest())
        #expect(client.readToEnd() == "")
        #expect(TestServer.waitUntil { server.handler.counts.value.failedHandshakes == [.clientCertificate] })
    }

    @Test func ticket_doesNotOutliveTheClientsCertificate() throws {
        let clients = try TestAuthority("clients")
        let fixture = try TLSFixture(clientCA: clients)
        let server = try fixture.server()
        var options = fixture.options()
        options.identity = try clients.issue("client", for: .client, to: 5)
        options.session = try visit(server, options).session
        // Sessions are resumed until the certificate expires; then a full handshake follows, which fails.
        let patience = Syscall.unixSeconds() + 30
        var isServed = true
        while isServed, Syscall.unixSeconds() < patience {
            guard let client = try? TestClient(server.address, tls: options) else { break }
            client.send(getRequest("/", "Connection: close\r\n"))
            isServed = client.readToEnd() != ""
        }
        #expect(TestServer.waitUntil { server.handler.counts.value.failedHandshakes.last == .clientCertificate })
    }
}

@Suite struct TLSCredentialsTests {
    @Test func replacement_isForNewConnectionsOnly() throws {
        let fixture = try TLSFixture()
        let server = try fixture.server()
        let old = try TestClient(server.address, tls: fixture.options())
        #expect(old.tls?.engine.serverCommonName == "first")
        try fixture.credentials.replace(with: fixture.authority.issue("second").material(), now: 0)
        let new = try TestClient(server.address, tls: fixture.options())
        #expect(new.tls?.engine.serverCommonName == "second")
        for client in [old, new] {
            client.send(getRequest())
            #expect(client.readReply().hasSuffix("/ 0"))
        }
    }

    @Test func badReplacement_changesNothing() throws {
        let fixture = try TLSFixture()
        let server = try fixture.server()
        let validity = fixture.credentials.validity
        let expired = try fixture.authority.issue("expired", from: -2_000, to: -1_000)
        let now = Syscall.unixSeconds()
        #expect(throws: TLSError(.certificate, "has expired")) {
            try fixture.credentials.replace(with: expired.material(), now: now)
        }
        #expect(throws: TLSError.self) {
            try fixture.credentials.replace(with: TLSMaterial(certificate: [], key: []), now: now)
        }
        #expect(fixture.credentials.validity == validity)
        let client = try TestClient(server.address, tls: fixture.options())
        #expect(client.tls?.engine.serverCommonName == "first")
    }

    @Test func chain_isSentWhole() throws {
        let fixture = try TLSFixture()
        var identity = try fixture.authority.issue("with its issuer")
        identity.certificate += fixture.authority.certificate
        try fixture.credentials.replace(with: identity.material(), now: 0)
        let server = try fixture.server()
        #expect(try TestClient(server.address, tls: fixture.options()).tls?.engine.serverChainCount == 2)
    }

    @Test func materialThatCannotBeUsed_isRefusedWithItsReason() throws {
        let authority = try TestAuthority()
        let good = try authority.issue()
        func check(
            _ subject: TLSError.Subject,
            _ words: String,
            _ change: (inout TLSMaterial) throws -> Void
        ) throws {
            var material = good.material()
            try change(&material)
            do throws(TLSError) {
                _ = try TLSCredentials(material)
                Issue.record("\(words): it was accepted")
            } catch {
                #expect(error.subject == subject && error.message.contains(words), "\(words): \(error)")
            }
        }
        let other = try authority.issue()
        try check(.certificate, "no certificate in PEM form") { $0.certificate = [] }
        try check(.certificate, "no certificate in PEM form") { $0.certificate = good.key }
        try check(.certificate, "unreadable certificate after 0") { $0.certificate[100] = UInt8(ascii: "!") }
        try check(.certificate, "unreadable certificate after 1") { $0.certificate += other.certificate.dropLast(60) }
        try check(.certificate, "ee key too small") { material in
            material = try authority.issue(key: .rsa(bits: 1_024)).material()
        }
        try check(.key, "no private key in PEM form") { $0.key = [] }
        try check(.key, "no private key in PEM form") { $0.key = good.certificate }
        try check(.key, "no private key in PEM form") { $0.key[60] = UInt8(ascii: "!") }
        try check(.key, "is not the key of the certificate") { $0.key = other.key }
        try check(.key, "is not the key of the certificate") {
            $0.key = try authority.issue(key: .rsa(bits: 2_048)).key
        }
        try check(.key, "passphrase") { $0 = try authority.issue(passphrase: "secret").material() }
        try check(.clientCA, "no certificate in PEM form") { $0.clientCA = [] }
        try check(.clientCA, "no certificate in PEM form") { $0.clientCA = good.key }
        var both = good.certificate + authority.certificate
        both += good.key
        _ = try TLSCredentials(TLSMaterial(certificate: both, key: both, clientCA: both))
    }

    @Test func validity_isTheCertificates() throws {
        let now = Syscall.unixSeconds()
        let identity = try TestAuthority().issue(from: -100, to: 5_000)
        let validity = try TLSCredentials(identity.material()).validity
        #expect(abs(validity.from - now + 100) < 60 && abs(validity.to - now - 5_000) < 60)
    }
}
