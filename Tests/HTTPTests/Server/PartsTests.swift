// Unit tests of the server's small parts: addresses, caps, the timer wheel, the mailbox, the exchange, limits.

import CLinux
import Testing

@testable import HTTP

@Suite struct AddressTests {
    @Test(arguments: [
        ("127.0.0.1:8080", ListenAddress.tcp(host: "127.0.0.1", port: 8_080)),
        ("[::1]:0", .tcp(host: "::1", port: 0)),
        ("*:80", .tcp(host: "*", port: 80)),
        ("unix:/run/a.sock", .unix(path: "/run/a.sock")),
    ]) func address_isRead(_ text: String, _ address: ListenAddress) throws {
        #expect(try ListenAddress(parsing: text) == address)
        #expect(address.description == text)
    }

    @Test(arguments: [
        "", "8080", "example.com:80", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1:+1",
        "127.0.0.256:1", "[::1]", "[::g]:1", "unix:", "unix:" + String(repeating: "a", count: 108), "a\0b:1",
    ]) func address_isRefused(_ text: String) {
        #expect(throws: HTTPError(.invalidAddress, "")) { try ListenAddress(parsing: text) }
    }

    @Test func path_mayBe107BytesLong() throws {
        _ = try ListenAddress(parsing: "unix:" + String(repeating: "a", count: 107))
    }

    @Test(arguments: [
        (PeerAddress(ipv4: 0x7F00_0001, port: 80), "127.0.0.1:80", true),
        (PeerAddress(ipv4: 0x7FFF_FFFF, port: 80), "127.255.255.255:80", true),
        (PeerAddress(ipv4: 0xC000_0201, port: 65_535), "192.0.2.1:65535", false),
        (PeerAddress(ipv6: 0, 1, port: 80), "[::1]:80", true),
        (PeerAddress(ipv6: 0x2001_0DB8_0000_0000, 1, port: 80), "[2001:db8::1]:80", false),
        (PeerAddress(ipv6: 0, 0xFFFF_7F00_0001, port: 80), "127.0.0.1:80", true),
        (PeerAddress(ipv6: 0, 0xFFFF_C000_0201, port: 80), "192.0.2.1:80", false),
        (PeerAddress(ipv4: 0x0109_6463, port: 10_000), "1.9.100.99:10000", false),
        (PeerAddress(ipv4: 0, port: 0), "0.0.0.0:0", false),
        (PeerAddress(ipv4: 0x0A64_0AC8, port: 1_000), "10.100.10.200:1000", false),
        (
            PeerAddress(ipv6: 0xABCD_ABCD_ABCD_ABCD, 0xABCD_ABCD_ABCD_ABCD, port: 65_535),
            "[abcd:abcd:abcd:abcd:abcd:abcd:abcd:abcd]:65535", false
        ),
        (PeerAddress.local, "unix", true),
    ]) func peer_isDescribed(_ peer: PeerAddress, _ text: String, _ isLoopback: Bool) {
        #expect(peer.description == text)
        #expect(peer.isLoopback == isLoopback)
        var line = Array(repeating: UInt8(ascii: "-"), count: PeerAddress.maximumByteCount + 1)
        let end = line.withUnsafeMutableBufferPointer { peer.write(to: $0, at: 1) }
        #expect(String(decoding: line[..<end], as: UTF8.self) == "-" + text)
    }
}

@Suite struct ConnectionCounterTests {
    private func counter(total: Int, perAddress: Int) -> ConnectionCounter {
        var limits = HTTPLimits()
        limits.connections = total
        limits.connectionsPerAddress = perAddress
        return ConnectionCounter(limits: limits)
    }

    @Test func connections_areRefusedBeyondTheCap_andDroppedFarBeyond() {
        let counter = counter(total: 2, perAddress: 100)
        let admissions = (0..<300).map { counter.admit(PeerAddress(ipv4: $0, port: 1)) }
        #expect(admissions.prefix(2).allSatisfy { $0 == .admitted })
        #expect(admissions.dropFirst(2).prefix(256).allSatisfy { $0 == .refused })
        #expect(admissions.dropFirst(258).allSatisfy { $0 == .dropped })
        #expect(counter.total == 258)
    }

