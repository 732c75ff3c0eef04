// Bodies with Content-Encoding: gzip (RFC 9110 §8.4, RFC 1952), through the verifier: in one piece, byte by byte, and cut
// at each offset.

import CZlib
import Random
import Testing

@testable import HTTP

/// The head of a POST with `count` bytes of body.
private func head(_ count: Int, coding: String = "gzip") -> [UInt8] {
    Array("POST / HTTP/1.1\r\nHost: a\r\nContent-Encoding: \(coding)\r\nContent-Length: \(count)\r\n\r\n".utf8)
}

private func post(
    _ body: [UInt8],
    coding: String = "gzip",
    limits: HTTPLimits = HTTPLimits(),
    sourceLocation: SourceLocation = #_sourceLocation
) -> RequestOutcome {
    outcome(of: head(body.count, coding: coding) + body, limits: limits, sourceLocation: sourceLocation)
}

@Suite struct GzipBodyTests {
    private static let hello = Array("hello, hello, hello".utf8)

    /// Incompressible bytes.
    private static func noise(_ count: Int) -> [UInt8] {
        var generator = SplitMix64(seed: 7)
        return (0..<count).map { _ in UInt8.random(in: 0...255, using: &generator) }
    }

    @Test(arguments: ["gzip", "GZIP", "x-gzip", "identity, gzip", "gzip, identity", ", gzip ,"])
    func content_isInflated(_ coding: String) {
        let result = post(gzip(GzipBodyTests.hello), coding: coding)
        #expect(result.requests.map(\.body) == [GzipBodyTests.hello])
        #expect(result.unread == 0)
    }

    @Test(arguments: [
        "", "identity", "Identity", "identity, identity", "br", "deflate", "gzip, gzip", "gzip, br", "zip",
    ])
    func content_isLeftAlone_whenItsCodingIsNoneOrUnknown(_ coding: String) {
        #expect(post(GzipBodyTests.hello, coding: coding).requests.map(\.body) == [GzipBodyTests.hello])
    }

    @Test func codingsOfSeveralFields_areOneList() throws {
        func coding(_ fields: String) throws -> ContentCoding {
            let text = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\(fields)\r\n"
            return try #require(HTTPRequestHead(parsing: Array(text.utf8))).contentCoding
        }
        #expect(try coding("") == .identity)
        #expect(try coding("Content-Encoding: identity\r\nContent-Encoding: gzip\r\n") == .gzip)
        #expect(try coding("Content-Encoding: gzip\r\nContent-Encoding: gzip\r\n") == .unknown)
        #expect(try coding("Content-Encoding: gzip\r\nContent-Encoding: br\r\n") == .unknown)
        #expect(try coding("Content-Encoding: br\r\nContent-Encoding: gzip\r\n") == .unknown)
    }

    @Test(arguments: [0, 1, 100, 16_383, 16_384, 16_385, 200_000]) func anyLength_isInflated(_ count: Int) {
        for content in [[UInt8](repeating: 65, count: count), GzipBodyTests.noise(count)] {
            var limits = HTTPLimits()
            limits.inflationRatio = 2_000
            let result = post(gzip(content), limits: limits)
            #expect(result.requests.map(\.body.count) == [count])
            #expect(result.requests.first?.body == content)
        }
    }

    @Test func chunkedContent_isInflated_howeverItIsChunked() {
        let coded = gzip(GzipBodyTests.hello)
        var bytes = Array(
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n".utf8
        )
        for byte in coded { bytes += Array("1\r\n".utf8) + [byte] + Array("\r\n".utf8) }
        bytes += Array("0\r\n\r\nGET /next HTTP/1.1\r\nHost: a\r\n\r\n".utf8)
        let result = outcome(of: bytes)
        #expect(result.requests.map(\.path) == ["/", "/next"])
        #expect(result.requests.first?.body == GzipBodyTests.hello)
    }

    @Test func membersBehindEachOther_areOneContent() {
        let result = post(gzip(GzipBodyTests.hello) + gzip([]) + gzip(Array("!".utf8)))
        #expect(result.requests.map(\.body) == [GzipBodyTests.hello + Array("!".utf8)])
    }

    @Test func aRequestWithoutABody_needsNoStream() {
        #expect(post([]).requests.map(\.body) == [[]])
        let chunked =
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        #expect(outcome(of: chunked).requests.map(\.body) == [[]])
    }

    @Test func nextRequest_isReadAsItIs() {
        let coded = gzip(GzipBodyTests.hello)
        let plain = Array("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc".utf8)
        let result = outcome(of: head(coded.count) + coded + plain + head(coded.count) + coded)
        #expect(result.requests.map(\.body) == [GzipBodyTests.hello, Array("abc".utf8), GzipBodyTests.hello])
    }

    // MARK: Invalid gzip streams

    @Test func truncatedStream_isAnswered400_whereverItEnds() {
        let coded = gzip(GzipBodyTests.hello)
        for count in 1..<coded.count {
            let result = post(Array(coded[..<count]))
            #expect(result.status == 400 && result.requests.isEmpty)
            #expect(result.refusal == "400 The gzip content of the request ends too early, after \(count) bytes.")
        }
    }

