// HSTU, the sequential transducer of Meta's generative recommenders, as its research code defines it
// (generative-recommenders, research/modeling/sequential/hstu.py and its neighbours; "Actions Speak Louder than Words",
// arXiv 2402.17152). The file reads layer → model → loading. Weight names and shapes stand in HSTUConfiguration.swift.
//
// Letters: B sequences, R rows of all of them, D width, H heads, dqk and dv dimensions a head, N the constant length that
// the model was trained with (the window plus the output length), V catalogue rows.

package import Compute

/// One layer: `x' = Wo · (u ⊙ norm(y)) + bo + x` with `[u | v | q | k] = silu(norm(x) · W)` and
/// `y_i = Σ_{j ≤ i} silu(q_i · k_j + b_ij) / N · v_j`.
///
/// The residual adds the layer's input as it came, not normalised. Both norms are layer norms without affine part.
struct HSTULayer {
    /// The projection into u, v, q, k: of every row in all layers but the last.
    enum Projection {
        /// D → [u | v | q | k], widths H·dv, H·dv, H·dqk, H·dqk.
        case everyRow(any LinearWeights)
        /// The last layer: only the newest row of a sequence asks, so D → [v | k] for all rows and D → [u | q] for
        /// the newest.
        case newestRow(valueKey: any LinearWeights, gateQuery: any LinearWeights)
    }

    let projection: Projection
    /// H·dv (three times that with `concat_ua`) → D, with bias.
    let output: any LinearWeights
    /// Each layer owns its tables.
    let bias: (position: any DeviceVector, time: any DeviceVector)?
}