    @Test func connections_areCountedByAddress() {
        let counter = counter(total: 100, perAddress: 2)
        let one = PeerAddress(ipv4: 1, port: 5)
        #expect(counter.admit(one) == .admitted)
        #expect(counter.admit(PeerAddress(ipv4: 1, port: 6)) == .admitted)
        #expect(counter.admit(PeerAddress(ipv4: 2, port: 7)) == .admitted)
        #expect(counter.admit(one) == .refused)
        counter.release(one)
        counter.release(one)
        #expect(counter.admit(one) == .admitted)
    }

    @Test func ipv6Connections_areCountedByTheirFirst64Bits() {
        let counter = counter(total: 100, perAddress: 1)
        #expect(counter.admit(PeerAddress(ipv6: 0x2001_0DB8_0000_0001, 1, port: 1)) == .admitted)
        #expect(counter.admit(PeerAddress(ipv6: 0x2001_0DB8_0000_0001, 2, port: 1)) == .refused)
        #expect(counter.admit(PeerAddress(ipv6: 0x2001_0DB8_0000_0002, 1, port: 1)) == .admitted)
    }

    @Test func localConnections_areNotToldApart() {
        let counter = counter(total: 100, perAddress: 1)
        for _ in 0..<5 { #expect(counter.admit(.local) == .admitted) }
    }
}

@Suite struct TimerWheelTests {
    private static let second: UInt64 = 1_000_000_000
    private static let tick: UInt64 = 1 << 27

    /// When each token fires if the wheel is advanced every `step`.
    private func due(_ deadlines: [UInt64], step: UInt64, until end: UInt64) -> [UInt64: UInt64] {
        var wheel = TimerWheel(now: 0)
        for (token, deadline) in deadlines.enumerated() {
            wheel.insert(UInt64(token), at: wheel.tick(for: deadline))
        }
        var result: [UInt64: UInt64] = [:]
        var came: [(token: UInt64, tick: UInt64)] = []
        for now in stride(from: 0, through: end, by: Int(step)) {
            wheel.advance(to: now, into: &came)
            for (token, _) in came { result[token] = result[token] ?? now }
            came = []
        }
        return result
    }

    @Test(arguments: [1, TimerWheelTests.tick / 3, TimerWheelTests.tick, TimerWheelTests.second * 5] as [UInt64])
    func tokens_comeUpAfterTheirDeadline_andNotMuchLater(_ unit: UInt64) {
        let deadlines = (0..<60).map { UInt64($0) * TimerWheelTests.second }
        let step = max(unit, TimerWheelTests.tick / 8)
        let times = due(deadlines, step: step, until: 80 * TimerWheelTests.second)
        for (token, deadline) in deadlines.enumerated() {
            let time = times[UInt64(token)] ?? 0
            #expect(time >= deadline)
            #expect(time <= deadline + 2 * TimerWheelTests.tick + step)
        }
    }

    @Test func farDeadline_isLookedAtOnceARound() {
        var wheel = TimerWheel(now: 0)
        let tick = wheel.tick(for: 1_000 * TimerWheelTests.second)
        #expect(tick << 27 < 70 * TimerWheelTests.second)
        wheel.insert(7, at: tick)
        var due: [(token: UInt64, tick: UInt64)] = []
        wheel.advance(to: 500 * TimerWheelTests.second, into: &due)
        #expect(due.map(\.token) == [7])
        #expect(due.map(\.tick) == [tick])
    }

    @Test func nextDue_isNil_whenTheWheelIsEmpty() {
        var wheel = TimerWheel(now: 5 * TimerWheelTests.second)
        #expect(wheel.nextDue == nil)
        wheel.insert(1, at: wheel.tick(for: 8 * TimerWheelTests.second))
        let next = wheel.nextDue ?? 0
        #expect(next >= 8 * TimerWheelTests.second && next <= 9 * TimerWheelTests.second)
        var due: [(token: UInt64, tick: UInt64)] = []
        wheel.advance(to: next, into: &due)
        #expect(due.count == 1 && wheel.nextDue == nil)
    }
}

@Suite struct ExchangeTests {
    private func exchange(hold: Int = 10, buffer: Int = 20) throws -> (HTTPExchange, Mailbox) {
        let mailbox = try Mailbox()
        var limits = HTTPLimits()
        limits.streamHoldBytes = hold
        limits.streamBufferBytes = buffer
        return (HTTPExchange(token: 1, mailbox: mailbox, limits: limits), mailbox)
    }

