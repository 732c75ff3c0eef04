// Damages bytes randomly, from a seed, so that a failure can be reproduced.

import Random

/// Makes new inputs from valid ones.
struct Mutator {
    private var generator: SplitMix64
    private let corpus: [[UInt8]]
    /// Fragments that are meaningful in the format.
    private let dictionary: [[UInt8]]

    init(seed: UInt64, corpus: [[UInt8]], dictionary: [[UInt8]] = []) {
        generator = SplitMix64(seed: seed)
        self.corpus = corpus
        self.dictionary = dictionary
    }

    mutating func next() -> [UInt8] {
        var bytes = corpus[Int.random(in: corpus.indices, using: &generator)]
        for _ in 0..<Int.random(in: 1...6, using: &generator) { mutate(&bytes) }
        return bytes
    }

    private mutating func mutate(_ bytes: inout [UInt8]) {
        let place = Int.random(in: 0...bytes.count, using: &generator)
        switch Int.random(in: 0..<8, using: &generator) {
        case 0 where place < bytes.count: bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
        case 1 where place < bytes.count: bytes[place] = UInt8.random(in: 0...255, using: &generator)
        case 2: bytes.removeSubrange(place..<min(bytes.count, place + Int.random(in: 1...16, using: &generator)))
        case 3:
            let length = Int.random(in: 1...64, using: &generator)
            bytes.insert(contentsOf: Array(bytes[place..<min(bytes.count, place + length)]), at: place)
        case 4:
            // A boundary value, in any width.
            let edges: [UInt64] = [0, 1, UInt64.max, UInt64.max >> 1, 1 << 31, 0xFFFF_FFFF]
            var value = edges[Int.random(in: edges.indices, using: &generator)]
            let width = 1 << Int.random(in: 0..<4, using: &generator)
            for index in place..<min(place + width, bytes.count) {
                bytes[index] = UInt8(truncatingIfNeeded: value)
                value >>= 8
            }
        case 5: bytes.removeSubrange(place...)
        case 6:
            if let word = dictionary.randomElement(using: &generator) { bytes.insert(contentsOf: word, at: place) }
        default:
            let other = corpus[Int.random(in: corpus.indices, using: &generator)]
            bytes = Array(bytes[..<place]) + other.suffix(from: Int.random(in: 0...other.count, using: &generator))
        }
    }
}
