// One test for each class of parser bug found in real servers and proxies: most of them let two readers see different
// requests in the same bytes. RequestParserTests and MessageBodyTests test the grammar itself; here each class has its
// name, so that a regression is recognised.

import Testing

@testable import HTTP

@Suite struct RealWorldBugTests {
    private static let head = "POST / HTTP/1.1\r\nHost: a\r\n"
    private static let chunkedHead = head + "Transfer-Encoding: chunked\r\n\r\n"
    private static let smuggled = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"

    /// Expects this status, and that no request is delivered, in particular not the smuggled one.
    private func expectRefused(_ text: String, _ status: Int = 400, sourceLocation: SourceLocation = #_sourceLocation) {
        let result = outcome(of: text + RealWorldBugTests.smuggled, sourceLocation: sourceLocation)
        #expect(result.status == status, sourceLocation: sourceLocation)
        #expect(result.requests.isEmpty, sourceLocation: sourceLocation)
    }

    // MARK: Chunk sizes

    @Test(arguments: ["0x5", "0X5", "5_", "5_0", "_5", "+5", "-5", "-0", "+0"])
    func chunkSize_asALenientIntegerParserReadsIt(_ size: String) {
        expectRefused(RealWorldBugTests.chunkedHead + "\(size)\r\nhello\r\n0\r\n\r\n")
    }

    @Test(arguments: ["", ";", " ", "\t"]) func chunkSize_emptyTakenForZero(_ size: String) {
        expectRefused(RealWorldBugTests.chunkedHead + "\(size)\r\n\r\n")
    }

    @Test(arguments: ["5xyz", "5 hello", "0\u{0}", "5.0", "5,", "5\u{b}", "5\u{85}"])
    func chunkSize_longestPrefixTaken(_ size: String) {
        expectRefused(RealWorldBugTests.chunkedHead + "\(size)\r\nhello\r\n0\r\n\r\n")
    }

    @Test(arguments: ["80000000", "100000000", "ffffffff"]) func chunkSize_overflowing32Bits(_ size: String) {
        expectRefused(RealWorldBugTests.chunkedHead + "\(size)\r\n", 413)
    }

    @Test(arguments: ["8000000000000000", "ffffffffffffffff", "10000000000000005", "fffffffffffffffffffffffff"])
    func chunkSize_overflowing64Bits(_ size: String) {
        expectRefused(RealWorldBugTests.chunkedHead + "\(size)\r\nhello\r\n")
    }

    // MARK: Content-Length

    @Test(arguments: ["+5", "-5", "5_0", "0x5", "", "5 ", "5\u{b}", "5;", "5abc", "5,5", "5\u{0}"])
    func contentLength_asALenientIntegerParserReadsIt(_ length: String) {
        // White space at the end is not part of the value: this length is legal, and is read as 5.
        if length == "5 " {
            let result = outcome(of: RealWorldBugTests.head + "Content-Length: 5 \r\n\r\nhello")
            #expect(result.requests.first?.body.count == 5)
        } else {
            expectRefused(RealWorldBugTests.head + "Content-Length: \(length)\r\n\r\nhello")
        }
    }

    @Test func contentLength_leadingZeroTakenForOctal() {
        let result = outcome(of: RealWorldBugTests.head + "Content-Length: 010\r\n\r\n0123456789")
        #expect(result.requests.first?.body.count == 10)
    }

    @Test(arguments: [("0", "34"), ("34", "0"), ("5", "5")])
    func contentLength_firstOrLastOfTwoWins(_ first: String, _ second: String) {
        expectRefused(RealWorldBugTests.head + "Content-Length: \(first)\r\nContent-Length: \(second)\r\n\r\n")
    }

    @Test func contentLength_negativeMakesABusyLoop() {
        expectRefused(RealWorldBugTests.head + "Content-Length: -9223372036854775808\r\n\r\n")
        expectRefused(RealWorldBugTests.head + "Content-Length: 18446744073709551615\r\n\r\n")
    }

