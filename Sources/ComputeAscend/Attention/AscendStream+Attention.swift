// HSTU and softmax attention composed of library operators: gather each group into a rectangle, compute the scores of
// all heads in one product, apply bias and mask, compute the weights, multiply with the values, and return to jagged
// rows. HSTU attention may be fused instead.

package import Compute

extension AscendStream {
    package func attention(_ attention: AttentionOperation) throws(ComputeError) {
        let shape = try attention.checkedShape { (pages) throws(ComputeError) in
            try device.own(pages, as: AscendKeyValuePages.self, in: attention.name)
        }
        var biases: (position: AscendVector, time: AscendVector?)?
        if let bias = attention.bias {
            biases = (
                try device.own(bias.position, as: AscendVector.self, in: attention.name),
                try bias.time.map { (time) throws(ComputeError) in
                    try device.own(time, as: AscendVector.self, in: attention.name)
                }
            )
        }
        guard attention.layout.count > 0 else { return }
        let planned = try planned(attention, shape)
        try withTemporaries { () throws(ComputeError) in
            let query = try halves(of: attention.query)
            let key = try halves(of: attention.key)
            let value = try halves(of: attention.value)
            let target = View(attention.output)
            let isInPlace = planned.groups.isEmpty && planned.fused.allSatisfy { $0.rows == nil } && target.isContiguous
            let padded =
                isInPlace
                ? target : try temporary(.float32, [planned.plan.paddedRows, attention.output.columns])
            var begin = 0
            for group in planned.groups {
                let rows = group.shape.items.count * group.shape.querySlots
                try withTemporaries { () throws(ComputeError) in
                    try attend(
                        group,
                        attention,
                        shape,
                        biases,
                        query: query,
                        key: key,
                        value: value,
                        into: padded.rows(begin..<begin + rows)
                    )
                }
                begin += rows
            }
            for fused in planned.fused {
                try withTemporaries { () throws(ComputeError) in
                    try attend(
                        fused,
                        attention,
                        shape,
                        biases,
                        query: query,
                        key: key,
                        value: value,
                        into: padded.rows(begin..<begin + fused.call.rows)
                    )
                }
                begin += fused.call.rows
            }
            // In place, rows were neither padded nor reordered and are the result already.
            if isInPlace { return }
            let result = target.isContiguous ? target : try temporary(.float32, target.dims)
            note { (calls) throws(ComputeError) in
                try calls.gather(padded, planned.outputRows, result)
                if !result.isSame(as: target) { try calls.copy(result, to: target) }
            }
        }
    }

    /// Records a cast of a tensor, which may be part of wider rows, to contiguous rows in half precision.
    func halves(of tensor: Tensor) throws(ComputeError) -> View {
        let result = try temporary(half, [tensor.rows, tensor.columns])
        note { (calls) throws(ComputeError) in try calls.cast(View(tensor), result) }
        return result
    }

