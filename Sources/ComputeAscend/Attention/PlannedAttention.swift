// The parts of attention that the layers of a batch share: the groups, the rows to gather, the masks, and the entries
// of the relative bias. The first layer that needs them computes them.

internal import Compute

/// The rectangles of a batch in device memory.
struct PlannedAttention {
    /// Layers with equal keys share a plan.
    struct Key: Equatable {
        var offsets: [Int32]
        var queryRows: QueryRows
        var heads: Int
        var sequences: [PagedSequence]
        var applies: [Bool]
        var timestamps: DeviceAddress?
        var maximumLength: Int
        var timeEntries: Int
        var firstRowWeights: [Float]
        var fused: [FusedCall]
    }

    struct Group {
        var shape: AttentionPlan.Group
        /// (b · Sq), (b · own slots), (b · cached slots) int32.
        var queryRows: View
        var ownRows: View
        var poolRows: View?
        /// (b, 1, Sq, Sk) bool, true where the query does not attend to the key.
        var mask: View
        /// (b, Sq, Sk) int32: entries of the positional bias and of the time bias.
        var positions: View?
        var buckets: View?
        /// (b, 1, 1, Sk): added to the scores of the first rows.
        var firstRows: View?
    }

    var key: Key
    var plan: AttentionPlan
    var groups: [Group]
    var fused: [Fused]
    /// (output rows) int32
    var outputRows: View
}

extension AscendStream {
    /// The plan for an operation, made now or by an earlier layer of the batch.
    func planned(
        _ attention: AttentionOperation,
        _ checked: AttentionShape<AscendKeyValuePages>
    ) throws(ComputeError) -> PlannedAttention {
        let prefix = checked.prefix
        let layout = attention.layout
        let bias = attention.bias
        let calls = fusedCalls(attention, checked)
        let key = PlannedAttention.Key(
            offsets: layout.offsets,
            queryRows: attention.queryRows,
            heads: attention.heads,
            sequences: prefix?.sequences ?? [],
            applies: bias?.applies ?? [],
            timestamps: bias?.time == nil ? nil : bias?.timestamps.address,
            maximumLength: bias?.maximumLength ?? 0,
            timeEntries: bias?.time?.count ?? 0,
            firstRowWeights: attention.firstRowWeights ?? [],
            fused: calls
        )
        if let found = self.attention.first(where: { $0.key == key }) { return found }
        let plan = AttentionPlan(
            lengths: (0..<layout.count).map(layout.length),
            cached: prefix?.sequences.map(\.rows) ?? [Int](repeating: 0, count: layout.count),
            isBiased: bias?.applies ?? [Bool](repeating: false, count: layout.count),
            queryRows: attention.queryRows,
            heads: attention.heads,
            fused: calls
        )
        var groups: [PlannedAttention.Group] = []
        for group in plan.groups { groups.append(try prepared(group, attention, checked)) }
        var fused: [PlannedAttention.Fused] = []
        for call in calls { fused.append(try prepared(call, attention, checked)) }
        let output = plan.outputRows(layout, attention.queryRows)
        let made = PlannedAttention(
            key: key,
            plan: plan,
            groups: groups,
            fused: fused,
            outputRows: try input(output, .int32, [output.count])
        )
        self.attention.append(made)
        return made
    }

    private func prepared(
        _ group: AttentionPlan.Group,
        _ attention: AttentionOperation,
        _ checked: AttentionShape<AscendKeyValuePages>
    ) throws(ComputeError) -> PlannedAttention.Group {
        let count = group.items.count
        let (queries, keys) = (group.querySlots, group.keySlots)
        let rows = group.queryRows(attention.layout, attention.queryRows)
        let own = group.ownRows(attention.layout)
        var pool: View?
        if let prefix = checked.prefix, group.cachedSlots > 0 {
            let cached = group.poolRows(prefix.poolRow)
            pool = try input(cached, .int32, [cached.count])
        }
        let keyPositions = try input(group.keyPositions, .int32, [count, 1, keys])
        let queryPositions = try input(group.queryPositions, .int32, [count, queries, 1])
        let mask = try temporary(.bool, [count, queries, keys])
        note { (calls) throws(ComputeError) in try calls.greater(keyPositions, queryPositions, mask) }
        var made = PlannedAttention.Group(
            shape: group,
            queryRows: try input(rows, .int32, [rows.count]),
            ownRows: try input(own, .int32, [own.count]),
            poolRows: pool,
            mask: mask.shaped([count, 1, queries, keys])
        )
        if let bias = attention.bias, group.isBiased {
            made.positions = try positionEntries(
                queries: group.queryPositions,
                keys: group.keyPositions,
                [count, queries, keys],
                bias.maximumLength
            )
            if let time = bias.time {
                made.buckets = try buckets(group, bias, entries: time.count, attention.name, checked.whole)
            }
        }
        if let weights = attention.firstRowWeights {
            let added = group.items.flatMap { item -> [Float] in
                var slots = [Float](repeating: 0, count: keys)
                // The first row of the sequence is a cached one, if there are any.
                slots[item.cached > 0 ? 0 : group.cachedSlots] = weights[item.sequence]
                return slots
            }
            made.firstRows = try input(added, .float32, [count, 1, 1, keys])
        }
        return made
    }

