// Steps that all architectures share: an operation together with working memory for its result.

import Compute

extension Stream {
    /// `activation(input · W + bias) + residual`, (R, weights.outputs), written to `output`, which may be the residual,
    /// or to new working memory.
    func project(
        _ input: LinearInput,
        _ weights: any LinearWeights,
        rows: Int,
        activation: Activation = .none,
        residual: Tensor? = nil,
        into output: Tensor? = nil
    ) throws(ComputeError) -> Tensor {
        let target: Tensor
        if let output {
            target = output
        } else {
            target = try makeTensor(rows: rows, columns: weights.outputs, dtype: .float32)
        }
        try linear(
            LinearOperation(
                input: input,
                weights: weights,
                activation: activation,
                residual: residual,
                output: target
            )
        )
        return target
    }

    /// `norm(input)`, in new working memory.
    func normalized(_ input: Tensor, _ normalization: Normalization) throws(ComputeError) -> Tensor {
        let output = try makeTensor(rows: input.rows, columns: input.columns, dtype: .float32)
        try normalize(input, normalization, output: output)
        return output
    }

    /// The newest row of each sequence, (B, D): the only queries that the last layer needs.
    func newestRows(_ rows: Tensor, of layout: Jagged) throws(ComputeError) -> Tensor {
        try gathered(rows, layout.lastRows)
    }

    /// The rows with these numbers, in new working memory.
    func gathered(_ rows: Tensor, _ numbers: [Int32]) throws(ComputeError) -> Tensor {
        let output = try makeTensor(rows: numbers.count, columns: rows.columns, dtype: .float32)
        try gatherRows(rows, rows: numbers, output: output)
        return output
    }

    /// The output rows of the last of `count` layers. `apply` runs a layer, given by number; every layer but the last
    /// writes its result to the rows it was given.
    func throughLayers(
        _ count: Int,
        _ rows: Tensor,
        apply: (_ layer: Int, _ rows: Tensor) throws(ComputeError) -> Tensor
    ) throws(ComputeError) -> Tensor {
        for layer in 0..<max(count - 1, 0) {
            try withTemporaries { () throws(ComputeError) in
                let result = try apply(layer, rows)
                precondition(result.address == rows.address, "a layer leaves its result elsewhere")
            }
        }
        return count > 0 ? try apply(count - 1, rows) : rows
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
