// The length of a message: Content-Length, Transfer-Encoding and the chunked coding (RFC 9112 §6, §7).

import Testing

@testable import HTTP

@Suite struct ContentLengthTests {
    private func post(_ fields: String, _ body: String) -> RequestOutcome {
        outcome(of: "POST / HTTP/1.1\r\nHost: a\r\n\(fields)\r\n\r\n\(body)")
    }

    @Test func body_isRead_toItsLength() {
        let result = post("Content-Length: 5", "hello")
        #expect(result.requests.map(\.body) == [Array("hello".utf8)])
    }

    @Test func body_endsWhereTheNextRequestBegins() {
        let result = post("Content-Length: 5", "helloGET /next HTTP/1.1\r\nHost: a\r\n\r\n")
        #expect(result.requests.map(\.path) == ["/", "/next"])
        #expect(result.requests.map(\.body) == [Array("hello".utf8), []])
    }

    @Test func request_isNotDelivered_beforeItsBodyIsWhole() {
        #expect(post("Content-Length: 5", "hell").requests.isEmpty)
    }

    @Test(arguments: ["0", "00", "0005"]) func length_isDecimal_whateverItsZeros(_ length: String) {
        #expect(post("Content-Length: \(length)", "hello").requests.first?.body.count == (length == "0005" ? 5 : 0))
    }

    @Test(arguments: [
        "", "+5", "-5", "-0", "0x5", "5_0", "5 5", "5,5", "5, 5", "5;", "five", "5.0", "1e1", "\u{662}", " ", "5\u{a0}",
        "0b1",
        "99999999999999999999", "9223372036854775808", "18446744073709551621",
    ]) func length_isAnswered400_whenNoNumber(_ length: String) {
        let result = post("Content-Length: \(length)", "hello")
        #expect(result.status == 400)
        #expect(result.requests.isEmpty)
    }

    @Test func length_isAnswered400_whenGivenTwice() {
        #expect(post("Content-Length: 5\r\nContent-Length: 5", "hello").status == 400)
        #expect(post("Content-Length: 5\r\nContent-Length: 6", "hello").status == 400)
        #expect(post("Content-Length: 0\r\nContent-Length: 5", "hello").status == 400)
    }

    @Test(arguments: [HTTPMethod.post, .put, .patch]) func length_isAnswered411_whenMissing(_ method: HTTPMethod) {
        #expect(outcome(of: "\(method) / HTTP/1.1\r\nHost: a\r\n\r\n").status == 411)
        #expect(outcome(of: "\(method) / HTTP/1.0\r\n\r\n").status == 411)
    }

    @Test(arguments: [HTTPMethod.get, .head, .delete, .options]) func length_mayBeMissing(_ method: HTTPMethod) {
        #expect(outcome(of: "\(method) / HTTP/1.1\r\nHost: a\r\n\r\n").requests.count == 1)
    }

    @Test func body_isAnswered413_beyondTheHandlersLimit() {
        let ten = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n0123456789"
        #expect(outcome(of: ten, maximumBody: 10).requests.count == 1)
        #expect(outcome(of: ten, maximumBody: 9).status == 413)
        var limits = HTTPLimits()
        limits.bodyBytes = 9
        #expect(outcome(of: ten, limits: limits).status == 413)
    }
}

@Suite struct TransferEncodingTests {
    private func status(_ fields: String, version: String = "1.1") -> Int {
        outcome(of: "POST / HTTP/\(version)\r\nHost: a\r\n\(fields)\r\n\r\n0\r\n\r\n").status ?? 200
    }

    @Test(arguments: ["chunked", "Chunked", "CHUNKED", " chunked "]) func coding_isTaken_whenChunked(_ coding: String) {
        #expect(status("Transfer-Encoding: \(coding)") == 200)
    }

    @Test(arguments: [
        "", ",chunked", "chunked,", "chunked, chunked", "chunked,chunked", "chunked;q=1", "chunked x", "chunked, gzip",
        "gzip",
        "identity", "xchunked", "chunkedx", "\"chunked\"", "chunked,identity", "chun ked",
    ]) func coding_isAnswered400_whenTheEndIsInDoubt(_ coding: String) {
        #expect(status("Transfer-Encoding: \(coding)") == 400)
    }

    @Test(arguments: ["gzip, chunked", "identity,chunked", "foo , chunked"])
    func coding_isAnswered501_whenUnknownBeforeChunked(_ coding: String) {
        #expect(status("Transfer-Encoding: \(coding)") == 501)
    }

    @Test func coding_isAnswered400_whenGivenTwice() {
        #expect(status("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked") == 400)
        #expect(status("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity") == 400)
    }

    @Test func coding_isAnswered400_withContentLength() {
        #expect(status("Transfer-Encoding: chunked\r\nContent-Length: 5") == 400)
        #expect(status("Content-Length: 5\r\nTransfer-Encoding: chunked") == 400)
        #expect(status("Content-Length: 0\r\nTransfer-Encoding: chunked") == 400)
    }

