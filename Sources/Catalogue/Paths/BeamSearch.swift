// Beam search over the paths of a catalogue, as a value: it says which tokens to score next and which beams continue.
// The caller computes the log-probabilities; nothing here depends on a model.
//
// A round scores, for every beam, the live children of its node: those with an eligible item below. So no beam ends
// without items, and k items are found if at least k are eligible and the last width is at least k.

/// The search of one request.
package struct BeamSearch: Sendable {
    /// A path being followed.
    package struct Beam: Sendable, Equatable {
        /// The node of the path's last token, on that token's level.
        package let node: Int32
        /// The token that the next round reads: the path's last, or one of the tail.
        package let token: Int32
        /// The index of this beam's parent in the previous round.
        package let parent: Int32
        /// Σ log p of the tokens so far, summed in float32 in path order.
        package let score: Float
    }

    /// The tokens that a round scores: for beam b, tokens `offsets[b] ..< offsets[b + 1]`.
    package struct Candidates: Sendable, Equatable {
        package let offsets: [Int]
        package let tokens: [Int32]
        /// The node of each token; empty in rounds of the tail.
        let nodes: [Int32]
    }

    /// An item that was found.
    package struct Found: Sendable, Equatable {
        package let item: Int32
        package let score: Float
        /// The node of its path on the last level.
        package let leaf: Int32
    }

    package let trie: PathTrie
    package let filter: PathFilter
    /// The candidates that may continue; nil: all.
    private let targets: PathFilter?
    /// The number of beams kept at each level.
    private let widths: [Int]
    /// Tokens that follow every path and are part of the score.
    private let tail: [Int32]

    /// Number of finished rounds.
    package private(set) var round = 0
    /// The continuing beams, in the order of their nodes.
    package private(set) var beams: [Beam] = []
    /// The parents of each round's beams, which give a beam's ancestors.
    private var parents: [[Int32]] = []
    /// The greatest score that any path had when it was pruned.
    private var greatestPruned = -Float.infinity

    /// - Parameters:
    ///   - filter: the eligible items; only tokens that lead to them are scored.
    ///   - targets: the eligible items to find; nil: all.
    ///   - widths: one per level, each at least 1.
    ///   - tail: the tokens scored after every path; may be empty.
    package init(
        trie: PathTrie,
        filter: PathFilter,
        targets: PathFilter? = nil,
        widths: [Int],
        tail: [Int32] = []
    ) {
        precondition(widths.count == trie.levels && widths.allSatisfy { $0 > 0 }, "a width for each level")
        self.trie = trie
        self.filter = filter
        self.targets = targets
        self.widths = widths
        self.tail = tail
    }

    /// Total rounds: one per token of the path and of the tail.
    package var rounds: Int { trie.levels + tail.count }

    package var isFinished: Bool { round == rounds || (round > 0 && beams.isEmpty) }

    /// The level that this round chooses tokens for; nil in rounds of the tail.
    package var level: Int? { round < trie.levels ? round : nil }

    /// The most beam rows whose keys and values a search keeps at once, over all rounds. The last round's beams are
    /// never read.
    package static func mostRows(widths: [Int], tail: Int) -> Int {
        let last = widths.last ?? 0
        return widths.reduce(0, +) - last + tail * last
    }

    // MARK: - Rounds

    /// What this round scores: tokens after the prompt in the first round, after every beam's token in later ones.
    package func candidates() -> Candidates {
        precondition(!isFinished)
        guard let level else {
            let token = tail[round - trie.levels]
            return Candidates(
                offsets: Array(0...beams.count),
                tokens: [Int32](repeating: token, count: beams.count),
                nodes: []
            )
        }
        var nodes: [Int32] = []
        var offsets = [0]
        if level == 0 {
            filter.appendAlive(0..<trie.count(level: 0), level: 0, of: trie, to: &nodes)
            offsets.append(nodes.count)
        } else {
            for beam in beams {
                let children = trie.children(level: level - 1, node: Int(beam.node))
                filter.appendAlive(children, level: level, of: trie, to: &nodes)
                offsets.append(nodes.count)
            }
        }
        return Candidates(
            offsets: offsets,
            tokens: nodes.map { trie.token(level: level, node: Int($0)) },
            nodes: nodes
        )
    }

    /// Ends the round: the best candidates continue, ties to the lexicographically smaller path. Candidates whose
    /// log-probability is NaN are dropped.
    ///
    /// - Parameter logProbabilities: one per token of `candidates`, natural logarithms.
    package mutating func advance(_ candidates: Candidates, logProbabilities: [Float]) {
        precondition(candidates.tokens.count == logProbabilities.count)
        var best: BestCandidates
        if let level {
            best = BestCandidates(limit: widths[level])
        } else {
            best = BestCandidates(limit: beams.count)
        }
        for beam in 0..<candidates.offsets.count - 1 {
            let before: Float = beams.isEmpty ? 0 : beams[beam].score
            for place in candidates.offsets[beam]..<candidates.offsets[beam + 1] {
                if let targets, let level {
                    let below = trie.positions(level: level, node: Int(candidates.nodes[place]))
                    guard targets.isAlive(below) else { continue }
                }
                // Places are in the order of nodes, and so in the order of paths.
                best.add(score: before + logProbabilities[place], place: place, beam: beam)
            }
        }
        greatestPruned = max(greatestPruned, best.greatestRefused)
        let next = best.inOrder.map { kept in
            Beam(
                node: candidates.nodes.isEmpty ? beams[kept.beam].node : candidates.nodes[kept.place],
                token: candidates.tokens[kept.place],
                parent: Int32(kept.beam),
                score: kept.score
            )
        }
        beams = next
        parents.append(next.map(\.parent))
        round += 1
    }

    /// Number of beam rows of all rounds before the last one.
    package var keptRows: Int { parents.dropLast().reduce(0) { $0 + $1.count } }

    /// Every beam's ancestors as rows, oldest first. The beams of all rounds before the last one are numbered from 0,
    /// round by round in the order of `beams`. `beams.count` times `round` − 1 entries.
    package var ancestorRows: [Int32] {
        guard round > 1 else { return [] }
        var starts: [Int32] = [0]
        for beams in parents.dropLast() { starts.append(starts[starts.count - 1] + Int32(beams.count)) }
        var rows = [Int32](repeating: 0, count: beams.count * (round - 1))
        for beam in beams.indices {
            var number = Int(parents[round - 1][beam])
            for generation in stride(from: round - 2, through: 0, by: -1) {
                rows[beam * (round - 1) + generation] = starts[generation] + Int32(number)
                number = Int(parents[generation][number])
            }
        }
        return rows
    }

    // MARK: - Results

    /// The best eligible items of the finished search, best first; items of one path in catalogue order.
    ///
    /// - Parameter itemsPerPath: the most items to take from one path; nil: all.
    package func items(_ count: Int, itemsPerPath: Int? = nil) -> [Found] {
        guard round == rounds else { return [] }
        var found: [Found] = []
        let best = beams.sorted { ($1.score, $0.node) < ($0.score, $1.node) }
        for beam in best {
            var ofPath = 0
            for position in trie.children(level: trie.levels - 1, node: Int(beam.node))
            where filter.contains(position) {
                if found.count == count { return found }
                if let itemsPerPath, ofPath == itemsPerPath { break }
                found.append(Found(item: trie.item(at: position), score: beam.score, leaf: beam.node))
                ofPath += 1
            }
        }
        return found
    }

    /// The score of the path that ends in a node of the last level; nil: the finished search has not followed it.
    package func score(ofLeaf leaf: Int) -> Float? {
        guard round == rounds else { return nil }
        var (low, high) = (0, beams.count)
        while low < high {
            let middle = (low + high) / 2
            if Int(beams[middle].node) < leaf { low = middle + 1 } else { high = middle }
        }
        return low < beams.count && Int(beams[low].node) == leaf ? beams[low].score : nil
    }

    /// Whether no pruned path can beat the last of `found`, the search's `count` best items. Probabilities are at most
    /// 1, so a path's score never rises.
    package func isExact(_ found: [Found], count: Int) -> Bool {
        guard found.count == count, let last = found.last else { return greatestPruned == -.infinity }
        return last.score >= greatestPruned
    }
}