    /// (b, Sq, Sk) int32: the positional bias's entries N − 1 + (j − i) for queries at i and keys at j.
    func positionEntries(
        queries: [Int32],
        keys: [Int32],
        _ dims: [Int],
        _ maximumLength: Int
    ) throws(ComputeError) -> View {
        let length = Int32(maximumLength)
        let shifted = try input(queries.map { $0 - (length - 1) }, .int32, [dims[0], dims[1], 1])
        let difference = try temporary(.int32, dims)
        let places = try temporary(.int32, dims)
        let near = try input(keys.map { min($0, length) }, .int32, [dims[0], 1, dims[2]])
        note { (calls) throws(ComputeError) in
            try calls.subtract(near, shifted, difference)
            try calls.clamp(difference, 0...2 * (length - 1), places)
        }
        return places
    }

    /// (b, Sq, Sk) int32: the time bias's entries, computed on the device, or on the host if 64 bits do not hold the
    /// differences or the chip lacks an operator.
    func buckets(
        _ group: AttentionPlan.Group,
        _ bias: RelativeBias,
        entries: Int,
        _ operation: StaticString,
        _ whole: Jagged
    ) throws(ComputeError) -> View {
        guard let stamps = hostValues(bias.timestamps, as: Int64.self) else {
            throw ComputeError(.invalidArgument, "\(operation): the timestamps were not uploaded in this batch")
        }
        // The time of each slot's row or, for a query, of the row after it. Slots without a row have the time of the
        // first row.
        func times(_ positions: [Int32], after: Int, slots: Int) -> [Int64] {
            positions.enumerated().map { index, position in
                let item = group.items[index / slots]
                let row = position == AttentionPlan.never ? 0 : Int(position) + after
                return stamps[Int(whole.offsets[item.sequence]) + item.sequence + row]
            }
        }
        let (count, queries, keys) = (group.items.count, group.querySlots, group.keySlots)
        let later = times(group.queryPositions, after: 1, slots: queries)
        let earlier = times(group.keyPositions, after: 0, slots: keys)
        let dims = [count, queries, keys]
        let canCompute = device.support.has(.absolute, .clampAtLeast, .logarithm, .divideByScalar, .truncate)
        guard canCompute, TimeBuckets.areClose(later + earlier) else {
            var all: [Int32] = []
            all.reserveCapacity(count * queries * keys)
            for index in 0..<count {
                for query in 0..<queries {
                    for key in 0..<keys {
                        let pair = (later[index * queries + query], earlier[index * keys + key])
                        all.append(TimeBuckets.bucket(pair.0, pair.1, count: entries))
                    }
                }
            }
            return try input(all, .int32, dims)
        }
        let after = try input(later, .int64, [count, queries, 1])
        let before = try input(earlier, .int64, [count, 1, keys])
        let result = try temporary(.int32, dims)
        try withTemporaries { () throws(ComputeError) in
            let difference = try temporary(.int64, dims)
            let real = try temporary(.float32, dims)
            let other = try temporary(.float32, dims)
            let whole = try temporary(.int32, dims)
            note { (calls) throws(ComputeError) in
                try calls.subtract(after, before, difference)
                try calls.cast(difference, real)
                try calls.absolute(real, other)
                try calls.clamp(other, atLeast: 1, real)
                try calls.logarithm(real, other)
                try calls.divide(other, by: 0.301, real)
                try calls.cast(real, whole)
                try calls.clamp(whole, 0...Int32(entries - 1), result)
            }
        }
        return result
    }
}
