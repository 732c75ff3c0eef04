// The engine's view of an architecture: a decoder that turns a jagged batch of histories into one query per sequence,
// and the catalogue that queries are scored against.

package import Compute

/// A jagged batch of histories, already cut to the model's window. Sequence b owns entries
/// `layout.offsets[b] ..< layout.offsets[b + 1]` of `items`.
package struct SequenceBatch {
    /// B sequences, none empty, R rows in total.
    package var layout: Jagged
    /// R rows of the item table, oldest first within a sequence.
    package var items: [Int32]
    /// Seconds since the epoch. For each sequence: the timestamps of all its events, cached and own, then the time that
    /// follows: the request's, or the next event's if a later batch continues the sequence. Sequence b starts at
    /// `layout.extended(by: cached).offsets[b] + b`. Zeros if `timed[b]` is false.
    package var timestamps: [Int64]
    /// One entry per sequence: whether the caller sent timestamps.
    package var timed: [Bool]
    /// Cached rows of the sequences; `layout` and `items` then hold only the further events. nil: none. Only for models
    /// whose `prefixReuse` is exact.
    package var cached: CachedRows?
    /// Rows of beams, after those of the sequences; nil: none. Only for models whose `prefixReuse` is exact.
    package var beams: BeamBatch?

    package init(
        layout: Jagged,
        items: [Int32],
        timestamps: [Int64],
        timed: [Bool],
        cached: CachedRows? = nil,
        beams: BeamBatch? = nil
    ) {
        self.layout = layout
        self.items = items
        self.timestamps = timestamps
        self.timed = timed
        self.cached = cached
        self.beams = beams
    }

    /// Slots counted from the oldest kept event of each sequence, R entries: the index into a learned position table.
    package var positions: [Int32] {
        var positions: [Int32] = []
        positions.reserveCapacity(layout.rows)
        for sequence in 0..<layout.count {
            let first = cached?.sequences[sequence].rows ?? 0
            positions.append(contentsOf: Int32(first)..<Int32(first + layout.length(of: sequence)))
        }
        return positions
    }

    /// The cached rows as layer `layer` sees them; nil: none.
    func prefix(layer: Int) -> CachedPrefix? { cached.map { CachedPrefix(cached: $0, layer: layer) } }

    /// Throws `ComputeError.invalidArgument` if a model cannot use the cached rows.
    ///
    /// Must run before anything reads `positions` or the layout of whole sequences, which trust the cached row counts.
    func requireUsable(_ reuse: PrefixReuse) throws(ComputeError) {
        try beams?.requireUsable(reuse)
        guard let cached else { return }
        switch reuse {
        case .none(let reason):
            throw ComputeError(.invalidArgument, "cached rows cannot be used: \(reason)")
        case .exact(let shape, _):
            guard cached.pages.shape == shape else {
                throw ComputeError(
                    .invalidArgument,
                    "the cached rows have shape \(cached.pages.shape), but the model needs \(shape)"
                )
            }
        }
        guard cached.sequences.count == layout.count else {
            throw ComputeError(
                .invalidArgument,
                "there are cached rows for \(cached.sequences.count) sequences, but the batch has \(layout.count)"
            )
        }
        var rows = layout.rows
        for (number, sequence) in cached.sequences.enumerated() {
            guard sequence.rows >= 0, sequence.rows <= Int(Int32.max) - rows else {
                throw ComputeError(
                    .invalidArgument,
                    "sequence \(number) has \(sequence.rows) cached rows; a batch has at most \(Int32.max) rows in all"
                )
            }
            rows += sequence.rows
        }
    }
}

/// Whether a model's computed rows of a history stay valid when the history grows.
package enum PrefixReuse: Sendable, Equatable {
    /// Earlier rows change when events are added, so every request computes its whole history. The reason is a clause
    /// that completes "not reused: …".
    case none(reason: String)
    /// Rows never change once computed. One exception, with `dependsOnNextTime`: a row of a timed sequence depends on
    /// the time that follows it, so the last row is exact only while that time stays the same (the design's model
    /// sheet, section 1.7).
    case exact(KeyValueShape, dependsOnNextTime: Bool)
}

/// A decoder with its weights on a device. Belongs to the device's thread.
package protocol DecoderModel: AnyObject {
    /// The number of newest events of a history that the model uses.
    var window: Int { get }

    /// The working memory of a row in a layer, in floats, including the layer's input and output.
    var floatsOfRow: Int { get }

    /// Whether computed rows are worth keeping.
    var prefixReuse: PrefixReuse { get }

    /// The rows that queries are scored against by dot product. No row is eligible if items are tuples of tokens.
    var catalogue: any CatalogueWeights { get }

    /// Copies the rows of newly added items to the device. Called between batches.
    func takeAddedItems() throws(ComputeError)

    /// Encodes histories, or only their further events if `batch.cached` has the earlier rows.
    ///
    /// - Returns: (B, D) float32, the query of each sequence, followed by one for each row of `batch.beams`: `query ·
    ///   catalogue row` is the row's score as the next item. Valid until the stream's next `begin()`.
    func encode(_ batch: SequenceBatch, on stream: any Stream) throws(ComputeError) -> Tensor
}

extension DecoderModel {
    package func takeAddedItems() throws(ComputeError) {}
}
