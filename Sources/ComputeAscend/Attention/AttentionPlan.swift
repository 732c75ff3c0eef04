// Groups the sequences of a jagged batch into rectangles. An NPU multiplies batches of equal matrices, so rows are
// gathered into padded groups of similar lengths, and the padding is masked.

internal import Compute

/// The rectangles of one batch, as numbers on the host. Letters: b items of a group, Sq query slots, Sk key slots.
struct AttentionPlan {
    /// Consecutive query rows of a sequence and the keys that they attend to: all cached rows, and own rows up to the
    /// last query.
    struct Item: Equatable {
        var sequence: Int
        /// Own rows before the first query.
        var first: Int
        var queries: Int
        var cached: Int

        /// Own rows that are keys.
        var own: Int { first + queries }
        var keys: Int { cached + own }
    }

    struct Group: Equatable {
        var items: [Item]
        /// Whether the relative bias applies, to all items alike.
        var isBiased: Bool
        var querySlots: Int
        var cachedSlots: Int
        var ownSlots: Int

        var keySlots: Int { cachedSlots + ownSlots }
    }

    let groups: [Group]
    /// The part that the fused operator computes.
    let fused: [FusedCall]

    /// The position of a slot without a key, which is after every query.
    static let never = Int32.max

    /// - Parameters:
    ///   - lengths: own rows of each sequence, at least 1.
    ///   - cached: cached rows of each sequence.
    ///   - isBiased: whether the relative bias applies, for each sequence.
    ///   - heads: query heads.
    ///   - fused: calls of the fused operator, whose sequences are in no group.
    ///   - mostElements: the most elements in the scores of a group; a single query row may exceed it.
    init(
        lengths: [Int],
        cached: [Int],
        isBiased: [Bool],
        queryRows: QueryRows,
        heads: Int,
        fused: [FusedCall] = [],
        mostElements: Int = 16 << 20
    ) {
        self.fused = fused
        let isFused = Set(fused.flatMap(\.sequences))
        var items: [Item] = []
        for (sequence, length) in lengths.enumerated() where !isFused.contains(sequence) {
            guard queryRows == .all else {
                items.append(Item(sequence: sequence, first: length - 1, queries: 1, cached: cached[sequence]))
                continue
            }
            let fitting = mostElements / (heads * Self.slots(cached[sequence] + length))
            let tile = max(fitting / 16 * 16, 16)
            for first in stride(from: 0, to: length, by: tile) {
                let queries = min(tile, length - first)
                items.append(Item(sequence: sequence, first: first, queries: queries, cached: cached[sequence]))
            }
        }
        // Longest first, because the first item of a group determines its size.
        items.sort { left, right in
            let (a, b) = (isBiased[left.sequence], isBiased[right.sequence])
            if a != b { return a }
            if (left.cached > 0) != (right.cached > 0) { return left.cached > 0 }
            return (right.keys, right.queries, left.sequence) < (left.keys, left.queries, right.sequence)
        }
        var groups: [Group] = []
        for item in items {
            if var group = groups.last, group.isBiased == isBiased[item.sequence],
                group.take(item, heads: heads, mostElements: mostElements)
            {
                groups[groups.count - 1] = group
            } else {
                groups.append(Group(item, isBiased: isBiased[item.sequence]))
            }
        }
        self.groups = groups
    }

    /// The number of slots for some rows. There are few such numbers, so that shapes recur, but little padding.
    static func slots(_ rows: Int) -> Int {
        let unit = rows <= 1 ? 1 : rows <= 128 ? 16 : rows <= 1024 ? 64 : 256
        return (rows + unit - 1) / unit * unit
    }
}

extension AttentionPlan.Group {
    fileprivate init(_ item: AttentionPlan.Item, isBiased: Bool) {
        self.init(
            items: [item],
            isBiased: isBiased,
            querySlots: AttentionPlan.slots(item.queries),
            cachedSlots: AttentionPlan.slots(item.cached),
            ownSlots: AttentionPlan.slots(item.own)
        )
    }

