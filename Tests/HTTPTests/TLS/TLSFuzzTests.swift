// Mutated bytes from clients, during and after the handshake: a connection ends or continues, and the next one is
// served.

import Glibc
import Random
import TLSTesting
import Testing

@testable import HTTP

@Suite struct TLSFuzzTests {
    @Test func mutatedClients_neverHarmTheServer() throws {
        var campaign = Campaign(rounds: 300)
        var generator = SplitMix64(seed: campaign.seed)
        let fixture = try TLSFixture(clientCA: TestAuthority("clients"))
        let open = try TLSFixture()
        let servers = [try fixture.server(), try open.server(loops: 2)]
        var harmed = 0
        while campaign.next() {
            let server = servers[campaign.executions % 2]
            let version: TLSTestVersion = Bool.random(using: &generator) ? .tls12 : .tls13
            let client = try TestClient(server.address)
            if try !talk(client, fixture.options(version), &generator) { harmed += 1 }
            client.close()
        }
        #expect(harmed > campaign.executions / 4)
        for server in servers {
            #expect(TestServer.waitUntil { server.server.connectionCount == 0 })
            let counts = server.handler.counts.value
            #expect(counts.opened == counts.closed)
        }
        let client = try TestClient(servers[1].address, tls: open.options())
        client.send(getRequest())
        #expect(client.readReply().hasSuffix("/ 0"))
        campaign.report("TLS clients")
    }

    /// A client whose flights are mutated. True if the server has taken all of them.
    private func talk(
        _ client: TestClient,
        _ options: TLSTestOptions,
        _ generator: inout SplitMix64
    ) throws -> Bool {
        var options = options
        options.authority = nil
        let engine = try TLSTestEngine(options)
        for _ in 0..<4 {
            guard let step = try? engine.shakeHands() else { return false }
            if step == .done { try? engine.write(Array(getRequest().utf8)) }
            var bytes = engine.takeOutput()
            if !bytes.isEmpty, Int.random(in: 0..<3, using: &generator) == 0 {
                let place = Int.random(in: 0..<bytes.count, using: &generator)
                switch Int.random(in: 0..<4, using: &generator) {
                case 0: bytes[place] = UInt8.random(in: 0...255, using: &generator)
                case 1: bytes[place] ^= 1 << UInt8.random(in: 0...7, using: &generator)
                case 2: bytes.removeSubrange(place...)
                default: bytes.insert(contentsOf: bytes[place...].prefix(50), at: place)
                }
                client.sendBytes(bytes)
                client.shutdownWrite()
                while client.readBytes() != nil {}
                return false
            }
            client.sendBytes(bytes)
            if step == .done { return client.readBytes() != nil }
            guard let answer = client.readBytes() else { return false }
            engine.receive(answer)
        }
        return true
    }
}