    /// Records the attention of one group; `output` is (b · Sq, H · dv) float32.
    func attend(
        _ group: PlannedAttention.Group,
        _ attention: AttentionOperation,
        _ shape: AttentionShape<AscendKeyValuePages>,
        _ biases: (position: AscendVector, time: AscendVector?)?,
        query: View,
        key: View,
        value: View,
        into output: View
    ) throws(ComputeError) {
        let (count, queries, keys) = (group.shape.items.count, group.shape.querySlots, group.shape.keySlots)
        let (heads, keyHeads) = (attention.heads, attention.keyHeads)
        let (dqk, dv) = (shape.queryColumns, shape.valueColumns)

        let q = try headMajor(
            try gathered(query, group.queryRows),
            slots: queries,
            count: count,
            heads: heads,
            columns: dqk
        )
        let prefix = shape.prefix
        let k = try headMajor(
            try keyRows(group, own: key, pool: prefix.map { $0.pages.keys(layer: $0.layer) }),
            slots: keys,
            count: count,
            heads: keyHeads,
            columns: dqk
        )
        let v = try headMajor(
            try keyRows(group, own: value, pool: prefix.map { $0.pages.values(layer: $0.layer) }),
            slots: keys,
            count: count,
            heads: keyHeads,
            columns: dv
        )

        // Query heads that share a key head are rows of one matrix.
        let sharing = heads / keyHeads
        let scores = try temporary(.float32, [count, heads, queries, keys])
        let left = q.shaped([count * keyHeads, sharing * queries, dqk])
        let right = k.shaped([count * keyHeads, keys, dqk]).permuted([0, 2, 1])
        note { (calls) throws(ComputeError) in
            try calls.batchMatMul(left, right, scores.shaped([count * keyHeads, sharing * queries, keys]))
        }
        if let biases, let positions = group.positions {
            let added = try temporary(.float32, [count, queries, keys])
            note { (calls) throws(ComputeError) in
                try calls.gather(biases.position.view, positions, added)
                try calls.add(added.shaped([count, 1, queries, keys]), to: scores)
            }
            if let time = biases.time, let buckets = group.buckets {
                note { (calls) throws(ComputeError) in
                    try calls.gather(time.view, buckets, added)
                    try calls.add(added.shaped([count, 1, queries, keys]), to: scores)
                }
            }
        }
        let weights = try temporary(half, [count * keyHeads, sharing * queries, keys])
        let (mask, firstRows, scale) = (group.mask, group.firstRows, attention.scale)
        switch attention.weights {
        case .silu:
            note { (calls) throws(ComputeError) in
                try calls.activate(scores, .silu, scores)
                try calls.fill(scores, where: mask, 0)
            }
        case .softmax:
            note { (calls) throws(ComputeError) in
                if scale != 1 { try calls.multiply(scores, by: scale) }
                if let firstRows { try calls.add(firstRows, to: scores) }
                try calls.fill(scores, where: mask, -.infinity)
                try calls.softmax(scores, scores)
            }
        }
        let summed = try temporary(.float32, [count, heads, queries, dv])
        let target = View(output.address, .float32, [count, queries, heads, dv])
        note { (calls) throws(ComputeError) in
            try calls.cast(scores.shaped(weights.dims), weights)
            try calls.batchMatMul(
                weights,
                v.shaped([count * keyHeads, keys, dv]),
                summed.shaped([count * keyHeads, sharing * queries, dv])
            )
            // HSTU's 1/N is applied here, in float32: before the product, small weights would underflow in float16.
            if attention.weights == .silu, scale != 1 { try calls.multiply(summed, by: scale) }
            try calls.copy(summed.permuted([0, 2, 1, 3]), to: target)
        }
    }

    func gathered(_ rows: View, _ index: View) throws(ComputeError) -> View {
        let result = try temporary(half, [index.count, rows.dims[1]])
        note { (calls) throws(ComputeError) in try calls.gather(rows, index, result) }
        return result
    }

    /// (b · Sk, columns): cached rows of each item, then its own.
    private func keyRows(_ group: PlannedAttention.Group, own: View, pool: View?) throws(ComputeError) -> View {
        let own = try gathered(own, group.ownRows)
        guard let pool, let poolRows = group.poolRows else { return own }
        let cached = try gathered(pool, poolRows)
        let (count, columns) = (group.shape.items.count, own.dims[1])
        let result = try temporary(half, [count, group.shape.keySlots, columns])
        note { (calls) throws(ComputeError) in
            try calls.concatenate(
                [
                    cached.shaped([count, group.shape.cachedSlots, columns]),
                    own.shaped([count, group.shape.ownSlots, columns]),
                ],
                axis: 1,
                result
            )
        }
        return result
    }

    /// (b · S, heads · columns) → (b, heads, S, columns), contiguous.
    private func headMajor(_ rows: View, slots: Int, count: Int, heads: Int, columns: Int) throws(ComputeError) -> View
    {
        let split = rows.shaped([count, slots, heads, columns])
        guard heads > 1 else { return split.shaped([count, 1, slots, columns]) }
        let result = try temporary(half, [count, heads, slots, columns])
        note { (calls) throws(ComputeError) in try calls.copy(split.permuted([0, 2, 1, 3]), to: result) }
        return result
    }
}
