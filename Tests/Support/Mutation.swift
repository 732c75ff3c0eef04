// Seeded mutations of texts, for the fuzz tests of the reader and the codec.

internal import Glibc
internal import Random

/// Makes broken texts from valid ones.
package struct Mutation {
    private var random: SplitMix64
    private let seeds: [[UInt8]]
    private let fragments: [[UInt8]]

    /// `seeds` are the valid texts, `fragments` further tokens to insert besides JSON's own.
    package init(seed: UInt64, seeds: [String], fragments: [String] = []) {
        random = SplitMix64(seed: seed)
        self.seeds = seeds.map { Array($0.utf8) }
        let tokens = [
            "{", "}", "[", "]", ",", ":", "\"", "\\", "null", "true", "false", "0", "-1", "1.5", "1e999", "1e-999",
            "9223372036854775807", "9223372036854775808", "-9223372036854775809", "9007199254740993", "\\u0000",
            "\\ud800", "\\udc00", "\\ud83d\\ude80", "\\n", "\"\"", "[]", "{}", " ", "\n", "é", "🚀",
        ]
        self.fragments =
            (tokens + fragments).map { Array($0.utf8) } + [
                [0xFF], [0xC0, 0x80], [0xED, 0xA0, 0x80], [0xEF, 0xBB, 0xBF],
            ]
    }

    /// The next text: one to four mutations of a valid one.
    package mutating func next() -> [UInt8] {
        var text = seeds[Int(random.next() % UInt64(seeds.count))]
        for _ in 0...(random.next() % 4) {
            let at = Int(random.next() % UInt64(text.count + 1))
            let length = min(Int(random.next() % 8), text.count - at)
            switch random.next() % 7 {
            case 0 where at < text.count: text[at] = UInt8(truncatingIfNeeded: random.next())
            case 1 where at < text.count: text[at] ^= 1 << (random.next() % 8)
            case 2: text.removeSubrange(at..<(at + length))
            case 3: text.insert(contentsOf: text[at..<(at + length)], at: at)
            case 4: text.removeSubrange(at...)
            case 5: text.replaceSubrange(at..<(at + length), with: fragment())
            default: text.insert(contentsOf: fragment(), at: at)
            }
        }
        return text
    }

    private mutating func fragment() -> [UInt8] { fragments[Int(random.next() % UInt64(fragments.count))] }

    /// Whether a fuzz test should continue: `rounds` rounds by default, so that runs are equal everywhere; with
    /// `GENREC_FUZZ_SECONDS` set, that many seconds.
    package static func shouldGoOn(round: Int, of rounds: Int, since start: ContinuousClock.Instant) -> Bool {
        guard let text = getenv("GENREC_FUZZ_SECONDS"), let seconds = Int(String(cString: text)) else {
            return round < rounds
        }
        return ContinuousClock.now - start < .seconds(seconds)
    }
}