    @Test func truncatedSecondMember_isAnswered400() {
        let coded = gzip(GzipBodyTests.hello)
        #expect(post(coded + coded.dropLast()).status == 400)
    }

    @Test(arguments: [[0], [0x1E], Array("garbage".utf8)] as [[UInt8]])
    func trailingGarbage_isAnswered400(_ garbage: [UInt8]) {
        let coded = gzip(GzipBodyTests.hello)
        let result = post(coded + garbage)
        #expect(result.status == 400 && result.requests.isEmpty)
        #expect(
            result.refusal == "400 The gzip content of the request has data after its end, at byte \(coded.count)."
        )
    }

    @Test func damagedStream_isAnswered400_withItsPlace() {
        var coded = gzip(GzipBodyTests.hello)
        #expect(
            post(Array("not gzip at all".utf8)).refusal?.contains("damaged at byte 0: incorrect header check") == true
        )
        #expect(post([0x1F] + Array("garbage".utf8)).refusal?.contains("incorrect header check") == true)
        coded[coded.count - 5] ^= 1
        let checksum = post(coded)
        #expect(checksum.status == 400)
        #expect(checksum.refusal?.hasSuffix("damaged at byte \(coded.count - 8): incorrect data check.") == true)
        coded[coded.count - 5] ^= 1
        coded[coded.count - 1] ^= 1
        #expect(post(coded).refusal?.hasSuffix("damaged at byte \(coded.count - 4): incorrect length check.") == true)
        // A block of the reserved type (RFC 1951 §3.2.3).
        let reserved = Array(coded[..<10]) + [0x07]
        #expect(post(reserved).refusal?.hasSuffix("damaged at byte 10: invalid block type.") == true)
    }

    @Test func zlibAndRawDeflate_areNotTakenForGzip() {
        #expect(post([0x78, 0x9C, 0x03, 0x00, 0x00, 0x00, 0x00, 0x01]).status == 400)
        #expect(post([0x03, 0x00]).status == 400)
    }

    // MARK: Limits

    @Test func content_isAnswered413_beyondTheInflatedLimit() {
        var limits = HTTPLimits()
        limits.inflatedBodyBytes = 1_000
        let content = GzipBodyTests.noise(1_000)
        #expect(post(gzip(content), limits: limits).requests.map(\.body) == [content])
        let result = post(gzip(content + [0]), limits: limits)
        #expect(result.status == 413 && result.requests.isEmpty)
        // The limit applies across members.
        #expect(post(gzip(content) + gzip([0]), limits: limits).status == 413)
        limits.inflatedBodyBytes = 0
        #expect(post(gzip([]), limits: limits).requests.map(\.body) == [[]])
        #expect(post(gzip([0]), limits: limits).status == 413)
    }

    @Test func codedBody_isAnswered413_beyondTheLimitOfBodies() {
        var limits = HTTPLimits()
        let coded = gzip(GzipBodyTests.hello)
        limits.bodyBytes = coded.count
        #expect(post(coded, limits: limits).requests.count == 1)
        limits.bodyBytes = coded.count - 1
        #expect(post(coded, limits: limits).status == 413)
    }

    @Test func content_isAnswered413_beyondTheRatio() {
        // 64 KiB may have any ratio; one more byte must not.
        let floor = GzipDecoder.ratioFloor
        var limits = HTTPLimits()
        limits.inflationRatio = 1
        #expect(post(gzip([UInt8](repeating: 0, count: floor)), limits: limits).requests.count == 1)
        #expect(post(gzip([UInt8](repeating: 0, count: floor + 1)), limits: limits).status == 413)
        // At the ratio, and one beyond. The ratio is highest at the end, so no earlier check sees a higher one.
        let content = GzipBodyTests.noise(1_000) + [UInt8](repeating: 0, count: 3 * floor)
        let coded = gzip(content)
        limits.inflationRatio = (content.count + coded.count - 1) / coded.count
        #expect(post(coded, limits: limits).requests.map(\.body.count) == [content.count])
        limits.inflationRatio -= 1
        #expect(post(coded, limits: limits).status == 413)
    }

    @Test func bomb_isRefused_longBeforeItsEnd() {
        // 100 MB of zeros in 100 kB, within the limit on bodies.
        let coded = gzip([UInt8](repeating: 0, count: 100_000_000))
        var script = ScriptedConnection()
        script.receive(head(coded.count))
        var fed = 0
        while fed < coded.count, script.events.last != .refused(413) {
            script.receive(coded[fed..<min(fed + 100, coded.count)])
            fed += 100
        }
        #expect(script.events == [.head("POST /"), .refused(413)])
        #expect(fed < 1_000)
    }

    @Test func rejectedRequest_isNotInflated() {
        var script = ScriptedConnection()
        script.verdict = { _ in .reject(HTTPResponse(status: 404)) }
        let body = Array("no gzip".utf8)
        script.receive(head(body.count) + body + Array("GET / HTTP/1.1\r\nHost: a\r\n\r\n".utf8))
        #expect(script.events == [.head("POST /"), .head("GET /")])
    }
}