    @Test func coding_isAnswered400_inVersion10() {
        #expect(status("Transfer-Encoding: chunked", version: "1.0") == 400)
    }
}

@Suite struct ChunkedBodyTests {
    private func post(_ body: String, limits: HTTPLimits = HTTPLimits(), maximumBody: Int = 1 << 20) -> RequestOutcome {
        let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        return outcome(of: head + body, limits: limits, maximumBody: maximumBody)
    }

    @Test(arguments: [
        ("0\r\n\r\n", ""),
        ("5\r\nhello\r\n0\r\n\r\n", "hello"),
        ("5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", "hello world"),
        ("a\r\n0123456789\r\n0\r\n\r\n", "0123456789"),
        ("A\r\n0123456789\r\n00\r\n\r\n", "0123456789"),
        ("0005\r\nhello\r\n0000\r\n\r\n", "hello"),
        ("5;ext\r\nhello\r\n0;last=\"q;\"\r\n\r\n", "hello"),
        ("5 ; ext\r\nhello\r\n0\r\n\r\n", "hello"),
        ("5\r\nhello\r\n0\r\nTrailer: dropped\r\nOther:\r\n\r\n", "hello"),
        ("7\r\nhe\r\nllo\r\n0\r\n\r\n", "he\r\nllo"),
    ]) func content_isPutTogether(_ body: String, _ content: String) {
        let result = post(body + "GET /next HTTP/1.1\r\nHost: a\r\n\r\n")
        #expect(result.requests.map(\.path) == ["/", "/next"])
        #expect(result.requests.first?.body == Array(content.utf8))
        #expect(result.requests.first?.fields.contains { $0.hasPrefix("Trailer") } == false)
    }

    @Test(arguments: [
        "\r\nhello\r\n0\r\n\r\n",
        ";ext\r\n\r\n",
        "0x5\r\nhello\r\n",
        "5_0\r\nhello\r\n",
        "+5\r\nhello\r\n",
        "-5\r\nhello\r\n",
        "-0\r\n\r\n",
        " 5\r\nhello\r\n",
        "5 \r\nhello\r\n",
        "5 5\r\nhello\r\n",
        "5h\r\nhello\r\n",
        "g\r\n",
        "5\nhello\r\n0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
        "5\r\nhelloX\r\n",
        "5\r\nhello\rX",
        "5\rhello",
        "4\r\nhello\r\n",
        "5;a\u{0}b\r\n",
        "5;a\nb\r\n",
        "5;a\rb\r\n",
        "10000000000000000\r\n",
        "8000000000000000\r\n",
        "ffffffffffffffff\r\n",
        "00000000000000005\r\nhello\r\n",
        "0\n\r\n",
        "0\r\n\n",
        "0\r\n\rX",
        "0\r\nX\r\n\r\n",
        "0\r\nName : x\r\n\r\n",
        "0\r\n Name: x\r\n\r\n",
        "0\r\n: x\r\n\r\n",
        "0\r\nName: x\n\r\n",
        "0\r\nName: \u{0}\r\n\r\n",
        "0\r\nName: a\rb\r\n\r\n",
    ]) func chunk_isAnswered400_whenMalformed(_ body: String) {
        let result = post(body)
        #expect(result.status == 400)
        #expect(result.requests.isEmpty)
    }

    @Test func body_isAnswered413_beyondTheHandlersLimit() {
        #expect(post("5\r\nhello\r\n5\r\nworld\r\n0\r\n\r\n", maximumBody: 10).requests.count == 1)
        #expect(post("5\r\nhello\r\n6\r\nworlds\r\n0\r\n\r\n", maximumBody: 10).status == 413)
        #expect(post("7fffffffffffffff\r\n", maximumBody: 10).status == 413)
        #expect(post("1\r\na\r\n0\r\n\r\n", maximumBody: 0).status == 413)
        #expect(post("0\r\n\r\n", maximumBody: 0).requests.count == 1)
    }

    @Test func extensions_areAnswered400_beyondTheirLimit() {
        var limits = HTTPLimits()
        limits.chunkExtensionBytes = 8
        // Four bytes each, including the semicolon: the limit applies to all chunks together.
        #expect(post("1;abc\r\nx\r\n0;def\r\n\r\n", limits: limits).requests.count == 1)
        #expect(post("1;abc\r\nx\r\n0;defg\r\n\r\n", limits: limits).status == 400)
        #expect(post("1\(String(repeating: " ", count: 9))", limits: limits).status == 400)
    }

    @Test func trailers_areAnswered431_beyondTheirLimit() {
        var limits = HTTPLimits()
        limits.trailerBytes = 12
        // "A: b" CR LF is six bytes.
        #expect(post("0\r\nA: b\r\nA: b\r\n\r\n", limits: limits).requests.count == 1)
        #expect(post("0\r\nA: b\r\nA: bc\r\n\r\n", limits: limits).status == 431)
    }
}
