// The token paths of a catalogue whose items are tuples of tokens ("semantic ids"), as a trie without pointers: items
// are sorted by path, so every node is a contiguous range of sorted positions, and counting, filtering and tie-breaking
// work on ranges.
//
// Ten million items with three levels of 8192 codes take 13 to 20 bytes each, depending on shared prefixes.

/// The trie of all paths. Immutable; nodes of a level are numbered in the lexicographic order of their paths.
package struct PathTrie: Sendable {
    /// One level's nodes.
    struct Level: Sendable {
        var tokens: TokenColumn
        /// The number of each node's first child, plus one entry: a node of the next level or, for the last level, a
        /// position. nil: every node has exactly one child, with its own number.
        var firstChild: [Int32]?
        var count: Int

        func childStart(_ node: Int) -> Int { firstChild.map { Int($0[node]) } ?? node }
    }

    let storage: [Level]
    /// The first positions of the nodes, plus one entry, for the upper levels, which have few nodes and which filters
    /// visit completely.
    let begins: [[Int32]]
    /// The item at each sorted position: by path, then by item.
    let itemsByPosition: [Int32]
    /// The position of each item, item 1 first.
    let positionsByItem: [Int32]

    /// Tokens of a path, D.
    package var levels: Int { storage.count }
    package var itemCount: Int { itemsByPosition.count }
    /// Number of distinct paths.
    package var pathCount: Int { storage[levels - 1].count }

    /// Number of nodes on a level, 0 ..< `levels`.
    package func count(level: Int) -> Int { storage[level].count }

    package func token(level: Int, node: Int) -> Int32 { storage[level].tokens[node] }

    /// The child nodes of a node or, on the last level, the positions of the path's items.
    package func children(level: Int, node: Int) -> Range<Int> {
        let nodes = storage[level]
        return nodes.childStart(node)..<nodes.childStart(node + 1)
    }

    /// The first position below a node; for node `count(level:)`, the end.
    func firstPosition(level: Int, node: Int) -> Int {
        if level < begins.count { return Int(begins[level][node]) }
        var place = node
        for below in storage[level...] { place = below.childStart(place) }
        return place
    }

    /// The first positions of consecutive nodes, and the end of the last one.
    ///
    /// - Parameter result: one entry per node, plus one.
    func firstPositions(level: Int, nodes: Range<Int>, into result: UnsafeMutableBufferPointer<Int32>) {
        if level < begins.count {
            _ = result.update(from: begins[level][nodes.lowerBound...nodes.upperBound])
            return
        }
        for index in result.indices { result[index] = Int32(nodes.lowerBound + index) }
        for case let firstChild? in storage[level...].lazy.map(\.firstChild) {
            for index in result.indices { result[index] = firstChild[Int(result[index])] }
        }
    }

    /// The positions of all items below a node.
    package func positions(level: Int, node: Int) -> Range<Int> {
        firstPosition(level: level, node: node)..<firstPosition(level: level, node: node + 1)
    }

    /// The node of a level that contains a position, searched among `nodes`, which must include it.
    func node(level: Int, above position: Int, among nodes: Range<Int>) -> Int {
        var (low, high) = (nodes.lowerBound, nodes.upperBound)
        while high - low > 1 {
            let middle = (low + high) / 2
            if firstPosition(level: level, node: middle) <= position { low = middle } else { high = middle }
        }
        return low
    }

    package func item(at position: Int) -> Int32 { itemsByPosition[position] }

    /// The position of an item, 1 … `itemCount`.
    package func position(of item: Int32) -> Int { Int(positionsByItem[Int(item) - 1]) }

    /// The tokens of an item's path.
    package func path(of item: Int32) -> [Int32] {
        let position = position(of: item)
        return storage.indices.map { level in
            token(level: level, node: node(level: level, above: position, among: 0..<storage[level].count))
        }
    }

    /// The node of the last level at which an item's path ends.
    package func leaf(of item: Int32) -> Int {
        node(level: levels - 1, above: position(of: item), among: 0..<pathCount)
    }

    /// The tokens of the path that ends in a node of the last level.
    package func path(leaf: Int) -> [Int32] {
        path(of: itemsByPosition[children(level: levels - 1, node: leaf).lowerBound])
    }

    /// The most items that share one path.
    package var largestPath: Int {
        (0..<pathCount).reduce(0) { max($0, children(level: levels - 1, node: $1).count) }
    }

    /// The size of the trie in bytes.
    package var byteCount: Int {
        let levels = storage.reduce(0) { $0 + $1.tokens.byteCount + 4 * ($1.firstChild?.count ?? 0) }
        let begins = begins.reduce(0) { $0 + 4 * $1.count }
        return levels + begins + 4 * (itemsByPosition.count + positionsByItem.count)
    }
}

/// Tokens in two bytes each if a level's tokens span at most 65 536 values, otherwise in four.
struct TokenColumn: Sendable {
    private var base: Int32
    private var near: [UInt16] = []
    private var far: [Int32] = []
    private let isNear: Bool

    /// - Parameter range: the range of all tokens to be appended.
    init(range: ClosedRange<Int32>) {
        base = range.lowerBound
        isNear = Int(range.upperBound) - Int(range.lowerBound) <= Int(UInt16.max)
    }

    mutating func append(_ token: Int32) {
        if isNear { near.append(UInt16(truncatingIfNeeded: token - base)) } else { far.append(token) }
    }

    mutating func reserveCapacity(_ count: Int) {
        if isNear { near.reserveCapacity(count) } else { far.reserveCapacity(count) }
    }

    subscript(index: Int) -> Int32 { isNear ? base + Int32(near[index]) : far[index] }

    var byteCount: Int { 2 * near.count + 4 * far.count }
}
