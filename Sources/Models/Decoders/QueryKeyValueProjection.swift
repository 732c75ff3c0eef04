// The projection of normalised rows into queries, keys and values, as the pre-norm transformers (Llama, GPT) have it: of
// every row in all layers but the last, where only the newest row of each sequence asks.

import Compute

/// D → [q | k | v] of one layer.
struct QueryKeyValueProjection {
    private enum Weights {
        /// D → [q | k | v]
        case everyRow(any LinearWeights)
        /// D → q for the newest row of each sequence, D → [k | v] for all.
        case newestRow(query: any LinearWeights, keyValue: any LinearWeights)
    }

    /// What a layer's attention works on.
    struct Projected {
        /// (R, H·d); (B, H·d) in the last layer
        let query: Tensor
        /// (R, Hkv·d)
        let key: Tensor
        /// (R, Hkv·d)
        let value: Tensor
        /// The rows that ask, as they came: (R, D), or (B, D) in the last layer.
        let residual: Tensor
        let queryRows: QueryRows
    }

    private let weights: Weights
    private let queryWidth: Int
    private let keyWidth: Int

    /// - Parameters:
    ///   - name: the tensor of q, k and v together, in this order.
    ///   - queryWidth: H·d
    ///   - keyWidth: Hkv·d
    ///   - isLast: whether the layer is the last one.
    init(
        _ name: String,
        _ layout: LinearLayout,
        bias: String?,
        queryWidth: Int,
        keyWidth: Int,
        isLast: Bool,
        _ loader: WeightLoader
    ) throws(ComputeError) {
        self.queryWidth = queryWidth
        self.keyWidth = keyWidth
        guard isLast else {
            weights = .everyRow(try loader.linear(name, layout, bias: bias))
            return
        }
        weights = .newestRow(
            query: try loader.linear(name, layout, columns: 0..<queryWidth, bias: bias),
            keyValue: try loader.linear(name, layout, columns: queryWidth..<queryWidth + 2 * keyWidth, bias: bias)
        )
    }

    /// Projects (R, D).
    func apply(
        to rows: Tensor,
        _ norm: Normalization,
        _ layout: Jagged,
        on stream: any Stream
    ) throws(ComputeError) -> Projected {
        switch weights {
        case .everyRow(let weights):
            let projected = try stream.project(.normalized(rows, norm), weights, rows: rows.rows)
            return Projected(
                query: projected.columns(0..<queryWidth),
                key: projected.columns(queryWidth..<queryWidth + keyWidth),
                value: projected.columns(queryWidth + keyWidth..<queryWidth + 2 * keyWidth),
                residual: rows,
                queryRows: .all
            )
        case .newestRow(let query, let keyValue):
            let newest = try stream.newestRows(rows, of: layout)
            let projected = try stream.project(.normalized(rows, norm), keyValue, rows: rows.rows)
            return Projected(
                query: try stream.project(.normalized(newest, norm), query, rows: newest.rows),
                key: projected.columns(0..<keyWidth),
                value: projected.columns(keyWidth..<2 * keyWidth),
                residual: newest,
                queryRows: .last
            )
        }
    }
}
