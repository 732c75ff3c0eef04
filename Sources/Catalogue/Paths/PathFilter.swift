// Tells which sorted positions of a trie are eligible, and so which nodes are alive: those with an eligible item below.
// The cost depends on what the request names, not on the catalogue: a short list stays a list.

/// The eligible positions of a trie; valid only for that trie.
package struct PathFilter: Sendable {
    private enum Form: Sendable {
        /// All except these, ascending.
        case except([Int32])
        /// Only these, ascending.
        case only([Int32])
        /// One bit per position.
        case bits([UInt64])
    }

    private let form: Form

    /// Every item.
    package static let everything = PathFilter(form: .except([]))

    private init(form: Form) { self.form = form }

    /// Longer lists become bit sets, which cost less than sorting the lists.
    static func longestList(in trie: PathTrie) -> Int { max((trie.itemCount + 63) / 64 / 4, 64) }

    /// - Parameters:
    ///   - allowed: the eligible items, in any order; nil: all.
    ///   - allowedSets: further eligible positions, one bit each; used only with `allowed`.
    ///   - excluded: items that are not eligible, in any order.
    ///   - excludedSets: positions that are not eligible, one bit each.
    ///   - trie: has every item named here.
    package init(
        allowed: [Int32]?,
        allowedSets: [[UInt64]] = [],
        excluded: [Int32],
        excludedSets: [[UInt64]] = [],
        in trie: PathTrie
    ) {
        let denied = excluded.map { Int32(trie.position(of: $0)) }
        let most = Self.longestList(in: trie)
        if let allowed, allowedSets.isEmpty, allowed.count <= most {
            let denied = Set(denied)
            let positions = allowed.map { Int32(trie.position(of: $0)) }.filter { position in
                !denied.contains(position) && !excludedSets.contains { $0.has(position) }
            }
            form = .only(positions.ascendingRows())
            return
        }
        if allowed == nil, excludedSets.isEmpty, denied.count <= most {
            form = .except(denied.ascendingRows())
            return
        }
        var bits: [UInt64]
        if let allowed {
            bits = [UInt64](repeating: 0, count: (trie.itemCount + 63) / 64)
            for set in allowedSets { bits.combine(set) { $0 | $1 } }
            for item in allowed { bits.insert(Int32(trie.position(of: item))) }
        } else {
            bits = [UInt64](repeating: .max, count: (trie.itemCount + 63) / 64)
            if let last = bits.indices.last, trie.itemCount % 64 != 0 {
                bits[last] = (1 << UInt64(trie.itemCount % 64)) - 1
            }
        }
        for set in excludedSets { bits.combine(set) { $0 & ~$1 } }
        for position in denied { bits.remove(position) }
        form = .bits(bits)
    }

    /// Whether the item at a position is eligible.
    package func contains(_ position: Int) -> Bool { isAlive(position..<position + 1) }

    /// How many items of the trie are eligible.
    package func count(in trie: PathTrie) -> Int {
        switch form {
        case .except(let denied): trie.itemCount - denied.count
        case .only(let allowed): allowed.count
        case .bits(let bits): bits.bitCount
        }
    }

    /// Whether any position of a range is eligible.
    package func isAlive(_ range: Range<Int>) -> Bool {
        switch form {
        case .except(let denied): denied.count(in: range) < range.count
        case .only(let allowed): allowed.count(in: range) > 0
        case .bits(let bits): bits.withUnsafeBufferPointer { $0.hasBit(in: range) }
        }
    }

    /// Appends the live nodes among some nodes of a level.
    ///
    /// - Parameters:
    ///   - nodes: consecutive nodes of `level`: a node's children or, for level 0, all nodes.
    func appendAlive(_ nodes: Range<Int>, level: Int, of trie: PathTrie, to result: inout [Int32]) {
        guard !nodes.isEmpty else { return }
        let end = trie.firstPosition(level: level, node: nodes.upperBound)
        switch form {
        case .except(let denied):
            let start = trie.firstPosition(level: level, node: nodes.lowerBound)
            // Only nodes with a denied position below can be dead.
            var place = denied.firstIndex(notBelow: start)
            var left = nodes
            while place < denied.count, Int(denied[place]) < end {
                let node = trie.node(level: level, above: Int(denied[place]), among: left)
                let next = trie.firstPosition(level: level, node: node + 1)
                let after = denied.firstIndex(notBelow: next, from: place)
                let isDead = after - place == next - trie.firstPosition(level: level, node: node)
                result += Int32(left.lowerBound)..<Int32(isDead ? node : node + 1)
                left = node + 1..<left.upperBound
                place = after
            }
            result += Int32(left.lowerBound)..<Int32(left.upperBound)
        case .bits(let bits):
            bits.withUnsafeBufferPointer { bits in
                withUnsafeTemporaryAllocation(of: Int32.self, capacity: nodes.count + 1) { starts in
                    trie.firstPositions(level: level, nodes: nodes, into: starts)
                    // Live nodes overwrite starts that are no longer needed.
                    var count = 0
                    for index in 0..<nodes.count {
                        let isAlive = bits.hasBit(in: Int(starts[index])..<Int(starts[index + 1]))
                        starts[count] = Int32(nodes.lowerBound + index)
                        count += isAlive ? 1 : 0
                    }
                    result += starts[..<count]
                }
            }
        case .only(let allowed):
            var place = allowed.firstIndex(notBelow: trie.firstPosition(level: level, node: nodes.lowerBound))
            var left = nodes
            while place < allowed.count, Int(allowed[place]) < end {
                let node = trie.node(level: level, above: Int(allowed[place]), among: left)
                result.append(Int32(node))
                left = node + 1..<left.upperBound
                place = allowed.firstIndex(notBelow: trie.firstPosition(level: level, node: node + 1), from: place)
            }
        }
    }
}

