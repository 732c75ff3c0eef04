// HSTU, the sequential transducer of Meta's generative recommenders, as its research code defines it
// (generative-recommenders, research/modeling/sequential/hstu.py and its neighbours; "Actions Speak Louder than Words",
// arXiv 2402.17152), with the ablations by which the USTC-Huawei study explains its scaling (arXiv 2412.00714). The
// file reads layer → model → loading. Weight names and shapes are in HSTUConfiguration.swift.
//
// Letters: B sequences, R rows in total, D width, H heads, dqk and dv dimensions per head, N the constant length that
// the model was trained with (the window plus the output length), V catalogue rows.

package import Compute

/// One layer: `x' = Wo · (u ⊙ norm(y)) + bo + x` with `[u | v | q | k] = silu(norm(x) · W)` and
/// `y_i = Σ_{j ≤ i} silu(q_i · k_j + b_ij) / N · v_j`.
///
/// The residual adds the layer's input without normalisation. Both norms are layer norms without affine part.
private struct Layer {
    /// The projection into u, v, q, k: of every row in all layers except the last.
    enum Projection {
        /// D → [u | v | q | k], widths H·dv, H·dv, H·dqk, H·dqk; without the gate there is no u.
        case everyRow(any LinearWeights)
        /// In the last layer only the newest row of a sequence is a query: D → [v | k] for all rows and D → [u | q] for
        /// the newest.
        case newestRow(valueKey: any LinearWeights, gateQuery: any LinearWeights)
    }

    let projection: Projection
    /// H·dv (three times that with `concat_ua`) → D, with bias.
    let output: any LinearWeights
    /// Each layer owns its tables.
    let bias: RelativeBiasTables?
}

