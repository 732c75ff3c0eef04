// Seeded mutation of requests and of a connection's events. By default a fixed number of rounds with a fixed seed; with
// GENREC_FUZZ_SECONDS set, that long, from GENREC_FUZZ_SEED or a seed that it prints.

import Glibc
import Random
import Testing

@testable import HTTP

/// The duration and seed of a fuzz run.
struct Campaign {
    private let deadline: UInt64?
    private let rounds: Int
    let seed: UInt64
    private(set) var executions = 0

    /// - Parameter rounds: of a default run.
    init(rounds: Int) {
        self.rounds = rounds
        if let seconds = Campaign.setting("GENREC_FUZZ_SECONDS") {
            deadline = Syscall.now() + seconds * 1_000_000_000
            seed = Campaign.setting("GENREC_FUZZ_SEED") ?? Syscall.now()
        } else {
            deadline = nil
            seed = 1
        }
    }

    private static func setting(_ name: String) -> UInt64? {
        getenv(name).flatMap { UInt64(String(cString: $0)) }
    }

    /// Whether to go on; counts a round if so.
    mutating func next() -> Bool {
        let goesOn = deadline.map { Syscall.now() < $0 } ?? (executions < rounds)
        if goesOn { executions += 1 }
        return goesOn
    }

    /// Prints the number of executions, if the environment requested the run.
    func report(_ name: String) {
        if deadline != nil { print("\(name): \(executions) executions from seed \(seed)") }
    }
}

/// Composes requests from good and bad parts, and breaks them.
private struct RequestMutator {
    private static let corpus: [String] = [
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "HEAD /path?query HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n0\r\nT: u\r\n\r\n",
        "PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc",
        "OPTIONS * HTTP/1.1\r\nHost: [::1]:80\r\nConnection: close, x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip;q=0.5, *;q=0\r\n\r\n",
        "\r\nGET http://a/b HTTP/1.1\r\nHost: a\r\nX: \t y \r\nX:\r\n\r\n",
    ]
    private static let tokens: [String] = [
        "\r\n", "\n", "\r", "\0", " ", "\t", ":", ";", ",", "0", "-", "+", "0x", "_", "\u{b}", "\u{85}", "chunked",
        "gzip",
        "Content-Length: 5\r\n", "Content-Length: 99999999999999999999\r\n", "Transfer-Encoding: chunked\r\n",
        "Host: b\r\n", "Expect: 100-continue\r\n", "Connection: close\r\n", "HTTP/1.1", "HTTP/2.0", "\r\n\r\n",
        " folded\r\n", "Accept-Encoding: gzip\r\n", "Content-Encoding: gzip\r\n", ";q=0",
        "ffffffffffffffff", "7fffffffffffffff", "0\r\n\r\n", "GET ", "/", "*", "http://",
    ]

    static func request(using generator: inout SplitMix64) -> [UInt8] {
        var bytes: [UInt8] = []
        for _ in 0..<Int.random(in: 1...3, using: &generator) {
            bytes += Array((corpus.randomElement(using: &generator) ?? "").utf8)
        }
        for _ in 0..<Int.random(in: 0...4, using: &generator) { mutate(&bytes, using: &generator) }
        return bytes
    }

    /// The longest is a gzip body in chunks of one byte, each of which takes six.
    static let longestRequest = 6 * 3 * 3_000

    /// A gzip body of up to three members, broken in up to three places, as a request with a length or chunks.
    static func gzipRequest(using generator: inout SplitMix64) -> [UInt8] {
        var body: [UInt8] = []
        for _ in 0..<Int.random(in: 1...3, using: &generator) {
            let length = Int.random(in: 0...2_500, using: &generator)
            let spread = UInt8.random(in: 0...255, using: &generator)
            let content = (0..<length).map { _ in UInt8.random(in: 0...spread, using: &generator) }
            let level = Int32.random(in: 0...9, using: &generator)
            body += gzip(content, level: level, strategy: Int32.random(in: 0...4, using: &generator))
        }
        for _ in 0..<Int.random(in: 0...3, using: &generator) { mutate(&body, using: &generator) }
        let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Encoding: gzip\r\n"
        guard Bool.random(using: &generator) else {
            return Array("\(head)Content-Length: \(body.count)\r\n\r\n".utf8) + body
        }
        var bytes = Array("\(head)Transfer-Encoding: chunked\r\n\r\n".utf8)
        for piece in cut(body, using: &generator) {
            bytes += Array("\(String(piece.count, radix: 16))\r\n".utf8) + piece + Array("\r\n".utf8)
        }
        return bytes + Array("0\r\n\r\n".utf8)
    }