/// An HSTU decoder on a device.
package final class HSTU: DecoderModel {
    private typealias TensorName = HSTUConfiguration.TensorName

    private let configuration: HSTUConfiguration
    private let items: any EmbeddingTable
    private let positions: any EmbeddingTable
    private let layers: [HSTULayer]
    package let catalogue: any CatalogueWeights

    package var window: Int { configuration.maxSequenceLength }

    package func encode(_ batch: SequenceBatch, on stream: any Stream) throws(ComputeError) -> Tensor {
        // (R, D): x = sqrt(D) · E[item] + P[slot]
        var rows = try stream.makeTensor(rows: batch.layout.rows, columns: configuration.width, dtype: .float32)
        try stream.embed(
            EmbedOperation(
                ids: stream.upload(batch.items, dtype: .int32),
                table: items,
                scale: Float(configuration.width).squareRoot(),
                positions: (positions, stream.upload(batch.positions, dtype: .int32)),
                output: rows
            )
        )
        let timestamps = try stream.upload(batch.timestamps, dtype: .int64)
        for layer in layers {
            rows = try apply(layer, to: rows, batch: batch, timestamps: timestamps, on: stream)
        }
        // (B, D): the last layer has kept the newest row of each sequence alone.
        try stream.normalize(rows, configuration.queryNormalization, output: rows)
        return rows
    }

    /// (R, D) → (R, D), or → (B, D) for the last layer.
    private func apply(
        _ layer: HSTULayer,
        to rows: Tensor,
        batch: SequenceBatch,
        timestamps: Tensor,
        on stream: any Stream
    ) throws(ComputeError) -> Tensor {
        let valueWidth = configuration.heads * configuration.linearDimension
        let keyWidth = configuration.heads * configuration.attentionDimension
        let norm = Normalization.layerNorm(epsilon: Float(configuration.layerNormEpsilon))

        let gate: Tensor
        let value: Tensor
        let query: Tensor
        let key: Tensor
        let residual: Tensor
        let queryRows: QueryRows
        switch layer.projection {
        case .everyRow(let weights):
            let projected = try project(rows, norm, through: weights, on: stream)
            gate = projected.columns(0..<valueWidth)
            value = projected.columns(valueWidth..<2 * valueWidth)
            query = projected.columns(2 * valueWidth..<2 * valueWidth + keyWidth)
            key = projected.columns(2 * valueWidth + keyWidth..<2 * valueWidth + 2 * keyWidth)
            residual = rows
            queryRows = .all
        case .newestRow(let valueKey, let gateQuery):
            let projected = try project(rows, norm, through: valueKey, on: stream)
            value = projected.columns(0..<valueWidth)
            key = projected.columns(valueWidth..<valueWidth + keyWidth)
            residual = try stream.makeTensor(rows: batch.layout.count, columns: rows.columns, dtype: .float32)
            try stream.gatherRows(rows, rows: batch.lastRows, output: residual)
            let newest = try project(residual, norm, through: gateQuery, on: stream)
            gate = newest.columns(0..<valueWidth)
            query = newest.columns(valueWidth..<valueWidth + keyWidth)
            queryRows = .last
        }

        let attended = try stream.makeTensor(rows: residual.rows, columns: valueWidth, dtype: .float32)
        try stream.hstuAttention(
            HSTUAttentionOperation(
                layout: batch.layout,
                queryRows: queryRows,
                query: query,
                key: key,
                value: value,
                output: attended,
                heads: configuration.heads,
                scale: 1 / Float(configuration.paddedLength),
                bias: layer.bias.map {
                    RelativeBias(
                        position: $0.position,
                        time: $0.time,
                        maximumLength: configuration.paddedLength,
                        timestamps: timestamps,
                        applies: batch.timed
                    )
                }
            )
        )
        try stream.linear(
            LinearOperation(
                input: configuration.concatUA
                    ? .concatenatedGate(gate: gate, values: attended, norm)
                    : .gated(gate: gate, values: attended, norm),
                weights: layer.output,
                residual: residual,
                output: residual
            )
        )
        return residual
    }

    /// silu(norm(rows) · W), (R, weights.outputs).
    private func project(
        _ rows: Tensor,
        _ norm: Normalization,
        through weights: any LinearWeights,
        on stream: any Stream
    ) throws(ComputeError) -> Tensor {
        let projected = try stream.makeTensor(rows: rows.rows, columns: weights.outputs, dtype: .float32)
        try stream.linear(
            LinearOperation(input: .normalized(rows, norm), weights: weights, activation: .silu, output: projected)
        )
        return projected
    }

    /// Hands the weights of a bundle to a device.
    ///
    /// - Parameters:
    ///   - weights: the bundle's tensors by name. The bundle has been verified: every name is there in its shape.
    ///   - eligible: one bit a row, set where the catalogue has an item.
    /// - Throws: `ComputeError.unsupported` naming an operation the device lacks, or what packing throws.
    package init(
        _ configuration: HSTUConfiguration,
        weights: (_ name: String) throws(ComputeError) -> HostTensor,
        eligible: [UInt64],
        on device: any Device
    ) throws(ComputeError) {
        for operation in [.embed, .linear, .normalize, .gatherRows, .hstuAttention] as [OperationKind] {
            guard device.supports(operation) else {
                throw ComputeError(
                    .unsupported,
                    "device \(device.description.name) lacks the operation \(operation.rawValue), which hstu needs"
                )
            }
        }
        self.configuration = configuration
        let itemRows = try weights(TensorName.itemEmbedding)
        items = try device.makeTable(itemRows)
        positions = try device.makeTable(weights(TensorName.positionEmbedding))
        catalogue = try device.makeCatalogue(
            itemRows,
            normalization: configuration.itemL2Norm ? .l2(epsilon: Float(configuration.l2Epsilon)) : nil,
            eligible: eligible
        )
        var layers: [HSTULayer] = []
        for index in 0..<configuration.layers {
            let isLast = index == configuration.layers - 1
            layers.append(
                HSTULayer(
                    projection: try Self.makeProjection(
                        weights(TensorName.uvqk(index)),
                        configuration,
                        isLast: isLast,
                        on: device
                    ),
                    output: try device.makeLinear(
                        weights(TensorName.output(index)),
                        layout: .outputMajor,
                        columns: nil,
                        bias: weights(TensorName.outputBias(index))
                    ),
                    bias: configuration.relativeBias != .none
                        ? (
                            position: try device.makeVector(weights(TensorName.positionBias(index))),
                            time: try device.makeVector(weights(TensorName.timeBias(index)))
                        ) : nil
                )
            )
        }
        self.layers = layers
    }

    /// Packs `uvqk`, whose columns are u | v | q | k, whole or split for the last layer.
    private static func makeProjection(
        _ uvqk: HostTensor,
        _ configuration: HSTUConfiguration,
        isLast: Bool,
        on device: any Device
    ) throws(ComputeError) -> HSTULayer.Projection {
        guard isLast else {
            return .everyRow(try device.makeLinear(uvqk, layout: .inputMajor, columns: nil, bias: nil))
        }
        let valueWidth = configuration.heads * configuration.linearDimension
        let keyWidth = configuration.heads * configuration.attentionDimension
        let gate = 0..<valueWidth
        let value = valueWidth..<2 * valueWidth
        let query = 2 * valueWidth..<2 * valueWidth + keyWidth
        let key = 2 * valueWidth + keyWidth..<2 * valueWidth + 2 * keyWidth
        return .newestRow(
            valueKey: try device.makeLinear(uvqk, layout: .inputMajor, columns: [value, key], bias: nil),
            gateQuery: try device.makeLinear(uvqk, layout: .inputMajor, columns: [gate, query], bias: nil)
        )
    }
}

extension HSTUConfiguration {
    /// What the last layer's output goes through to become the query.
    fileprivate var queryNormalization: Normalization {
        switch outputNormalization {
        case .l2: .l2(epsilon: Float(l2Epsilon))
        case .layerNorm: .layerNorm(epsilon: Float(layerNormEpsilon))
        }
    }
}
