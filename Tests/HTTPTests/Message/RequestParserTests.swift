// The request line and the field lines: RFC 9112 §2, §3, §5.

import Testing

@testable import HTTP

@Suite struct RequestLineTests {
    @Test func request_isReadWhole_whenWellFormed() throws {
        let result = outcome(of: "GET /a/b?x=1&y=%20 HTTP/1.1\r\nHost: example.com\r\nX-Test:  two words \r\n\r\n")
        let request = try #require(result.requests.first)
        #expect(request.method == .get)
        #expect(request.path == "/a/b")
        #expect(request.query == "x=1&y=%20")
        #expect(request.fields == ["Host=example.com", "X-Test=two words"])
        #expect(request.body.isEmpty)
        #expect(result.refusal == nil)
        #expect(result.unread == 0)
    }

    @Test(arguments: HTTPMethod.allCases) func method_isKnown(_ method: HTTPMethod) throws {
        let result = outcome(of: "\(method) / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
        #expect(result.requests.map(\.method) == [method])
    }

    @Test(arguments: ["get", "CONNECT", "trace", "BREW", "GETT", "G"])
    func method_isAnswered501_whenUnknown(_ method: String) {
        #expect(outcome(of: "\(method) / HTTP/1.1\r\nHost: a\r\n\r\n").status == 501)
    }

    @Test(
        arguments: [
            ("GET /path HTTP/1.1", "/path", nil),
            ("GET /path? HTTP/1.1", "/path", ""),
            ("GET /?a?b HTTP/1.1", "/", "a?b"),
            ("GET //double//slash HTTP/1.1", "//double//slash", nil),
            ("GET http://example.com/path?q HTTP/1.1", "/path", "q"),
            ("GET HTTP://example.com:80/path HTTP/1.1", "/path", nil),
            ("GET https://[::1]:8443 HTTP/1.1", "/", nil),
            ("GET http://example.com?q HTTP/1.1", "/", "q"),
            ("OPTIONS * HTTP/1.1", "*", nil),
            ("OPTIONS http://example.com HTTP/1.1", "*", nil),
        ] as [(String, String, String?)]
    )
    func target_isSplit(_ line: String, _ path: String, _ query: String?) {
        let result = outcome(of: "\(line)\r\nHost: example.com\r\n\r\n")
        #expect(result.requests.map(\.path) == [path])
        #expect(result.requests.first?.query == query)
    }

    @Test(arguments: [
        "GET",
        "GET ",
        "GET /",
        "GET / ",
        "GET  / HTTP/1.1",
        "GET /  HTTP/1.1",
        "GET / HTTP/1.1 ",
        " GET / HTTP/1.1",
        "GET /a b HTTP/1.1",
        "GET\t/\tHTTP/1.1",
        "G(T / HTTP/1.1",
        "GET * HTTP/1.1",
        "GET path HTTP/1.1",
        "GET example.com:80 HTTP/1.1",
        "GET ftp://example.com/ HTTP/1.1",
        "GET http:///path HTTP/1.1",
        "GET http://user@example.com/ HTTP/1.1",
        "GET http://a:99999/ HTTP/1.1",
        "GET /#fragment HTTP/1.1",
        "GET /\u{e9} HTTP/1.1",
        "GET / http/1.1",
        "GET / HTTP/1",
        "GET / HTTP/1.",
        "GET / HTTP/1.1.1",
        "GET / HTTP/11",
        "GET / HTTP/1.10",
        "GET / HTTP/ 1.1",
        "GET / HTTPS/1.1",
        "GET / HTTP/x.1",
        "GET / HTTP/1,1",
        "/ HTTP/1.1",
    ]) func line_isAnswered400_whenMalformed(_ line: String) {
        let result = outcome(of: "\(line)\r\nHost: a\r\n\r\n")
        #expect(result.status == 400)
        #expect(result.requests.isEmpty)
    }

    @Test(arguments: ["2.0", "0.9", "3.0", "9.9"]) func version_isAnswered505_whenMajorIsNot1(_ version: String) {
        #expect(outcome(of: "GET / HTTP/\(version)\r\nHost: a\r\n\r\n").status == 505)
        #expect(outcome(of: "PRI * HTTP/\(version)\r\n\r\nSM\r\n\r\n").status == 505)
    }

    @Test func version_isTakenFor11_whenMinorIsHigher() {
        #expect(outcome(of: "GET / HTTP/1.9\r\nHost: a\r\n\r\n").requests.count == 1)
    }

    @Test func emptyLine_isSkipped_onceBeforeARequest() {
        let request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
        #expect(outcome(of: "\r\n" + request).requests.count == 1)
        #expect(outcome(of: "\r\n" + request + "\r\n" + request).requests.count == 2)
        #expect(outcome(of: "\r\n\r\n" + request).status == 400)
        #expect(outcome(of: "\n" + request).status == 400)
    }

    @Test(arguments: [64, 100, 8_192]) func line_isAnswered414_beyondItsLimit(_ limit: Int) {
        var limits = HTTPLimits()
        limits.requestLineBytes = limit
        // "GET /" … " HTTP/1.1" CR LF is 16 bytes besides the rest of the path.
        let atLimit = "GET /\(String(repeating: "a", count: limit - 16)) HTTP/1.1\r\nHost: a\r\n\r\n"
        let beyond = "GET /\(String(repeating: "a", count: limit - 15)) HTTP/1.1\r\nHost: a\r\n\r\n"
        #expect(outcome(of: atLimit, limits: limits).requests.count == 1)
        #expect(outcome(of: beyond, limits: limits).status == 414)
        #expect(outcome(of: String(repeating: "A", count: limit + 1), limits: limits).status == 414)
    }

    @Test func line_isRefusedAtItsFirstControl_beforeItIsWhole() {
        // The first bytes of a TLS handshake, which may contain no LF for a long time.
        #expect(outcome(of: [0x16, 0x03, 0x01, 0x02]).status == 400)
    }
}

@Suite struct FieldLineTests {
    private func status(_ lines: String) -> Int? {
        let result = outcome(of: "GET / HTTP/1.1\r\nHost: a\r\n\(lines)\r\n\r\n")
        return result.status ?? (result.requests.count == 1 ? 200 : nil)
    }