    @Test func contentLength_zeroAndThePipelinedRequestTakenForTheBody() {
        let result = outcome(of: RealWorldBugTests.head + "Content-Length: 0\r\n\r\n" + RealWorldBugTests.smuggled)
        #expect(result.requests.map(\.path) == ["/", "/smuggled"])
        #expect(result.requests.map(\.body) == [[], []])
    }

    @Test func contentLength_ignoredOnGet() {
        let result = outcome(
            of: "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello" + RealWorldBugTests.smuggled
        )
        #expect(result.requests.map(\.body.count) == [5, 0])
    }

    // MARK: Transfer-Encoding

    @Test func transferEncoding_givenTwice() {
        expectRefused(
            RealWorldBugTests.head + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        )
        expectRefused(
            RealWorldBugTests.head + "Transfer-Encoding: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        )
    }

    @Test(arguments: [
        ",chunked", "chunked,", "x\u{b}chunked", "\u{b}chunked", "chunked\u{c}", "\u{a0}chunked", "chunked\u{85}",
    ])
    func transferEncoding_withStrayBytesTakenForChunked(_ coding: String) {
        expectRefused(RealWorldBugTests.head + "Transfer-Encoding: \(coding)\r\n\r\n0\r\n\r\n")
    }

    @Test func transferEncoding_unknownTakenForChunked() {
        expectRefused(RealWorldBugTests.head + "Transfer-Encoding: cow\r\n\r\n0\r\n\r\n")
        expectRefused(RealWorldBugTests.head + "Transfer-Encoding: cow, chunked\r\n\r\n0\r\n\r\n", 501)
    }

    @Test func transferEncoding_withContentLength() {
        expectRefused(RealWorldBugTests.head + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
        expectRefused(RealWorldBugTests.head + "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n0\r\n\r\n")
    }

    @Test func transferEncoding_hiddenBehindSpaceBeforeColon() {
        expectRefused(RealWorldBugTests.head + "Content-Length: 5\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n")
    }

    // MARK: Field lines

    @Test(arguments: [0x0B, 0x0C, 0xA0, 0x85, 0x1F, 0x00] as [UInt8])
    func fieldName_strippedOfBytesThatAreNoWhiteSpace(_ byte: UInt8) {
        for name in [[byte] + Array("Content-Length".utf8), Array("Content-Length".utf8) + [byte]] {
            let bytes = Array(RealWorldBugTests.head.utf8) + name + Array(": 5\r\n\r\nhello".utf8)
            let result = outcome(of: bytes)
            #expect(result.status == 400)
            #expect(result.requests.isEmpty)
        }
    }

    @Test(arguments: [0xA0, 0x85] as [UInt8]) func fieldValue_strippedOfBytesThatAreNoWhiteSpace(_ byte: UInt8) {
        let bytes = Array((RealWorldBugTests.head + "Content-Length: 5").utf8) + [byte] + Array("\r\n\r\nhello".utf8)
        #expect(outcome(of: bytes).status == 400)
    }

    @Test(arguments: ["a\u{0}b", "a\rb", "a\nb", "\u{0}", "a\r", "\ra"]) func fieldValue_withNulOrLineEnd(
        _ value: String
    ) {
        expectRefused(RealWorldBugTests.head + "X: \(value)\r\nContent-Length: 0\r\n\r\n")
    }

    @Test func carriageReturn_takenForALineEnd() {
        expectRefused("GET / HTTP/1.1\rHost: a\r\r")
        expectRefused("GET / HTTP/1.1\r\nHost: a\rX: y\r\n\r\n")
    }

    @Test func lineFeed_takenForALineEnd() {
        expectRefused("GET / HTTP/1.1\nHost: a\n\n")
        expectRefused("GET / HTTP/1.1\r\nHost: a\n\r\n")
        expectRefused("GET / HTTP/1.1\r\nHost: a\r\n\n")
    }

    @Test func lineFeed_takenForASpaceInTheRequestLine() {
        expectRefused("GET\n/ HTTP/1.1\r\nHost: a\r\n\r\n")
        expectRefused("GET /\nHTTP/1.1\r\nHost: a\r\n\r\n")
    }

    @Test func headEnd_takenFromCarriageReturnAndAnyByte() {
        expectRefused("GET / HTTP/1.1\r\nHost: a\r\n\rX")
        expectRefused("GET / HTTP/1.1\r\nHost: a\r\n\r\r\n")
    }

    @Test(arguments: ["NoColon", ": empty", "", " : x"]) func fieldLine_withoutColonOrName(_ line: String) {
        // The empty line ends the head, and is legal.
        if line.isEmpty { return }
        expectRefused("GET / HTTP/1.1\r\nHost: a\r\n\(line)\r\n\r\n")
    }

    @Test func fieldLine_firstOneBeginningWithWhiteSpace() {
        expectRefused("GET / HTTP/1.1\r\n Host: a\r\nHost: a\r\n\r\n")
        expectRefused("GET / HTTP/1.1\r\n\tX: y\r\nHost: a\r\n\r\n")
    }

    @Test func fieldLine_foldedNameOrValue() {
        expectRefused("GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n z\r\n\r\n")
        expectRefused("GET / HTTP/1.1\r\nHost: a\r\nNa\r\n me: y\r\n\r\n")
    }

    // MARK: Versions

    @Test(arguments: ["HTTP/1.257", "HTTP/257.1", "HTTP/1.01", "HTTP/01.1", "HTTP/1.-1", "HTTP/+1.1"])
    func version_overflowing8Bits(_ version: String) {
        expectRefused("GET / \(version)\r\nHost: a\r\n\r\n")
    }

    // MARK: Chunk lines

    @Test func chunk_endedByABareLineFeed() {
        expectRefused(RealWorldBugTests.chunkedHead + "5\nhello\n0\n\n")
        expectRefused(RealWorldBugTests.chunkedHead + "5\r\nhello\n0\r\n\r\n")
        expectRefused(RealWorldBugTests.chunkedHead + "5;\nhello\r\n0\r\n\r\n")
    }

    @Test func chunk_endedByAnyTwoBytes() {
        expectRefused(RealWorldBugTests.chunkedHead + "5\r\nhelloXX0\r\n\r\n")
    }

    // MARK: Replies

    @Test func refusal_ofAPipelinedRequest_doesNotKillTheEarlierReply() {
        var script = ScriptedConnection(reply: nil)
        script.receive("GET /slow HTTP/1.1\r\nHost: a\r\n\r\nBROKEN\r\n\r\n")
        #expect(script.events == [.head("GET /slow"), .request("GET /slow 0")])
        #expect(script.takeOutput() == "")
        script.respond(HTTPResponse(status: 200, body: Array("answer".utf8)))
        let text = script.takeOutput()
        #expect(text.hasPrefix("HTTP/1.1 200 OK\r\n"))
        #expect(text.contains("answerHTTP/1.1 400 Bad Request\r\n"))
        #expect(script.events.last == .refused(400))
    }

    @Test func reply_isNotSent_beforeTheBodyHasEnded() {
        var script = ScriptedConnection()
        script.receive(RealWorldBugTests.head + "Content-Length: 5\r\n\r\nhell")
        #expect(script.takeOutput() == "")
        script.receive("o")
        #expect(script.takeOutput().hasPrefix("HTTP/1.1 200 OK\r\n"))
    }

    @Test func nothingIsDelivered_afterARefusal() {
        var script = ScriptedConnection()
        script.receive("BROKEN\r\n\r\n" + RealWorldBugTests.smuggled)
        script.receive(RealWorldBugTests.smuggled)
        #expect(script.events == [.refused(400)])
        #expect(script.finishOutput().ending == .shutdownWrite)
        script.receive(RealWorldBugTests.smuggled)
        #expect(script.events == [.refused(400)])
    }
}