    private func parts(_ exchange: HTTPExchange) -> [String] {
        var names: [String] = []
        exchange.takeParts { part in
            switch part {
            case .whole(let response): names.append("whole \(response.status)")
            case .made(let make): names.append("made \(make().status)")
            case .start(let status, _, _): names.append("start \(status)")
            case .content(let content): names.append("content \(content.count)")
            case .finish: names.append("finish")
            case .abort: names.append("abort")
            }
        }
        return names
    }

    private func messageCount(_ mailbox: Mailbox) -> Int {
        var messages: [LoopMessage] = []
        mailbox.take(into: &messages)
        return messages.count
    }

    @Test func onlyTheFirstReplyCounts() throws {
        let (exchange, _) = try exchange()
        exchange.respond(HTTPResponse(status: 200))
        exchange.respond(HTTPResponse(status: 500))
        exchange.start(status: 500)
        #expect(exchange.send([1]) == .closed)
        exchange.finish()
        #expect(parts(exchange) == ["whole 200"])
    }

    @Test func replyThatTheLoopMakes_isNotMade_whereNobodyWaits() throws {
        let (waited, _) = try exchange()
        waited.respond(making: { HTTPResponse(status: 201) })
        waited.respond(HTTPResponse(status: 500))
        #expect(parts(waited) == ["made 201"])
        let (gone, _) = try exchange()
        gone.cancel()
        gone.respond(making: { HTTPResponse(status: 201) })
        #expect(parts(gone) == [])
    }

    @Test func partsOfAStream_keepTheirOrder_andTellTheLoopOnce() throws {
        let (exchange, mailbox) = try exchange()
        #expect(parts(exchange) == [])
        exchange.start(status: 200)
        #expect(exchange.send([1]) == .sent)
        #expect(exchange.send([1, 2]) == .sent)
        exchange.finish()
        #expect(messageCount(mailbox) == 1)
        #expect(parts(exchange) == ["start 200", "content 1", "content 2", "finish"])
        #expect(messageCount(mailbox) == 0)
    }

    @Test func replyInsideTheHandler_needsNoMessage() throws {
        let (exchange, mailbox) = try exchange()
        exchange.respond(HTTPResponse(status: 200))
        #expect(messageCount(mailbox) == 0)
        #expect(parts(exchange) == ["whole 200"])
    }

    @Test func writer_holdsOn_untilHalfHasLeft() throws {
        let (exchange, _) = try exchange()
        let resumed = Box(0)
        exchange.onWritable { resumed.value += 1 }
        exchange.start(status: 200)
        #expect(exchange.send([UInt8](repeating: 0, count: 9)) == .sent)
        #expect(exchange.send([0]) == .holdOn)
        exchange.contentLeft(4)
        #expect(resumed.value == 0)
        #expect(exchange.send([0]) == .holdOn)
        exchange.contentLeft(2)
        #expect(resumed.value == 1)
        #expect(exchange.send([0]) == .sent)
        exchange.contentLeft(6)
        #expect(resumed.value == 1)
    }

    @Test func writer_isCutOff_whenItDoesNotHoldOn() throws {
        let (exchange, _) = try exchange()
        exchange.start(status: 200)
        #expect(exchange.send([UInt8](repeating: 0, count: 20)) == .holdOn)
        #expect(exchange.send([0]) == .closed)
        #expect(exchange.send([0]) == .closed)
        #expect(parts(exchange) == ["start 200", "content 20", "abort"])
    }

    @Test func cancelHandler_isCalledOnce() throws {
        let (exchange, _) = try exchange()
        let calls = Box(0)
        exchange.onCancel { calls.value += 1 }
        exchange.cancel()
        exchange.cancel()
        #expect(calls.value == 1 && exchange.isCancelled)
        exchange.respond(HTTPResponse(status: 200))
        #expect(parts(exchange) == [])
    }

    @Test func cancelHandler_isCalledAtOnce_whenTheClientIsGoneAlready() throws {
        let (exchange, _) = try exchange()
        exchange.cancel()
        let calls = Box(0)
        exchange.onCancel { calls.value += 1 }
        #expect(calls.value == 1)
    }

    @Test func cancelHandler_isNotCalled_afterTheReply() throws {
        let (exchange, _) = try exchange()
        let calls = Box(0)
        exchange.onCancel { calls.value += 1 }
        exchange.respond(HTTPResponse(status: 200))
        exchange.cancel()
        exchange.onCancel { calls.value += 1 }
        #expect(calls.value == 0)
    }