/// An HSTU decoder on a device.
package final class HSTU: DecoderModel {
    private typealias TensorName = HSTUConfiguration.TensorName

    private let configuration: HSTUConfiguration
    private let items: any EmbeddingTable
    private let positions: any EmbeddingTable
    private let layers: [Layer]
    private let addedRows: AddedItemRows
    package let catalogue: any CatalogueWeights

    package var window: Int { configuration.maxSequenceLength }

    package var floatsOfRow: Int {
        configuration.width + configuration.uvqkColumns + configuration.heads * configuration.linearDimension
    }

    package var prefixReuse: PrefixReuse {
        .exact(
            configuration.keyValueShape,
            dependsOnNextTime: configuration.relativeBias == .positionAndTime
        )
    }

    package func takeAddedItems() throws(ComputeError) { try addedRows.bring(to: items, catalogue) }

    package func encode(_ batch: SequenceBatch, on stream: any Stream) throws(ComputeError) -> Tensor {
        try batch.requireUsable(prefixReuse)
        guard batch.beams == nil else {
            throw ComputeError(
                .unsupported,
                "beams are not supported by architecture \(configuration.architecture.rawValue)"
            )
        }
        // (R, D): x = sqrt(D) · E[item] + P[slot]
        let embedded = try stream.makeTensor(rows: batch.layout.rows, columns: configuration.width, dtype: .float32)
        try stream.embed(
            EmbedOperation(
                ids: stream.upload(batch.items, dtype: .int32),
                table: items,
                scale: Float(configuration.width).squareRoot(),
                positions: (positions, stream.upload(batch.positions, dtype: .int32)),
                output: embedded
            )
        )
        let timestamps = try stream.upload(batch.timestamps, dtype: .int64)
        let rows = try stream.throughLayers(layers.count, embedded) { (index, rows) throws(ComputeError) in
            let prefix = batch.prefix(layer: index)
            return try apply(layers[index], to: rows, batch: batch, prefix, timestamps: timestamps, on: stream)
        }
        // (B, D): the last layer has kept only the newest row of each sequence.
        try stream.normalize(rows, configuration.queryNormalization, output: rows)
        return rows
    }

    /// (R, D) → (R, D) in place, or → (B, D) for the last layer.
    private func apply(
        _ layer: Layer,
        to rows: Tensor,
        batch: SequenceBatch,
        _ prefix: CachedPrefix?,
        timestamps: Tensor,
        on stream: any Stream
    ) throws(ComputeError) -> Tensor {
        let columns = configuration.columns
        let norm = Normalization.layerNorm(epsilon: Float(configuration.layerNormEpsilon))

        var gate: Tensor?
        let value: Tensor
        let query: Tensor
        let key: Tensor
        let residual: Tensor
        let queryRows: QueryRows
        switch layer.projection {
        case .everyRow(let weights):
            let projected = try stream.project(
                .normalized(rows, norm),
                weights,
                rows: rows.rows,
                activation: .silu
            )
            gate = columns.gate.map(projected.columns)
            value = projected.columns(columns.value)
            query = projected.columns(columns.query)
            key = projected.columns(columns.key)
            residual = rows
            queryRows = .all
        case .newestRow(let valueKey, let gateQuery):
            let projected = try stream.project(
                .normalized(rows, norm),
                valueKey,
                rows: rows.rows,
                activation: .silu
            )
            value = projected.columns(0..<columns.value.count)
            key = projected.columns(columns.value.count..<projected.columns)
            residual = try stream.newestRows(rows, of: batch.layout)
            let newest = try stream.project(
                .normalized(residual, norm),
                gateQuery,
                rows: residual.rows,
                activation: .silu
            )
            gate = columns.gate.map { newest.columns(0..<$0.count) }
            query = newest.columns(newest.columns - columns.query.count..<newest.columns)
            queryRows = .last
        }

        let attended = try stream.makeTensor(rows: residual.rows, columns: value.columns, dtype: .float32)
        let bias = layer.bias?.bias(batch, timestamps: timestamps, maximumLength: configuration.paddedLength)
        let isSoftmax = configuration.attentionActivation == .softmax
        try stream.attention(
            AttentionOperation(
                isSoftmax ? .softmax : .silu,
                layout: batch.layout,
                queryRows: queryRows,
                query: query,
                key: key,
                value: value,
                output: attended,
                heads: configuration.heads,
                scale: isSoftmax
                    ? 1 / Float(configuration.attentionDimension).squareRoot() : 1 / Float(configuration.paddedLength),
                bias: bias,
                prefix: prefix
            )
        )
        try stream.keep(key: key, value: value, of: batch.layout, prefix)
        let input: LinearInput
        if let gate {
            input =
                configuration.concatUA
                ? .concatenatedGate(gate: gate, values: attended, norm)
                : .gated(gate: gate, values: attended, norm)
        } else {
            input = .normalized(attended, norm)
        }
        try stream.linear(
            LinearOperation(input: input, weights: layer.output, residual: residual, output: residual)
        )
        return residual
    }

    /// Loads the weights of a bundle into a device.
    ///
    /// - Parameter eligible: one bit per row, set if the catalogue has an item.
    init(
        _ configuration: HSTUConfiguration,
        _ loader: WeightLoader,
        eligible: [UInt64]
    ) throws(ComputeError) {
        let attention: OperationKind =
            configuration.attentionActivation == .silu ? .hstuAttention : .softmaxAttention
        try loader.require([.embed, .linear, .normalize, .gatherRows, attention, .selectTopK], for: .hstu)
        self.configuration = configuration
        addedRows = AddedItemRows(source: loader.itemTable, device: loader.device)
        items = try loader.table(TensorName.itemEmbedding)
        positions = try loader.table(TensorName.positionEmbedding)
        catalogue = try loader.device.makeCatalogue(
            loader.tensor(TensorName.itemEmbedding),
            normalization: configuration.itemL2Norm ? .l2(epsilon: Float(configuration.l2Epsilon)) : nil,
            eligible: eligible
        )
        var layers: [Layer] = []
        for index in 0..<configuration.layers {
            layers.append(
                Layer(
                    projection: try Self.projection(index, configuration, loader),
                    output: try loader.linear(TensorName.output(index), .outputMajor),
                    bias: try loader.relativeBias(configuration.relativeBias, layer: index)
                )
            )
        }
        self.layers = layers
    }

    /// Packs `uvqk` of a layer, whole or split for the last one.
    private static func projection(
        _ layer: Int,
        _ configuration: HSTUConfiguration,
        _ loader: WeightLoader
    ) throws(ComputeError) -> Layer.Projection {
        let name = TensorName.uvqk(layer)
        guard layer == configuration.layers - 1 else { return .everyRow(try loader.linear(name, .inputMajor)) }
        let columns = configuration.columns
        let uvqk = try loader.tensor(name.weight)
        let gateQuery = (columns.gate.map { [$0] } ?? []) + [columns.query]
        return .newestRow(
            valueKey: try loader.device.makeLinear(
                uvqk,
                layout: .inputMajor,
                columns: [columns.value, columns.key],
                bias: nil
            ),
            gateQuery: try loader.device.makeLinear(uvqk, layout: .inputMajor, columns: gateQuery, bias: nil)
        )
    }
}

extension HSTUConfiguration {
    /// The column ranges of u, v, q and k in the output of the first projection.
    fileprivate var columns: (gate: Range<Int>?, value: Range<Int>, query: Range<Int>, key: Range<Int>) {
        let valueWidth = heads * linearDimension
        let keyWidth = heads * attentionDimension
        let start = hasGate ? valueWidth : 0
        let value = start..<start + valueWidth
        let query = value.upperBound..<value.upperBound + keyWidth
        return (hasGate ? 0..<valueWidth : nil, value, query, query.upperBound..<query.upperBound + keyWidth)
    }

    /// The last step from the output of the last layer to the query.
    fileprivate var queryNormalization: Normalization {
        switch outputNormalization {
        case .l2: .l2(epsilon: Float(l2Epsilon))
        case .layerNorm: .layerNorm(epsilon: Float(layerNormEpsilon))
        }
    }
}
