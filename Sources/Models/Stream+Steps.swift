// Steps that every architecture takes: an operation together with the working memory for its result.

import Compute

extension Stream {
    /// `activation(input · W + bias) + residual`, (R, weights.outputs), in new working memory.
    func project(
        _ input: LinearInput,
        _ weights: any LinearWeights,
        rows: Int,
        activation: Activation = .none,
        residual: Tensor? = nil
    ) throws(ComputeError) -> Tensor {
        let output = try makeTensor(rows: rows, columns: weights.outputs, dtype: .float32)
        try linear(
            LinearOperation(
                input: input,
                weights: weights,
                activation: activation,
                residual: residual,
                output: output
            )
        )
        return output
    }

    /// `norm(input)`, in new working memory.
    func normalized(_ input: Tensor, _ normalization: Normalization) throws(ComputeError) -> Tensor {
        let output = try makeTensor(rows: input.rows, columns: input.columns, dtype: .float32)
        try normalize(input, normalization, output: output)
        return output
    }

    /// The newest row of each sequence, (B, D): all that the last layer needs to ask with.
    func newestRows(_ rows: Tensor, of layout: Jagged) throws(ComputeError) -> Tensor {
        let output = try makeTensor(rows: layout.count, columns: rows.columns, dtype: .float32)
        try gatherRows(rows, rows: layout.lastRows, output: output)
        return output
    }

    /// Stores a layer's keys and values for the sequences that keep them.
    func keep(
        key: Tensor,
        value: Tensor,
        of layout: Jagged,
        _ prefix: CachedPrefix?
    ) throws(ComputeError) {
        guard let prefix, prefix.cached.sequences.contains(where: \.storesRows) else { return }
        try store(StoreOperation(layout: layout, key: key, value: value, prefix: prefix))
    }
}

extension Jagged {
    /// The row of each sequence's newest event, B entries.
    var lastRows: [Int32] { offsets.dropFirst().map { $0 - 1 } }
}
