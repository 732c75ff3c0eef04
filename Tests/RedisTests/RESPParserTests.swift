// Values parsed from bytes, whole and in pieces, and invalid bytes.

import Random
import Redis
import Testing

@Suite struct RESPParserTests {
    private static func text(_ string: String) -> RESPValue { .text(Array(string.utf8)[...]) }

    /// Parses bytes in pieces of a given size.
    private static func parse(_ string: String, piece: Int, limit: Int = 1 << 20) throws(RESPError) -> [RESPValue] {
        var parser = RESPParser(limit: limit)
        var values: [RESPValue] = []
        let bytes = Array(string.utf8)
        for start in stride(from: 0, to: bytes.count, by: piece) {
            bytes[start..<min(start + piece, bytes.count)].withUnsafeBytes { parser.append($0) }
            while let value = try parser.next() { values.append(value) }
        }
        return values
    }

    private static let cases: [(String, RESPValue)] = [
        ("+OK\r\n", text("OK")), ("-ERR no\r\n", .error("ERR no")), ("!6\r\nERR no\r\n", .error("ERR no")),
        (":-12\r\n", .integer(-12)), (":9223372036854775807\r\n", .integer(.max)),
        ("$5\r\na\r\nbc\r\n", text("a\r\nbc")), ("$0\r\n\r\n", text("")), ("$-1\r\n", .null), ("*-1\r\n", .null),
        ("_\r\n", .null), ("#t\r\n", .boolean(true)), ("#f\r\n", .boolean(false)), (",1.5\r\n", .double(1.5)),
        ("(123456789012345678901234567890\r\n", text("123456789012345678901234567890")),
        ("=7\r\ntxt:abc\r\n", text("abc")), ("*0\r\n", .array([])),
        ("*2\r\n$1\r\na\r\n*2\r\n:1\r\n*0\r\n", .array([text("a"), .array([.integer(1), .array([])])])),
        ("~1\r\n+x\r\n", .array([text("x")])), ("%1\r\n+k\r\n:2\r\n", .map([text("k"), .integer(2)])),
        (">2\r\n+message\r\n+x\r\n", .push([text("message"), text("x")])),
        // An attribute describes the value that follows it.
        ("|1\r\n+ttl\r\n:3\r\n:7\r\n", .integer(7)), ("|0\r\n:7\r\n", .integer(7)),
        ("*2\r\n|1\r\n+a\r\n%1\r\n+b\r\n+c\r\n:1\r\n:2\r\n", .array([.integer(1), .integer(2)])),
    ]

    @Test(arguments: [1, 2, 3, 7, 1_000]) func values_AreRead_HoweverTheyAreDivided(piece: Int) throws {
        for (bytes, value) in Self.cases { #expect(try Self.parse(bytes, piece: piece) == [value], "\(bytes)") }
        let all = Self.cases.map(\.0).joined()
        #expect(try Self.parse(all, piece: piece) == Self.cases.map(\.1))
    }

    @Test func unfinishedValues_AreWaitedFor() throws {
        for (bytes, _) in Self.cases {
            for count in 0..<bytes.utf8.count {
                #expect(try Self.parse(String(decoding: bytes.utf8.prefix(count), as: UTF8.self), piece: 4).isEmpty)
            }
        }
    }

    @Test func lies_AreRefused() {
        let lies = [
            "x\r\n", "\r\n", "$3\r\nabcd\r\n", "$x\r\n", "$-2\r\n", "$99999999999\r\n", "*-5\r\n", "$2000000\r\n",
            "*1000000000\r\n", ":1.5\r\n", ":\r\n", ":99999999999999999999\r\n", "#x\r\n", ",abc\r\n",
            String(repeating: "*1\r\n", count: 20), "+" + String(repeating: "a", count: 70_000),
            "*200000\r\n" + String(repeating: "$8\r\nabcdefgh\r\n", count: 100_000),
        ]
        for lie in lies {
            #expect(throws: RESPError.self, "\(lie.prefix(40))") { _ = try Self.parse(lie, piece: 4_096) }
        }
    }

    /// No input from a peer ends the process.
    @Test func damage_IsAValueOrAnError() {
        var random = SplitMix64(seed: 7)
        let text = Array(Self.cases.map(\.0).joined().utf8)
        for _ in 0..<3_000 {
            var bytes = text
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                let place = Int.random(in: 0..<bytes.count, using: &random)
                switch Int.random(in: 0..<3, using: &random) {
                case 0: bytes[place] = UInt8.random(in: 0...255, using: &random)
                case 1: bytes.remove(at: place)
                default: bytes.insert(bytes[Int.random(in: 0..<bytes.count, using: &random)], at: place)
                }
            }
            var parser = RESPParser(limit: 1 << 16)
            bytes.withUnsafeBytes { parser.append($0) }
            do { while try parser.next() != nil {} } catch { #expect(!error.message.isEmpty) }
        }
    }

    @Test func slots_AreThoseOfTheSpecification() {
        // The specification's own check of CRC16, and keys of its examples.
        #expect(RedisSlot.of("123456789") == 0x31C3)
        #expect(RedisSlot.of("foo") == 12_182)
        #expect(RedisSlot.of("genrec:u:{42}") == RedisSlot.of("42"))
        #expect(RedisSlot.of("{user1000}.following") == RedisSlot.of("{user1000}.followers"))
        #expect(RedisSlot.of("foo{}{bar}") != RedisSlot.of("bar"))
        #expect(RedisSlot.of("foo{{bar}}zap") == RedisSlot.of("{bar"))
        #expect(RedisSlot.of("foo{bar}{zap}") == RedisSlot.of("bar"))
    }

    @Test func urls_AreRead() throws {
        let plain = try RedisConfiguration(urls: "redis://localhost")
        #expect(
            plain.seeds == [RedisAddress(host: "localhost", port: 6_379)] && plain.password == nil && !plain.usesTLS
        )
        let full = try RedisConfiguration(urls: "rediss://us%3Aer:p%40ss@[::1]:7000/3")
        #expect(full.seeds == [RedisAddress(host: "::1", port: 7_000)] && full.database == 3 && full.usesTLS)
        #expect(full.user == "us:er" && full.password == "p@ss")
        let nodes = try RedisConfiguration(urls: "redis://:secret@a:1, redis://b:2,redis://:secret@c:3")
        #expect(nodes.seeds.map(\.host) == ["a", "b", "c"] && nodes.password == "secret" && nodes.user == nil)
        for wrong in [
            "", "localhost:6379", "http://a", "redis://", "redis://a:0", "redis://a:99999", "redis://a/x",
            "redis://a:1,",
            "redis://user@a", "redis://a:%4@b", "redis://a:1,rediss://b:2", "redis://:x@a,redis://:y@b",
        ] {
            #expect(throws: RedisConfiguration.Fault.self, "\(wrong)") { _ = try RedisConfiguration(urls: wrong) }
        }
    }
}