    @Test(arguments: [
        "Name : value",
        "Name\t: value",
        " Name: value",
        "\tName: value",
        ": value",
        "Name",
        "Na me: value",
        "N\u{e4}me: value",
        "Name(: value",
        "Name: a\u{0}b",
        "Name: a\u{1}b",
        "Name: a\u{b}b",
        "Name: a\u{c}b",
        "Name: a\u{7f}b",
        "Name: a\rb",
        "Name: a\nb",
        "Name: a\r",
        "Name: a\r\n folded",
        "Name: a\r\n\tfolded",
        "Name: a\nOther: b",
    ]) func line_isAnswered400_whenMalformed(_ line: String) {
        #expect(status(line) == 400)
    }

    @Test(arguments: ["Name:", "Name: ", "Name:value", "Name: \t value \t", "Name: a\tb", "!#$%&'*+-.^_`|~: x"])
    func line_isTaken_whenWellFormed(_ line: String) {
        #expect(status(line) == 200)
    }

    @Test func value_keepsBytesAbove127() throws {
        let bytes = Array("GET / HTTP/1.1\r\nHost: a\r\nX: ".utf8) + [0xC3, 0xA4, 0xFF] + Array("\r\n\r\n".utf8)
        #expect(try #require(outcome(of: bytes).requests.first).fields.last == "X=ä\u{FFFD}")
    }

    @Test func count_isAnswered431_beyondItsLimit() {
        var limits = HTTPLimits()
        limits.fieldCount = 5
        let four = String(repeating: "A: b\r\n", count: 4)
        #expect(outcome(of: "GET / HTTP/1.1\r\nHost: a\r\n\(four)\r\n", limits: limits).requests.count == 1)
        #expect(outcome(of: "GET / HTTP/1.1\r\nHost: a\r\n\(four)A: b\r\n\r\n", limits: limits).status == 431)
    }

    @Test func bytes_areAnswered431_beyondTheirLimit() {
        var limits = HTTPLimits()
        limits.fieldBytes = 100
        // "Host: a" CR LF, "X: " … CR LF and CR LF are 16 bytes besides the value.
        func request(_ count: Int) -> String {
            "GET / HTTP/1.1\r\nHost: a\r\nX: \(String(repeating: "v", count: count))\r\n\r\n"
        }
        #expect(outcome(of: request(84), limits: limits).requests.count == 1)
        #expect(outcome(of: request(85), limits: limits).status == 431)
        #expect(outcome(of: request(5_000), limits: limits).status == 431)
    }

    @Test func detail_namesLineAndFault() {
        let result = outcome(of: "GET / HTTP/1.1\r\nHost: a\r\nName : value\r\n\r\n")
        #expect(result.refusal == "400 Field line 2 has white space before its colon.")
    }

    @Test func header_isFoundWhateverItsCase() throws {
        var script = ScriptedConnection()
        script.receive("GET / HTTP/1.1\r\nHoSt: a\r\nACCEPT: x\r\nAccept: y\r\nAccept-Language: z\r\n\r\n")
        let head = try #require(script.requests.first).head
        #expect(head.header("host") == "a")
        #expect(head.header("accept") == "x")
        #expect(head.headers("accept") == ["x", "y"])
        #expect(head.combinedHeader("accept") == "x, y")
        #expect(head.header("accept-encoding") == nil)
        #expect(head.combinedHeader("accept-encoding") == nil)
    }
}

@Suite struct HostTests {
    private func status(_ lines: String, version: String = "1.1") -> Int {
        outcome(of: "GET / HTTP/\(version)\r\n\(lines)\r\n").status ?? 200
    }

    @Test func host_isRequiredExactlyOnce() {
        #expect(status("") == 400)
        #expect(status("", version: "1.0") == 200)
        #expect(status("Host: a\r\n") == 200)
        #expect(status("Host: a\r\nHost: a\r\n") == 400)
        #expect(status("Host: a\r\nhost: b\r\n", version: "1.0") == 400)
    }

    @Test(arguments: [
        "", "a", "a.b:80", "a:", "127.0.0.1:8080", "[::1]", "[::1]:65535", "a%20b", "x_y-z~", "a;b,c=(d)",
    ])
    func host_isTaken_whenValid(_ host: String) {
        #expect(status("Host: \(host)\r\n") == 200)
    }

    @Test(arguments: [
        "a b", "a/b", "a:b", "a:65536", "a:80:80", "user@a", "[::1", "[]", "[::g]", "a\\b", "a,b c", "<a>", "a#b",
    ])
    func host_isAnswered400_whenInvalid(_ host: String) {
        #expect(status("Host: \(host)\r\n") == 400)
    }
}
