// Encodes a batch in parts whose working memory fits the device's caches. A layer writes and reads some kilobytes per
// row; if all rows together exceed the caches, every operation waits for memory (width 256, sixteen layers, histories
// of 200 events on one core: 12.5 ms per history in batches of two, 16.3 ms in one batch of sixteen).

package import Compute

extension DecoderModel {
    /// Encodes histories as `encode` does, in parts if that is faster. The queries are identical bit for bit: no row
    /// depends on the rest of its batch.
    ///
    /// - Parameter mostRows: the row limit of a part, except for a longer single sequence; nil: what suits the stream.
    /// - Returns: what `encode` returns; valid until the stream's next `begin()`.
    package func encodeInParts(
        _ batch: SequenceBatch,
        on stream: any Stream,
        mostRows: Int? = nil
    ) throws(ComputeError) -> Tensor {
        let suited = stream.reusedMemoryBytes.map { $0 / (max(floatsOfRow, 1) * MemoryLayout<Float>.stride) }
        let beamRows = batch.beams?.layout.rows ?? 0
        guard let mostRows = mostRows ?? suited, batch.layout.rows + beamRows > mostRows else {
            return try encode(batch, on: stream)
        }
        try batch.requireUsable(prefixReuse)
        let parts = batch.layout.parts(mostRows: mostRows)
        let beamParts = batch.beams?.layout.parts(mostRows: mostRows) ?? []
        guard parts.count + beamParts.count > 1 else { return try encode(batch, on: stream) }
        let queries = try stream.makeTensor(
            rows: batch.layout.count + beamRows,
            columns: catalogue.columns,
            dtype: .float32
        )
        let whole = batch.layout.extended(by: batch.cached)
        for part in parts {
            try stream.withTemporaries { () throws(ComputeError) in
                let own = try encode(batch.part(part, whole: whole), on: stream)
                try stream.gatherRows(own, rows: (0..<Int32(part.count)).map { $0 }, output: queries.rows(part))
            }
        }
        for part in beamParts {
            var some = SequenceBatch(layout: Jagged(lengths: []), items: [], timestamps: [], timed: [])
            some.beams = batch.beams?.part(part)
            let rows = some.beams?.layout.rows ?? 0
            let first = batch.layout.count + (batch.beams.map { Int($0.layout.offsets[part.lowerBound]) } ?? 0)
            try stream.withTemporaries { () throws(ComputeError) in
                let own = try encode(some, on: stream)
                try stream.gatherRows(
                    own,
                    rows: (0..<Int32(rows)).map { $0 },
                    output: queries.rows(first..<first + rows)
                )
            }
        }
        return queries
    }
}

extension Jagged {
    /// The sequences in runs of at most `mostRows` rows; a longer sequence is a run of its own.
    package func parts(mostRows: Int) -> [Range<Int>] {
        var parts: [Range<Int>] = []
        var first = 0
        for sequence in 0..<count where sequence > first {
            if Int(offsets[sequence + 1] - offsets[first]) > mostRows {
                parts.append(first..<sequence)
                first = sequence
            }
        }
        if first < count { parts.append(first..<count) }
        return parts
    }
}

extension SequenceBatch {
    /// A part of the batch as a batch.
    ///
    /// - Parameter whole: `layout.extended(by: cached)`.
    fileprivate func part(_ sequences: Range<Int>, whole: Jagged) -> SequenceBatch {
        let own = Int(layout.offsets[sequences.lowerBound])..<Int(layout.offsets[sequences.upperBound])
        // Every sequence has one more time than it has events.
        let firstTime = Int(whole.offsets[sequences.lowerBound]) + sequences.lowerBound
        let endTime = Int(whole.offsets[sequences.upperBound]) + sequences.upperBound
        return SequenceBatch(
            layout: Jagged(lengths: sequences.map { layout.length(of: $0) }),
            items: Array(items[own]),
            timestamps: Array(timestamps[firstTime..<endTime]),
            timed: Array(timed[sequences]),
            cached: cached.map { CachedRows(pages: $0.pages, sequences: Array($0.sequences[sequences])) }
        )
    }
}
