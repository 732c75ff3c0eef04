// What the engine knows of an architecture: a decoder that turns a jagged batch of histories into one query a sequence,
// and the catalogue that the queries are scored against. One file an architecture implements it.

package import Compute

/// A jagged batch of histories, already cut to the model's window. Sequence b owns entries
/// `layout.offsets[b] ..< layout.offsets[b + 1]` of `items`.
package struct SequenceBatch {
    /// B sequences, none of them empty, R rows together.
    package var layout: Jagged
    /// R rows of the item table, oldest first within a sequence.
    package var items: [Int32]
    /// R + B seconds since the epoch: of each sequence its events' timestamps and then the time of the request.
    /// Sequence b's start at `layout.offsets[b] + b`. Zeros where `timed[b]` is false.
    package var timestamps: [Int64]
    /// One entry a sequence: whether the caller sent timestamps.
    package var timed: [Bool]

    package init(layout: Jagged, items: [Int32], timestamps: [Int64], timed: [Bool]) {
        self.layout = layout
        self.items = items
        self.timestamps = timestamps
        self.timed = timed
    }

    /// Slots counted from the oldest kept event of each sequence, R entries: what a learned position table is read by.
    package var positions: [Int32] {
        var positions: [Int32] = []
        positions.reserveCapacity(layout.rows)
        for sequence in 0..<layout.count {
            positions.append(contentsOf: 0..<Int32(layout.length(of: sequence)))
        }
        return positions
    }
}

/// A decoder with its weights on a device. Belongs to the device's thread.
package protocol DecoderModel: AnyObject {
    /// The newest so many events of a history are used.
    var window: Int { get }

    /// The rows that queries are scored against by dot product.
    var catalogue: any CatalogueWeights { get }

    /// Encodes histories.
    ///
    /// - Returns: (B, D) float32, the query of each sequence: `query · catalogue row` is the row's score as the next
    ///   item. Valid until the stream's next `begin()`.
    func encode(_ batch: SequenceBatch, on stream: any Stream) throws(ComputeError) -> Tensor
}
