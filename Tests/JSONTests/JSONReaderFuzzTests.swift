// The reader against Foundation's decoder on mutated texts: Foundation accepts every text that we accept, and parses
// the same value. Not conversely: Foundation also accepts trailing commas, UTF-16 and a byte order mark.

import TestSupport
import Testing

@testable import JSON

@Suite struct JSONReaderFuzzTests {
    private static let seeds = [
        #"{"user_id":"u-42","history":[{"item":"scifi-1-03","timestamp":1700000000,"action":"watch"}],"k":10}"#,
        #"{"history":{"items":["a","b\u00e9\ud83d\ude80"],"timestamps":[1.5e3,-0.0]},"exclude":{"seen":true},"x":null}"#,
        #"[[[[]]],[{}],{"a":{"b":{"c":[false]}}},"é漢🚀\"\\\/\b\f\n\r\t",-12.75E+2]"#,
        "  -1.25e-7 ",
    ]

    @Test func whatTheReaderTakesIsWhatFoundationSees() {
        var mutation = Mutation(seed: 1, seeds: Self.seeds)
        let start = ContinuousClock.now
        var round = 0
        var taken = 0
        while Mutation.shouldGoOn(round: round, of: 8_000, since: start) {
            round += 1
            let text = mutation.next()
            var doubtful = false
            let ours = try? JSONTree.read(text, hasDoubtfulMeaning: &doubtful)
            guard let ours else { continue }
            taken += 1
            if doubtful { continue }
            let theirs = try? JSONTree.decode(text)
            guard ours != theirs else { continue }
            Issue.record("\(String(decoding: text, as: UTF8.self)): \(ours), Foundation \(String(describing: theirs))")
            return
        }
        // Both verdicts must have occurred.
        #expect(taken > round / 50 && taken < round * 49 / 50)
    }
}
