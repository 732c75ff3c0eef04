// Builds the trie: a radix sort of the paths, packed into 64-bit words, then one pass over the sorted paths per level.

extension PathTrie {
    /// Bounds of a trie.
    package enum Limit {
        package static let levels = 2...8
        /// Items are numbered by Int32, as rows are.
        package static let items = Int(Int32.max) - 1
        /// First positions are stored only for levels with at least this many items per node: half a byte per item.
        static let itemsOfKeptNode = 8
    }

    /// Builds the trie of items 1, 2, 3 … with these paths.
    ///
    /// - Parameters:
    ///   - tokens: the tokens of all paths in item order; not negative.
    ///   - levels: tokens per path, within `Limit.levels`; divides `tokens.count`.
    package init(tokens: [Int32], levels: Int) {
        precondition(Limit.levels.contains(levels) && tokens.count.isMultiple(of: levels), "paths are of equal length")
        let count = tokens.count / levels
        precondition(count <= Limit.items, "items are numbered by Int32")
        let sorted = SortedPaths(tokens, levels: levels, count: count)
        var storage: [Level] = []
        // Whether a node of the level begins at each position, and where the nodes of the level above begin.
        var begins = [Bool](repeating: false, count: count)
        if count > 0 { begins[0] = true }
        var parents: [Int32] = []
        var firstLevels: [[Int32]] = []
        for level in 0..<levels {
            let column = sorted.column(level, of: tokens)
            var nodes = 0
            begins.withUnsafeMutableBufferPointer { begins in
                column.withUnsafeBufferPointer { column in
                    for position in 0..<count {
                        if !begins[position] && column[position] != column[position - 1] { begins[position] = true }
                        if begins[position] { nodes += 1 }
                    }
                }
            }
            var values = TokenColumn(range: sorted.ranges[level])
            values.reserveCapacity(nodes)
            var starts: [Int32] = []
            starts.reserveCapacity(nodes + 1)
            for position in 0..<count where begins[position] {
                values.append(column[position])
                starts.append(Int32(position))
            }
            if level > 0 { storage[level - 1].firstChild = Self.firstChildren(parents, starts, childCount: nodes) }
            storage.append(Level(tokens: values, firstChild: nil, count: nodes))
            if firstLevels.count == level, nodes <= count / Limit.itemsOfKeptNode {
                firstLevels.append(starts + [Int32(count)])
            }
            parents = starts
        }
        if parents.count < count { storage[levels - 1].firstChild = parents + [Int32(count)] }
        self.storage = storage
        self.begins = firstLevels
        itemsByPosition = sorted.order.map { $0 + 1 }
        var positions = [Int32](repeating: 0, count: count)
        for (position, item) in sorted.order.enumerated() { positions[Int(item)] = Int32(position) }
        positionsByItem = positions
    }

    /// The number of each parent's first child, given the positions where both begin; nil if each has exactly one.
    private static func firstChildren(_ parents: [Int32], _ children: [Int32], childCount: Int) -> [Int32]? {
        guard parents.count < childCount else { return nil }
        var first: [Int32] = []
        first.reserveCapacity(parents.count + 1)
        var child = 0
        for parent in parents {
            while children[child] < parent { child += 1 }
            first.append(Int32(child))
        }
        first.append(Int32(childCount))
        return first
    }
}

/// Paths in lexicographic order, equal ones in item order.
private struct SortedPaths {
    /// The item at each position, from 0.
    let order: [Int32]
    /// The range of each level's tokens.
    let ranges: [ClosedRange<Int32>]
    private let words: [Word]
    /// The packed paths in sorted order if a path fits into one word, otherwise empty.
    private let keys: [UInt64]

    /// Levels whose tokens share a word, the first in the highest bits.
    private struct Word {
        var levels: Range<Int>
        var bits: [Int]

        var width: Int { bits.reduce(0, +) }

        /// The number of bits below those of a level.
        func shift(_ level: Int) -> Int { bits[(level - levels.lowerBound + 1)...].reduce(0, +) }
    }

    init(_ tokens: [Int32], levels: Int, count: Int) {
        var ranges: [ClosedRange<Int32>] = []
        tokens.withUnsafeBufferPointer { tokens in
            for level in 0..<levels {
                var (least, most) = (Int32.max, Int32.min)
                for place in stride(from: level, to: tokens.count, by: levels) {
                    least = min(least, tokens[place])
                    most = max(most, tokens[place])
                }
                ranges.append(count == 0 ? 0...0 : least...most)
            }
        }
        var words: [Word] = []
        for level in 0..<levels {
            let extent = UInt64(Int(ranges[level].upperBound) - Int(ranges[level].lowerBound))
            let bits = 64 - extent.leadingZeroBitCount
            if let last = words.indices.last, words[last].width + bits <= 64 {
                words[last].levels = words[last].levels.lowerBound..<level + 1
                words[last].bits.append(bits)
            } else {
                words.append(Word(levels: level..<level + 1, bits: [bits]))
            }
        }
        var order = (0..<Int32(count)).map { $0 }
        var keys = [UInt64](repeating: 0, count: count)
        // The least significant word first: each sort is stable, so it keeps the previous order of equal keys.
        for word in words.reversed() {
            tokens.withUnsafeBufferPointer { tokens in
                for position in 0..<count {
                    let path = Int(order[position]) * levels
                    var key: UInt64 = 0
                    for (level, bits) in zip(word.levels, word.bits) {
                        key = key << UInt64(bits) | UInt64(tokens[path + level] - ranges[level].lowerBound)
                    }
                    keys[position] = key
                }
            }
            radixSort(&keys, &order, bits: word.width)
        }
        self.order = order
        self.ranges = ranges
        self.words = words
        self.keys = words.count == 1 ? keys : []
    }

    /// A level's tokens by position.
    func column(_ level: Int, of tokens: [Int32]) -> [Int32] {
        let levels = ranges.count
        guard words.count == 1 else { return order.map { tokens[Int($0) * levels + level] } }
        let shift = UInt64(words[0].shift(level))
        let bits = UInt64(words[0].bits[level])
        let mask: UInt64 = bits == 64 ? .max : (1 << bits) - 1
        let base = ranges[level].lowerBound
        return keys.map { base + Int32(truncatingIfNeeded: ($0 >> shift) & mask) }
    }
}

/// Sorts keys of this many bits together with their items; stable.
private func radixSort(_ keys: inout [UInt64], _ items: inout [Int32], bits: Int) {
    let digit = 11
    let mask: UInt64 = (1 << 11) - 1
    var otherKeys = keys
    var otherItems = items
    for shift in stride(from: 0, to: bits, by: digit) {
        var starts = [Int](repeating: 0, count: 1 << digit)
        keys.withUnsafeBufferPointer { keys in
            starts.withUnsafeMutableBufferPointer { starts in
                for key in keys { starts[Int(key >> UInt64(shift) & mask)] += 1 }
                var sum = 0
                for value in starts.indices {
                    sum += starts[value]
                    starts[value] = sum - starts[value]
                }
                items.withUnsafeBufferPointer { items in
                    otherKeys.withUnsafeMutableBufferPointer { otherKeys in
                        otherItems.withUnsafeMutableBufferPointer { otherItems in
                            for (key, item) in zip(keys, items) {
                                let place = starts[Int(key >> UInt64(shift) & mask)]
                                starts[Int(key >> UInt64(shift) & mask)] = place + 1
                                otherKeys[place] = key
                                otherItems[place] = item
                            }
                        }
                    }
                }
            }
        }
        swap(&keys, &otherKeys)
        swap(&items, &otherItems)
    }
}
