// Parsing of addresses, and division of plans.

import Testing

@testable import Load

@Suite struct LoadTargetTests {
    @Test(arguments: [
        ("http://127.0.0.1:8080", LoadTarget.Endpoint.tcp(host: "127.0.0.1", port: 8_080), "127.0.0.1:8080", ""),
        ("HTTP://example.test", .tcp(host: "example.test", port: 80), "example.test", ""),
        ("http://[::1]:9/", .tcp(host: "::1", port: 9), "[::1]:9", ""),
        ("http://[::1]", .tcp(host: "::1", port: 80), "[::1]", ""),
        ("http://h:1/a/b//", .tcp(host: "h", port: 1), "h:1", "/a/b"),
        ("unix:/run/genrec.sock", .unix(path: "/run/genrec.sock"), "localhost", ""),
    ]) func address_IsRead(text: String, endpoint: LoadTarget.Endpoint, authority: String, path: String) throws {
        let target = try LoadTarget(parsing: text)
        #expect(target.endpoint == endpoint)
        #expect(target.authority == authority)
        #expect(target.basePath == path)
    }

    @Test(arguments: [
        ("", "neither"), ("127.0.0.1:8080", "neither"), ("ftp://h", "neither"), ("https://h", "https"),
        ("http://", "no host"), ("http://:80", "no host"), ("http:///x", "no host"), ("http://h:0", "port"),
        ("http://h:65536", "port"), ("http://h:+80", "port"), ("http://h:", "port"), ("http://h/x?y", "query"),
        ("http://h/#x", "query"), ("http://user:secret@h", "user"), ("http://h/a b", "space"),
        ("http://h\r\nX: y", "space"),
        ("http://hé", "ASCII"), ("unix:", "107"),
    ]) func whatIsNoAddress_IsRefusedInASentence(text: String, word: String) throws {
        let error = #expect(throws: LoadError.self) { try LoadTarget(parsing: text) }
        let description = try #require(error).description
        #expect(description.contains(word))
        #expect(!description.contains("secret"))
    }

    @Test func workersTogether_DoWhatThePlanSays() {
        var plan = LoadPlan(arrivals: .closed(connections: 10), duration: 1, seed: 3)
        plan.threads = 3
        plan.maximumConnections = 8
        let shares = (0..<3).map { plan.share($0) }
        let connections = shares.map { if case .closed(let count) = $0.arrivals { count } else { 0 } }
        #expect(connections == [4, 3, 3])
        #expect(shares.map(\.maximumConnections) == [3, 3, 2])
        #expect(Set(shares.map(\.seed)).count == 3)
        plan.arrivals = .open(rate: 300)
        #expect(plan.share(2).arrivals == .open(rate: 100))
    }
}
