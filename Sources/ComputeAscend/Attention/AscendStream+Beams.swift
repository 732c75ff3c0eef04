// Attention of beams composed of library operators: a request's prompt, the ancestors of its beams and the beams
// themselves are the keys of one rectangle, and a mask selects the ancestors and the beam that each row attends to.

package import Compute

extension AscendStream {
    package func beamAttention(_ operation: BeamAttentionOperation) throws(ComputeError) {
        let (shape, prompts) = try operation.checked { (pages) throws(ComputeError) in
            try device.own(pages, as: AscendKeyValuePages.self, in: "beam attention")
        }
        let (attention, layout) = (operation.attention, operation.layout)
        guard layout.count > 0 else { return }
        try withTemporaries { () throws(ComputeError) in
            let query = try halves(of: attention.query)
            let key = try halves(of: attention.key)
            let value = try halves(of: attention.value)
            let result = try temporary(.float32, [layout.rows, attention.output.columns])
            for number in 0..<layout.count {
                let group = try rectangle(of: number, operation, prompts)
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
            note { (calls) throws(ComputeError) in try calls.copy(result, to: View(attention.output)) }
        }
    }

    /// The rows and the mask of one request's beams.
    private func rectangle(
        of number: Int,
        _ operation: BeamAttentionOperation,
        _ prompts: CheckedPrefix<AscendKeyValuePages>
    ) throws(ComputeError) -> PlannedAttention.Group {
        let (group, prompt, pages) = (operation.groups[number], prompts.sequences[number], prompts.pages)
        let first = operation.layout.offsets[number]
        let count = operation.layout.length(of: number)
        let depth = operation.depth(of: number)
        func place(_ row: Int, _ pageNumbers: [Int32]) -> Int32 {
            pageNumbers[row / pages.pageRows] * Int32(pages.pageRows) + Int32(row % pages.pageRows)
        }
        let ancestors = Set(group.ancestors).sorted()
        let slots = Dictionary(uniqueKeysWithValues: ancestors.enumerated().map { ($1, $0) })
        let pool =
            (0..<prompt.rows).map { place($0, prompt.pages) }
            + ancestors.map { place(Int($0), group.beamPages) }
        let keys = pool.count + count
        var unseen = [UInt8](repeating: 1, count: count * keys)
        for row in 0..<count {
            for key in 0..<prompt.rows { unseen[row * keys + key] = 0 }
            for ancestor in group.ancestors[row * depth..<(row + 1) * depth] {
                unseen[row * keys + prompt.rows + (slots[ancestor] ?? 0)] = 0
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