    private static func mutate(_ bytes: inout [UInt8], using generator: inout SplitMix64) {
        guard !bytes.isEmpty else { return }
        let place = Int.random(in: 0..<bytes.count, using: &generator)
        let end = min(bytes.count, place + Int.random(in: 1...8, using: &generator))
        switch Int.random(in: 0..<6, using: &generator) {
        case 0: bytes[place] = UInt8.random(in: 0...255, using: &generator)
        case 1: bytes[place] ^= 1 << UInt8.random(in: 0...7, using: &generator)
        case 2: bytes.removeSubrange(place..<end)
        case 3: bytes.insert(contentsOf: bytes[place..<end], at: place)
        case 4: bytes.insert(contentsOf: Array((tokens.randomElement(using: &generator) ?? "").utf8), at: place)
        default: bytes.insert(contentsOf: [UInt8](repeating: bytes[place], count: 300), at: place)
        }
    }

    /// The bytes cut at random places.
    static func cut(_ bytes: [UInt8], using generator: inout SplitMix64) -> [ArraySlice<UInt8>] {
        var pieces: [ArraySlice<UInt8>] = []
        var start = 0
        let longest = Int.random(in: 1...60, using: &generator)
        while start < bytes.count {
            let end = min(bytes.count, start + Int.random(in: 1...longest, using: &generator))
            pieces.append(bytes[start..<end])
            start = end
        }
        return pieces
    }
}

@Suite struct FuzzTests {
    private static func limits() -> HTTPLimits {
        var limits = HTTPLimits()
        limits.requestLineBytes = 128
        limits.fieldBytes = 256
        limits.fieldCount = 8
        limits.chunkExtensionBytes = 32
        limits.trailerBytes = 32
        limits.readAheadBytes = 4_096
        return limits
    }

    @Test func mutatedRequests_haveOneOutcome_howeverTheyAreCut() {
        var campaign = Campaign(rounds: 3_000)
        var generator = SplitMix64(seed: campaign.seed)
        var delivered = 0
        var refused = 0
        while campaign.next() {
            let bytes = RequestMutator.request(using: &generator)
            let whole = RequestOutcome([bytes[...]], limits: FuzzTests.limits(), maximumBody: 100)
            let pieces = RequestMutator.cut(bytes, using: &generator)
            let cut = RequestOutcome(pieces, limits: FuzzTests.limits(), maximumBody: 100)
            guard whole == cut else {
                Issue.record("\(whole) whole, \(cut) in pieces \(pieces.map { Array($0) }), seed \(campaign.seed)")
                return
            }
            delivered += whole.requests.count
            if whole.refusal != nil { refused += 1 }
        }
        // The mutations break some requests, but not all.
        #expect(delivered > campaign.executions / 10)
        #expect(refused > campaign.executions / 10)
        campaign.report("requests")
    }

    @Test func mutatedGzipBodies_haveOneOutcome_howeverTheyAreCut() {
        var limits = HTTPLimits()
        limits.inflatedBodyBytes = 5_000
        var campaign = Campaign(rounds: 2_000)
        var generator = SplitMix64(seed: campaign.seed &+ 2)
        var delivered = 0
        var statuses: [Int: Int] = [:]
        while campaign.next() {
            let bytes = RequestMutator.gzipRequest(using: &generator)
            let whole = RequestOutcome([bytes[...]], limits: limits, maximumBody: 20_000)
            let pieces = RequestMutator.cut(bytes, using: &generator)
            let cut = RequestOutcome(pieces, limits: limits, maximumBody: 20_000)
            guard whole == cut else {
                Issue.record("\(whole) whole, \(cut) in pieces \(pieces.map { Array($0) }), seed \(campaign.seed)")
                return
            }
            delivered += whole.requests.count
            if let status = whole.status { statuses[status, default: 0] += 1 }
        }
        #expect(delivered > campaign.executions / 10)
        #expect(statuses[400, default: 0] > campaign.executions / 10)
        #expect(statuses[413, default: 0] > campaign.executions / 100)
        campaign.report("gzip bodies")
    }

