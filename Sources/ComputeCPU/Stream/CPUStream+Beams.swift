// Attention of beams, and log-probabilities of tokens.

internal import CKernels
package import Compute
internal import Glibc

extension CPUStream {
    package func beamAttention(_ operation: BeamAttentionOperation) throws(ComputeError) {
        let (_, prompts) = try operation.checked { (pages) throws(ComputeError) in
            try own(pages, as: CPUKeyValuePages.self, in: "beam attention")
        }
        let (attention, pages) = (operation.attention, prompts.pages)
        guard operation.layout.count > 0 else { return }
        let mark = arena.mark
        defer { arena.release(to: mark) }

        let groups = try allocate(byteCount: operation.groups.count * MemoryLayout<gk_beam_group>.stride)
            .assumingMemoryBound(to: gk_beam_group.self)
        for (number, group) in operation.groups.enumerated() {
            var made = gk_beam_group()
            made.begin = Int(operation.layout.offsets[number])
            made.rows = operation.layout.length(of: number)
            made.cached = prompts.sequences[number].rows
            made.pages = try copied(prompts.sequences[number].pages)
            made.beam_pages = try copied(group.beamPages)
            made.depth = operation.depth(of: number)
            made.ancestors = try copied(group.ancestors)
            groups[number] = made
        }
        var job = gk_beams()
        job.kernels = device.kernels
        job.dtype = pages.dtype
        job.groups = UnsafePointer(groups)
        job.count = operation.groups.count
        job.query = UnsafePointer(attention.query.floats)
        job.query_stride = attention.query.rowStride
        job.key = UnsafePointer(attention.key.floats)
        job.key_stride = attention.key.rowStride
        job.value = UnsafePointer(attention.value.floats)
        job.value_stride = attention.value.rowStride
        job.output = attention.output.floats
        job.output_stride = attention.output.rowStride
        job.pool = UnsafePointer(pages.floats(layer: prompts.layer))
        job.page_floats = pages.pageFloats
        job.head_floats = pages.headFloats
        job.heads = attention.heads
        job.sharing = attention.heads / attention.keyHeads
        job.columns = attention.query.columns / attention.heads
        job.scale = attention.scale
        let tiles = gk_beams_plan(groups, operation.groups.count)
        let scratch = try allocateScratch(floats: gk_beams_scratch(&job))
        job.scratch = scratch.base
        job.scratch_stride = scratch.stride
        withExtendedLifetime(pages) {
            pool.run(gk_beams_run, job: &job, count: tiles * attention.keyHeads)
        }
    }

    /// A copy of the values in the stream's memory; nil if there are none.
    private func copied(_ values: [Int32]) throws(ComputeError) -> UnsafePointer<Int32>? {
        guard !values.isEmpty else { return nil }
        let copy = try allocate(byteCount: values.count * MemoryLayout<Int32>.stride)
            .assumingMemoryBound(to: Int32.self)
        for (index, value) in values.enumerated() { copy[index] = value }
        return UnsafePointer(copy)
    }

    package func tokenScores(_ operation: TokenScoresOperation) throws(ComputeError) -> TokenScoresTicket {
        try operation.check()
        var rows = operation.normalizations.indices.map { row in
            var made = gk_token_row()
            made.next = operation.offsets[row]
            made.end = operation.offsets[row + 1]
            if case .tokens(let range) = operation.normalizations[row] {
                made.low = range.lowerBound
                made.high = range.upperBound
            }
            made.most = -.infinity
            return made
        }
        var kept = [Float](repeating: 0, count: operation.tokens.count)
        for block in operation.blocks.indices where operation.needs(block: block) && !rows.isEmpty {
            let weights = operation.blocks[block]
            let mark = arena.mark
            defer { arena.release(to: mark) }
            let scores = try makeTensor(rows: rows.count, columns: weights.outputs, dtype: .float32)
            try linear(LinearOperation(input: .plain(operation.queries), weights: weights, output: scores))
            operation.tokens.withUnsafeBufferPointer { tokens in
                rows.withUnsafeMutableBufferPointer { rows in
                    kept.withUnsafeMutableBufferPointer { kept in
                        var job = gk_token_block()
                        job.kernels = device.kernels
                        job.scores = UnsafePointer(scores.floats)
                        job.stride = scores.rowStride
                        job.begin = block * operation.blockRows
                        job.count = weights.outputs
                        job.rows = rows.baseAddress
                        job.tokens = tokens.baseAddress
                        job.kept = kept.baseAddress
                        pool.run(gk_token_block_run, job: &job, count: rows.count)
                    }
                }
            }
        }
        for (row, sum) in rows.enumerated() {
            let own = operation.offsets[row]..<operation.offsets[row + 1]
            var (most, total) = (Double(sum.most), sum.total)
            if operation.normalizations[row] == .candidates {
                most = Double(kept[own].max() ?? 0)
                total = kept[own].reduce(0) { $0 + exp(Double($1) - most) }
            }
            kept.replaceSubrange(
                own,
                with: TokenScoresOperation.logProbabilities(kept[own], logSum: most + log(total))
            )
        }
        tokenResults.append(kept)
        return TokenScoresTicket(id: tokenResults.count - 1)
    }

    package func logProbabilities(_ ticket: TokenScoresTicket) -> [Float] { tokenResults[ticket.id] }
}
