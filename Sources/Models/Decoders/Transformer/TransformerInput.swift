// A transformer decoder's input rows for a batch, including those for padding, and their positions.

import Compute
internal import Glibc

/// The rows that go through the layers: those of sequences, in `layout`, and then those of beams.
struct TransformerInput {
    var layout: Jagged
    /// Rows of the item table.
    var items: [Int32] = []
    /// Slots, or rows of the position table.
    var positions: [Int32] = []
    /// Rows that are zero at the input of every layer.
    var zeroRows: [Int32] = []
    /// Query rows in the last layer: the newest of each sequence, and all rows of beams.
    var askingRows: [Int32] = []
    /// The logarithm of the number of padding slots that the first row of each sequence stands for, 0 if none. nil: no
    /// first row stands for any.
    var firstRowWeights: [Float]?

    init(_ batch: SequenceBatch, _ description: TransformerDescription) {
        switch description.padding {
        case .none:
            layout = batch.layout
            items = batch.items
            positions = batch.positions
        case .rows:
            layout = Jagged(lengths: repeatElement(description.window, count: batch.layout.count))
            for sequence in 0..<batch.layout.count {
                let own = batch.items(of: sequence)
                items += repeatElement(0, count: description.window - own.count)
                items += own
                positions += 0..<Int32(description.window)
            }
        case .oneRow(let isZero):
            var lengths: [Int] = []
            var weights: [Float] = []
            var paddingRows: [Int32] = []
            for sequence in 0..<batch.layout.count {
                let own = batch.items(of: sequence)
                let padding = description.window - own.count
                if padding > 0 {
                    paddingRows.append(Int32(items.count))
                    items.append(0)
                    positions.append(0)
                }
                items += own
                // The newest event takes the table's last row in both numberings.
                let oldest = description.positionRows - own.count
                positions += Int32(oldest)..<Int32(description.positionRows)
                weights.append(padding > 0 ? Float(log(Double(padding))) : 0)
                lengths.append(own.count + (padding > 0 ? 1 : 0))
            }
            layout = Jagged(lengths: lengths)
            firstRowWeights = weights
            zeroRows = isZero ? paddingRows : []
        }
        askingRows = layout.lastRows
        if let beams = batch.beams {
            askingRows += Int32(items.count)..<Int32(items.count + beams.tokens.count)
            items += beams.tokens
            positions += beams.positions
        }
    }
}

extension SequenceBatch {
    fileprivate func items(of sequence: Int) -> ArraySlice<Int32> {
        items[Int(layout.offsets[sequence])..<Int(layout.offsets[sequence + 1])]
    }
}

extension TransformerDescription {
    /// Rows of the position table; 0 without one.
    fileprivate var positionRows: Int {
        if case .learned(let rows) = positions { rows } else { 0 }
    }
}