    /// Adds an item unless the group would become too large or mostly padding. Items with and without cached rows do
    /// not mix, because pool slots without a row have arbitrary content.
    fileprivate mutating func take(_ item: AttentionPlan.Item, heads: Int, mostElements: Int) -> Bool {
        guard (item.cached > 0) == (cachedSlots > 0) else { return false }
        var wider = self
        wider.querySlots = max(querySlots, AttentionPlan.slots(item.queries))
        wider.cachedSlots = max(cachedSlots, AttentionPlan.slots(item.cached))
        wider.ownSlots = max(ownSlots, AttentionPlan.slots(item.own))
        wider.items.append(item)
        let area = wider.querySlots * wider.keySlots
        guard area * heads * wider.items.count <= mostElements else { return false }
        // Padding of small rectangles is cheaper than another set of calls.
        guard area <= 64 * 64 || wider.items.allSatisfy({ 3 * $0.queries * $0.keys >= area }) else { return false }
        self = wider
        return true
    }

    /// b · Sq rows of the query tensor; slots after the last query repeat it.
    func queryRows(_ layout: Jagged, _ queryRows: QueryRows) -> [Int32] {
        items.flatMap { item in
            (0..<querySlots).map { slot in
                queryRows == .last
                    ? Int32(item.sequence)
                    : layout.offsets[item.sequence] + Int32(item.first + min(slot, item.queries - 1))
            }
        }
    }

    /// b · own slots rows of the key tensor.
    func ownRows(_ layout: Jagged) -> [Int32] {
        items.flatMap { item in
            (0..<ownSlots).map { layout.offsets[item.sequence] + Int32(min($0, item.own - 1)) }
        }
    }

    /// b · cached slots rows of the pool.
    func poolRows(_ row: (_ row: Int, _ sequence: Int) -> Int32) -> [Int32] {
        items.flatMap { item in (0..<cachedSlots).map { row(min($0, item.cached - 1), item.sequence) } }
    }

    /// b · Sq positions within the whole sequence.
    var queryPositions: [Int32] {
        items.flatMap { item in
            (0..<querySlots).map { Int32(item.cached + item.first + min($0, item.queries - 1)) }
        }
    }

    /// b · Sk positions within the whole sequence; `never` for slots without a key.
    var keyPositions: [Int32] {
        items.flatMap { item in
            (0..<cachedSlots).map { $0 < item.cached ? Int32($0) : AttentionPlan.never }
                + (0..<ownSlots).map { $0 < item.own ? Int32(item.cached + $0) : AttentionPlan.never }
        }
    }
}

extension AttentionPlan {
    /// For each output row, the number of the row with its result, among the padded rows of all groups followed by the
    /// rows of fused sequences.
    func outputRows(_ layout: Jagged, _ queryRows: QueryRows) -> [Int32] {
        var result = [Int32](repeating: 0, count: queryRows == .last ? layout.count : layout.rows)
        var base = 0
        for group in groups {
            for item in group.items {
                for slot in 0..<item.queries {
                    let row =
                        queryRows == .last ? item.sequence : Int(layout.offsets[item.sequence]) + item.first + slot
                    result[row] = Int32(base + slot)
                }
                base += group.querySlots
            }
        }
        for call in fused {
            for sequence in call.sequences {
                let start = Int(layout.offsets[sequence])
                for row in 0..<layout.length(of: sequence) { result[start + row] = Int32(base + row) }
                base += layout.length(of: sequence)
            }
        }
        return result
    }

    /// Padded rows of all groups, and rows of fused sequences.
    var paddedRows: Int {
        groups.reduce(0) { $0 + $1.items.count * $1.querySlots } + fused.reduce(0) { $0 + $1.rows }
    }

    /// Pairs of slots of all groups.
    var pairs: Int { groups.reduce(0) { $0 + $1.items.count * $1.querySlots * $1.keySlots } }
}