    @Test func connection_keepsItsPromises_whateverHappens() {
        var campaign = Campaign(rounds: 3_000)
        var generator = SplitMix64(seed: campaign.seed &+ 1)
        while campaign.next() {
            let broken = FuzzTests.life(&generator)
            guard broken == nil else {
                Issue.record("\(broken ?? "") in execution \(campaign.executions) from seed \(campaign.seed)")
                return
            }
        }
        campaign.report("connections")
    }

    /// One connection's life under random events. Returns the guarantee that it violated.
    private static func life(_ generator: inout SplitMix64) -> String? {
        var timeouts = HTTPTimeouts()
        timeouts.firstByte = .seconds(3)
        timeouts.header = .seconds(3)
        timeouts.bodyWindow = .seconds(3)
        timeouts.idle = .seconds(3)
        timeouts.writeStall = .seconds(3)
        timeouts.linger = .seconds(3)
        var script = ScriptedConnection(limits: limits(), timeouts: timeouts, reply: nil)
        let rejects = Bool.random(using: &generator)
        script.verdict = { head in
            rejects && head.method == .put ? .reject(HTTPResponse(status: 404)) : .accept(maximumBodyBytes: 100)
        }
        var isShut = false
        for _ in 0..<Int.random(in: 1...30, using: &generator) {
            happen(&script, &generator)
            switch script.connection.nextEnding(now: script.now) {
            case .none: break
            case .shutdownWrite:
                if isShut { return "shut twice" }
                isShut = true
            case .close, .reset: return judge(&script)
            }
            if isShut, !script.connection.output.isEmpty { return "output after the write side was shut" }
            if let broken = judge(&script) { return broken }
        }
        return nil
    }

    private static func happen(_ script: inout ScriptedConnection, _ generator: inout SplitMix64) {
        let now = script.now
        switch Int.random(in: 0..<12, using: &generator) {
        case 0...3:
            if script.connection.wantsInput(unread: script.unreadCount) {
                let isCoded = Int.random(in: 0..<8, using: &generator) == 0
                script.receive(
                    isCoded
                        ? RequestMutator.gzipRequest(using: &generator)
                        : RequestMutator.request(using: &generator)
                )
            }
        case 4: script.respond(HTTPResponse(status: 200, body: [UInt8](repeating: 7, count: 50)))
        case 5:
            let headers: HTTPFields = [("Content-Type", "text/plain")]
            script.connection.start(status: 200, headers: headers, label: 0, date: script.date, now: now)
        case 6: script.connection.send([1, 2, 3], now: now)
        case 7: Bool.random(using: &generator) ? script.connection.finish(now: now) : script.connection.abort(now: now)
        case 8: _ = script.takeOutput(limit: Int.random(in: 1...400, using: &generator))
        case 9: script.pass(seconds: Double.random(in: 0...4, using: &generator))
        case 10: if Int.random(in: 0..<6, using: &generator) == 0 { script.endInput() }
        default:
            if Int.random(in: 0..<12, using: &generator) == 0 { script.connection.vanished() }
            if Int.random(in: 0..<12, using: &generator) == 0 { script.connection.drain(now: script.now) }
        }
        script.advance()
    }

    private static func judge(_ script: inout ScriptedConnection) -> String? {
        var isOver = false
        var open = 0
        for event in script.events {
            if isOver, event != .cancelled { return "\(event) after the end" }
            switch event {
            case .head: break
            case .request: open += 1
            case .refused: isOver = true
            case .cancelled:
                open -= 1
                isOver = true
            }
        }
        if open < 0 { return "cancelled what was not open" }
        if script.connection.input == .exchange, script.connection.reply == .none {
            return "an exchange without a reply"
        }
        // One more read may arrive while the unread bytes are below the limit.
        let limit = limits().readAheadBytes + RequestMutator.longestRequest
        if script.unreadCount > limit { return "\(script.unreadCount) bytes unread" }
        return nil
    }
}
