// Projects rows into queries, keys and values: every row in all layers except the last, where only the newest row of
// each sequence is a query.

import Compute

/// D → [q | k | v] of one layer.
struct QueryKeyValueProjection {
    private enum Weights {
        /// D → [q | k | v]
        case together(any LinearWeights)
        /// D → q and D → [k | v]: for layers where only the newest row of each sequence is a query, or where queries
        /// and keys are made from different rows.
        case apart(query: any LinearWeights, keyValue: any LinearWeights)
    }

    /// The inputs of a layer's attention.
    struct Projected {
        /// (R, H·d); (B, H·d) in the last layer
        let query: Tensor
        /// (R, Hkv·d)
        let key: Tensor
        /// (R, Hkv·d)
        let value: Tensor
        /// The unprojected query rows: (R, D), or (B, D) in the last layer.
        let asking: Tensor
        /// The residual that the result of attention is added to: `asking`, or its normalised form in the order `original`.
        let residual: Tensor
        let queryRows: QueryRows
    }

    private let weights: Weights
    private let order: TransformerDescription.LayerOrder
    private let isLast: Bool
    private let queryWidth: Int
    private let keyWidth: Int

    init(_ description: TransformerDescription, layer: Int, _ loader: WeightLoader) throws(ComputeError) {
        order = description.order
        isLast = layer == description.layers - 1
        queryWidth = description.queryWidth
        keyWidth = description.keyValueWidth
        let name = TransformerTensor.qkv(layer)
        let layout = description.weightLayout
        if isLast || order == .original {
            weights = .apart(
                query: try loader.linear(name, layout, columns: 0..<queryWidth),
                keyValue: try loader.linear(name, layout, columns: queryWidth..<queryWidth + 2 * keyWidth)
            )
        } else {
            weights = .together(try loader.linear(name, layout))
        }
    }

    /// Projects (R, D).
    ///
    /// - Parameter askingRows: the query rows in the last layer.
    func apply(
        to rows: Tensor,
        _ norm: Normalization,
        askingRows: [Int32],
        on stream: any Stream
    ) throws(ComputeError) -> Projected {
        let asking = isLast ? try stream.gathered(rows, askingRows) : rows
        var residual = asking
        let queryInput: LinearInput
        let keyValueInput: LinearInput
        switch order {
        case .original:
            // Queries and the residual come from the normalised rows, keys and values from the rows themselves.
            residual = try stream.normalized(asking, norm)
            queryInput = .plain(residual)
            keyValueInput = .plain(rows)
        case .pre:
            queryInput = .normalized(asking, norm)
            keyValueInput = .normalized(rows, norm)
        case .post:
            queryInput = .plain(asking)
            keyValueInput = .plain(rows)
        }
        let query: Tensor
        let keyValue: Tensor
        switch weights {
        case .together(let weights):
            let projected = try stream.project(keyValueInput, weights, rows: rows.rows)
            query = projected.columns(0..<queryWidth)
            keyValue = projected.columns(queryWidth..<queryWidth + 2 * keyWidth)
        case .apart(let queryWeights, let keyValueWeights):
            query = try stream.project(queryInput, queryWeights, rows: asking.rows)
            keyValue = try stream.project(keyValueInput, keyValueWeights, rows: rows.rows)
        }
        return Projected(
            query: query,
            key: keyValue.columns(0..<keyWidth),
            value: keyValue.columns(keyWidth..<2 * keyWidth),
            asking: asking,
            residual: residual,
            queryRows: isLast ? .last : .all
        )
    }
}
