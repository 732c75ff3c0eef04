// Attention of beams, composed: a request's prompt, the ancestors of its beams and the beams themselves are the keys of one
// rectangle, and a mask says which of the last two a row sees.

package import Compute

extension AscendStream {
    package func beamAttention(_ operation: BeamAttentionOperation) throws(ComputeError) {
        let pages = try device.own(operation.pages, as: AscendKeyValuePages.self, in: "beam attention")
        try operation.check(pages)
        let layout = operation.layout
        guard layout.count > 0 else { return }
        let sequences = operation.groups.map {
            PagedSequence(rows: $0.promptRows, pages: $0.promptPages, storesRows: false)
        }
        let attention = Attention(
            SoftmaxAttentionOperation(
                layout: layout,
                queryRows: .all,
                query: operation.query,
                key: operation.key,
                value: operation.value,
                output: operation.output,
                heads: operation.heads,
                keyHeads: operation.keyHeads,
                scale: operation.scale,
                prefix: CachedPrefix(cached: CachedRows(pages: pages, sequences: sequences), layer: operation.layer)
            )
        )
        let shape = try attention.checkedShape { _ in pages }
        try withTemporaries { () throws(ComputeError) in
            let query = try halves(of: operation.query)
            let key = try halves(of: operation.key)
            let value = try halves(of: operation.value)
            let result = try temporary(.float32, [layout.rows, operation.output.columns])
            for number in 0..<layout.count {
                let group = try rectangle(of: number, operation, pages)
                let rows = Int(layout.offsets[number])..<Int(layout.offsets[number + 1])
                try withTemporaries { () throws(ComputeError) in
                    try attend(
                        group,
                        attention,
                        shape,
                        nil,
                        query: query,
                        key: key,
                        value: value,
                        into: result.rows(rows)
                    )
                }
            }
            note { (calls) throws(ComputeError) in try calls.copy(result, to: View(operation.output)) }
        }
    }

    /// The rows and the mask of one request's beams.
    private func rectangle(
        of number: Int,
        _ operation: BeamAttentionOperation,
        _ pages: AscendKeyValuePages
    ) throws(ComputeError) -> PlannedAttention.Group {
        let group = operation.groups[number]
        let first = operation.layout.offsets[number]
        let count = operation.layout.length(of: number)
        let depth = operation.depth(of: number)
        func place(_ row: Int, _ pageNumbers: [Int32]) -> Int32 {
            pageNumbers[row / pages.pageRows] * Int32(pages.pageRows) + Int32(row % pages.pageRows)
        }
        let ancestors = Set(group.ancestors).sorted()
        let slots = Dictionary(uniqueKeysWithValues: ancestors.enumerated().map { ($1, $0) })
        let pool =
            (0..<group.promptRows).map { place($0, group.promptPages) }
            + ancestors.map { place(Int($0), group.beamPages) }
        let keys = pool.count + count
        var unseen = [UInt8](repeating: 1, count: count * keys)
        for row in 0..<count {
            for key in 0..<group.promptRows { unseen[row * keys + key] = 0 }
            for ancestor in group.ancestors[row * depth..<(row + 1) * depth] {
                unseen[row * keys + group.promptRows + (slots[ancestor] ?? 0)] = 0
            }
            unseen[row * keys + pool.count + row] = 0
        }
        let own = try input((0..<Int32(count)).map { first + $0 }, .int32, [count])
        let item = AttentionPlan.Item(sequence: number, first: 0, queries: count, cached: pool.count)
        return PlannedAttention.Group(
            shape: AttentionPlan.Group(
                items: [item],
                isBiased: false,
                querySlots: count,
                cachedSlots: pool.count,
                ownSlots: count
            ),
            queryRows: own,
            ownRows: own,
            poolRows: try input(pool, .int32, [pool.count]),
            mask: try input(unseen, .bool, [1, 1, count, keys])
        )
    }
}
