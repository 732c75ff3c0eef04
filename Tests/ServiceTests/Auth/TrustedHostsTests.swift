// The hosts and web pages that a server without keys trusts.

import HTTP
import Testing

@testable import Service

@Suite struct TrustedHostsTests {
    private static func head(_ fields: String...) throws -> HTTPRequestHead {
        let text = "GET /metrics HTTP/1.1\r\n" + fields.map { $0 + "\r\n" }.joined() + "\r\n"
        return try #require(HTTPRequestHead(parsing: Array(text.utf8)))
    }

    private let hosts = TrustedHosts(["genrec.example", "192.0.2.7"])

    @Test(arguments: [
        "localhost", "LocalHost:8080", "localhost.", "127.0.0.1", "127.9.9.9:1", "[::1]", "[::1]:8080",
        "[::ffff:127.0.0.1]", "genrec.example", "GENREC.example.:443", "192.0.2.7:80",
    ])
    func hostOfThisServer_IsTrusted(host: String) throws {
        #expect(hosts.trustsHost(of: try Self.head("Host: \(host)")))
    }

    /// Includes names that look like loopback but that anybody can register, and forms of addresses that browsers never
    /// send.
    @Test(arguments: [
        "evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "127.1", "2130706433", "0x7f.0.0.1",
        "0.0.0.0",
        "[::]", "[::ffff:192.0.2.1]", "192.0.2.1", "sub.genrec.example", "", ":80", "*",
    ])
    func anyOtherHost_IsNot(host: String) throws {
        #expect(!hosts.trustsHost(of: try Self.head("Host: \(host)")))
    }

    @Test func missingHost_IsNotTrusted() throws {
        let head = try #require(HTTPRequestHead(parsing: Array("GET / HTTP/1.0\r\n\r\n".utf8)))
        #expect(!hosts.trustsHost(of: head))
    }

    @Test(arguments: [
        ("localhost:8080", "http://localhost:8080"), ("localhost", "https://localhost"),
        ("LOCALHOST:1", "http://localhost:1"),
        ("[::1]:8080", "http://[::1]:8080"), ("10.0.0.5:8080", "http://10.0.0.5:8080"),
        ("genrec.example", "https://genrec.example"), ("localhost:8080", "https://genrec.example"),
        ("genrec.example:1", "http://genrec.example:2"),
    ])
    func pageOfThisServer_IsNotForeign(host: String, origin: String) throws {
        #expect(!hosts.isFromForeignPage(try Self.head("Host: \(host)", "Origin: \(origin)")))
    }

    @Test(arguments: [
        ("localhost:8080", "http://evil.example"), ("localhost:8080", "http://localhost:3000"),
        ("localhost:8080", "http://127.0.0.1:8080"), ("evil.example:8080", "http://evil.example:8080"),
        ("10.0.0.5:8080", "http://10.0.0.6:8080"), ("localhost", "null"), ("localhost", ""), ("localhost", "localhost"),
        ("localhost", "http://"), ("localhost", "http://user@localhost"), ("localhost", "http://localhost/path"),
    ])
    func anyOtherPage_IsForeign(host: String, origin: String) throws {
        #expect(hosts.isFromForeignPage(try Self.head("Host: \(host)", "Origin: \(origin)")))
    }

    @Test func twoOrigins_AreForeign_AndNoneIsNoPage() throws {
        let origin = "Origin: http://localhost"
        #expect(hosts.isFromForeignPage(try Self.head("Host: localhost", origin, origin)))
        #expect(!hosts.isFromForeignPage(try Self.head("Host: anything.example")))
    }

    @Test func hosts_AreSeparatedByCommas() throws {
        #expect(try TrustedHosts.names(in: "") == [])
        #expect(try TrustedHosts.names(in: " A.example ,b-1,::1,10.0.0.1") == ["a.example", "b-1", "::1", "10.0.0.1"])
        for text in ["a:80", "a b", "http://a", "[::1]", "a, ,b", "a/b", "*"] {
            #expect(throws: ConfigurationError.self, "\(text)") { try TrustedHosts.names(in: text) }
        }
    }
}