/// The best of many candidates: a heap with the worst kept one on top.
private struct BestCandidates {
    struct Kept {
        var score: Float
        var place: Int
        var beam: Int

        /// A lower score, or the same score and a later place.
        func isWorse(than other: Kept) -> Bool {
            score < other.score || (score == other.score && place > other.place)
        }
    }

    private let limit: Int
    private var heap: [Kept] = []
    private(set) var greatestRefused = -Float.infinity

    init(limit: Int) { self.limit = limit }

    mutating func add(score: Float, place: Int, beam: Int) {
        guard !score.isNaN else { return }
        let new = Kept(score: score, place: place, beam: beam)
        if heap.count < limit {
            heap.append(new)
            if heap.count == limit {
                for index in stride(from: limit / 2 - 1, through: 0, by: -1) { sink(index) }
            }
            return
        }
        guard let worst = heap.first, worst.isWorse(than: new) else {
            greatestRefused = max(greatestRefused, score)
            return
        }
        greatestRefused = max(greatestRefused, worst.score)
        heap[0] = new
        sink(0)
    }

    private mutating func sink(_ start: Int) {
        var index = start
        while true {
            var worst = index
            for child in [2 * index + 1, 2 * index + 2]
            where child < heap.count && heap[child].isWorse(than: heap[worst]) {
                worst = child
            }
            guard worst != index else { return }
            heap.swapAt(index, worst)
            index = worst
        }
    }

    /// The kept candidates, in the order of their places.
    var inOrder: [Kept] { heap.sorted { $0.place < $1.place } }
}