    @Test func burstOfPosts_wakesASleepingLoopOnce() throws {
        let mailbox = try Mailbox()
        for _ in 0..<32 { mailbox.post(.drain) }
        #expect(mailbox.wakeUps == 1)
        #expect(!mailbox.fallAsleep())
        #expect(messageCount(mailbox) == 32)
        mailbox.wakeUp()
        mailbox.post(.drain)
        #expect(mailbox.wakeUps == 1)
        #expect(messageCount(mailbox) == 1)
        #expect(mailbox.fallAsleep())
        mailbox.post(.drain)
        #expect(mailbox.wakeUps == 2)
        mailbox.close()
        mailbox.post(.drain)
        #expect(messageCount(mailbox) == 0)
    }
}

@Suite struct ConfigurationTests {
    private final class NoHandler: HTTPHandler {
        func headReceived(_ head: HTTPRequestHead) -> HeadVerdict { .accept(maximumBodyBytes: 0) }
        func requestReceived(_ request: HTTPRequest, exchange: HTTPExchange) {}
        func errorResponse(status: Int, detail: String, to head: HTTPRequestHead?) -> HTTPResponse {
            HTTPResponse(status: status)
        }
        func observe(_ event: HTTPEvent) {}
    }

    private static let base = HTTPServerConfiguration(addresses: [.tcp(host: "127.0.0.1", port: 0)])

    @Test func defaults_areValid() throws {
        try ConfigurationTests.base.validate()
    }

    /// A configuration with one invalid value.
    struct BadValue: Sendable, CustomTestStringConvertible {
        var name: String
        var change: @Sendable (inout HTTPServerConfiguration) -> Void

        var testDescription: String { name }
    }

    @Test(arguments: [
        BadValue(name: "loops") { $0.loops = 0 },
        BadValue(name: "limits.requestLineBytes") { $0.limits.requestLineBytes = 63 },
        BadValue(name: "limits.fieldBytes") { $0.limits.fieldBytes = 1 << 30 },
        BadValue(name: "limits.fieldCount") { $0.limits.fieldCount = 0 },
        BadValue(name: "limits.bodyBytes") { $0.limits.bodyBytes = -1 },
        BadValue(name: "limits.inflatedBodyBytes") { $0.limits.inflatedBodyBytes = -1 },
        BadValue(name: "limits.inflationRatio") { $0.limits.inflationRatio = 0 },
        BadValue(name: "compression.level") { $0.compression.level = 10 },
        BadValue(name: "compression.minimumBytes") { $0.compression.minimumBytes = -1 },
        BadValue(name: "limits.readAheadBytes") { $0.limits.readAheadBytes = 0 },
        BadValue(name: "limits.streamBufferBytes") { $0.limits.streamBufferBytes = $0.limits.streamHoldBytes - 1 },
        BadValue(name: "limits.connections") { $0.limits.connections = 0 },
        BadValue(name: "timeouts.idle") { $0.timeouts.idle = .zero },
        BadValue(name: "timeouts.header") { $0.timeouts.header = .seconds(-1) },
        BadValue(name: "timeouts.writeStall") { $0.timeouts.writeStall = .seconds(1_000_000) },
        BadValue(name: "timeouts.bodyBytesPerSecond") { $0.timeouts.bodyBytesPerSecond = -1 },
        BadValue(name: "address") { $0.addresses = [] },
    ]) func value_isRefusedByName(_ bad: BadValue) {
        var configuration = ConfigurationTests.base
        bad.change(&configuration)
        do throws(HTTPError) {
            _ = try HTTPServer(configuration: configuration, handler: NoHandler())
            Issue.record("accepted")
        } catch {
            #expect(error.code == .invalidConfiguration)
            #expect(error.message.contains(bad.name))
        }
    }
}

@Suite struct RequestHeadTests {
    @Test func head_isMadeFromText_forTestsOfHandlers() throws {
        let text = "GET /a?b HTTP/1.1\r\nHost: x\r\nX-Y: z\r\n\r\n"
        let head = try #require(HTTPRequestHead(parsing: Array(text.utf8)))
        #expect(head.path == "/a" && head.query == "b" && head.header("x-y") == "z")
        #expect(head.peer.isLoopback && head.contentLength == 0)
        #expect(HTTPRequestHead(parsing: Array((text + "x").utf8)) == nil)
        #expect(HTTPRequestHead(parsing: Array(text.utf8.dropLast())) == nil)
        #expect(HTTPRequestHead(parsing: Array("GET\r\n\r\n".utf8)) == nil)
    }
}