extension [Int32] {
    /// The first index from `start` on in an ascending array with an element of at least `value`; `count` if none.
    fileprivate func firstIndex(notBelow value: Int, from start: Int = 0) -> Int {
        // Galloping search: when two lists are walked side by side, the answer is near the start.
        var step = 1
        var (low, high) = (start, start)
        while high < count, Int(self[high]) < value {
            low = high + 1
            high += step
            step *= 2
        }
        high = Swift.min(high, count)
        while low < high {
            let middle = (low + high) / 2
            if Int(self[middle]) < value { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// The number of elements of an ascending array that are in a range.
    fileprivate func count(in range: Range<Int>) -> Int {
        guard !isEmpty else { return 0 }
        let first = firstIndex(notBelow: range.lowerBound)
        return firstIndex(notBelow: range.upperBound, from: first) - first
    }
}

extension [UInt64] {
    /// Combines two sets word by word.
    fileprivate mutating func combine(_ other: [UInt64], _ operation: (UInt64, UInt64) -> UInt64) {
        withUnsafeMutableBufferPointer { own in
            other.withUnsafeBufferPointer { other in
                for index in 0..<Swift.min(own.count, other.count) { own[index] = operation(own[index], other[index]) }
            }
        }
    }
}

extension UnsafeBufferPointer<UInt64> {
    /// Whether any bit of a range is set.
    fileprivate func hasBit(in range: Range<Int>) -> Bool {
        guard !range.isEmpty else { return false }
        let (first, last) = (range.lowerBound >> 6, (range.upperBound - 1) >> 6)
        let low = UInt64.max << UInt64(range.lowerBound & 63)
        let high = UInt64.max >> UInt64(63 - (range.upperBound - 1) & 63)
        if first == last { return self[first] & low & high != 0 }
        if self[first] & low != 0 || self[last] & high != 0 { return true }
        return self[first + 1..<last].contains { $0 != 0 }
    }
}
