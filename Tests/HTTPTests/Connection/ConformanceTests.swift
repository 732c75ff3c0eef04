// The cases of h1spec (uNetworking/h1spec), rewritten from their titles: what every HTTP/1.1 server must accept and
// refuse. Each runs through the verifier, which is h1spec's "fragmented at every cut point".

import Testing

@testable import HTTP

@Suite struct ConformanceTests {
    /// One case: the bytes, and whether the server answers 2xx, or answers 4xx or 5xx and closes.
    struct Case: Sendable, CustomTestStringConvertible {
        var name: String
        var request: String
        var isAccepted: Bool

        var testDescription: String { name }
    }

    static let cases: [Case] = [
        Case(name: "minimal GET", request: "GET / HTTP/1.1\r\nHost: a\r\n\r\n", isAccepted: true),
        Case(name: "GET with query", request: "GET /?a=b HTTP/1.1\r\nHost: a\r\n\r\n", isAccepted: true),
        Case(name: "no Host", request: "GET / HTTP/1.1\r\n\r\n", isAccepted: false),
        Case(name: "two Hosts", request: "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", isAccepted: false),
        Case(name: "empty field value", request: "GET / HTTP/1.1\r\nHost: a\r\nX:\r\n\r\n", isAccepted: true),
        Case(name: "no space after colon", request: "GET / HTTP/1.1\r\nHost:a\r\n\r\n", isAccepted: true),
        Case(name: "many fields", request: "GET / HTTP/1.1\r\nHost: a\r\n\(fields(50))\r\n", isAccepted: true),
        Case(name: "CR in name", request: "GET / HTTP/1.1\r\nHost: a\r\nX\r: y\r\n\r\n", isAccepted: false),
        Case(name: "LF in name", request: "GET / HTTP/1.1\r\nHost: a\r\nX\n: y\r\n\r\n", isAccepted: false),
        Case(name: "NUL in value", request: "GET / HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n", isAccepted: false),
        Case(name: "control in value", request: "GET / HTTP/1.1\r\nHost: a\r\nX: \u{8}\r\n\r\n", isAccepted: false),
        Case(name: "bracket in name", request: "GET / HTTP/1.1\r\nHost: a\r\n[X]: y\r\n\r\n", isAccepted: false),
        Case(name: "space in name", request: "GET / HTTP/1.1\r\nHost: a\r\nX Y: y\r\n\r\n", isAccepted: false),
        Case(name: "space before colon", request: "GET / HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n", isAccepted: false),
        Case(name: "no colon", request: "GET / HTTP/1.1\r\nHost: a\r\nX y\r\n\r\n", isAccepted: false),
        Case(name: "negative Content-Length", request: post("Content-Length: -1", ""), isAccepted: false),
        Case(name: "overflowing Content-Length", request: post("Content-Length: \(nines)", ""), isAccepted: false),
        Case(name: "negative overflow", request: post("Content-Length: -\(nines)", ""), isAccepted: false),
        Case(name: "Content-Length in hexadecimal", request: post("Content-Length: 0x1", "a"), isAccepted: false),
        Case(name: "Content-Length of letters", request: post("Content-Length: abc", ""), isAccepted: false),
        Case(name: "empty Content-Length", request: post("Content-Length:", ""), isAccepted: false),
        Case(name: "POST with body", request: post("Content-Length: 5", "hello"), isAccepted: true),
        Case(name: "HTTP/1.0", request: "GET / HTTP/1.0\r\n\r\n", isAccepted: true),
        Case(name: "HTTP/9.9", request: "GET / HTTP/9.9\r\nHost: a\r\n\r\n", isAccepted: false),
        Case(name: "not HTTP", request: "GET / HTPP/1.1\r\nHost: a\r\n\r\n", isAccepted: false),
        Case(name: "prefix of a version", request: "GET / HTTP/1\r\nHost: a\r\n\r\n", isAccepted: false),
        Case(name: "no version", request: "GET /\r\nHost: a\r\n\r\n", isAccepted: false),
        Case(name: "extra token", request: "GET / HTTP/1.1 x\r\nHost: a\r\n\r\n", isAccepted: false),
        Case(name: "bare LF line ends", request: "GET / HTTP/1.1\nHost: a\n\n", isAccepted: false),
        Case(name: "chunked", request: post(chunked, "5\r\nhello\r\n0\r\n\r\n"), isAccepted: true),
        Case(name: "chunk size of letters", request: post(chunked, "xyz\r\nhello\r\n0\r\n\r\n"), isAccepted: false),
        Case(name: "chunk longer than its size", request: post(chunked, "4\r\nhello\r\n0\r\n\r\n"), isAccepted: false),
        Case(
            name: "chunked and Content-Length",
            request: post("\(chunked)\r\nContent-Length: 5", "5\r\nhello\r\n0\r\n\r\n"),
            isAccepted: false
        ),
        Case(
            name: "Expect: 100-continue",
            request: post("Content-Length: 5\r\nExpect: 100-continue", "hello"),
            isAccepted: true
        ),
        Case(name: "unknown expectation", request: post("Content-Length: 0\r\nExpect: 200-ok", ""), isAccepted: false),
    ]

    private static let nines = String(repeating: "9", count: 40)
    private static let chunked = "Transfer-Encoding: chunked"

    private static func fields(_ count: Int) -> String {
        (0..<count).map { "X-\($0): y\r\n" }.joined()
    }

    private static func post(_ fields: String, _ body: String) -> String {
        "POST / HTTP/1.1\r\nHost: a\r\n\(fields)\r\n\r\n\(body)"
    }

    @Test(arguments: cases) func request_isAcceptedOrRefused(_ testCase: Case) {
        let result = outcome(of: testCase.request)
        if testCase.isAccepted {
            #expect(result.status == nil)
            #expect(result.requests.count == 1)
        } else {
            #expect((result.status ?? 0) >= 400)
            #expect(result.requests.isEmpty)
        }
    }
}
