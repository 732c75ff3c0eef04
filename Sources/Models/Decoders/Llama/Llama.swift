// Llama over item ids (Touvron et al., arXiv 2302.13971), as Hugging Face's LlamaForCausalLM and USTC's Performance-Law
// define it. The file reads layer → model → loading. Weight names and shapes stand in LlamaConfiguration.swift.
//
// Letters: B sequences, R rows of all of them, D width, H query heads, Hkv key and value heads, d dimensions a head, F
// hidden width, V catalogue rows.

package import Compute

/// One layer: `y = x + Wo · attention(rms(x)); x' = y + Wdown · (silu(g) ⊙ u)` with `[g | u] = Wgu · rms(y)`.
private struct Layer {
    let attentionNorm: Normalization
    let projection: QueryKeyValueProjection
    let attentionOutput: any LinearWeights
    let feedForwardNorm: Normalization
    /// D → [gate | up], F each.
    let gateUp: any LinearWeights
    let down: any LinearWeights
}

/// A Llama decoder on a device.
package final class Llama: DecoderModel {
    private typealias TensorName = LlamaConfiguration.TensorName

    private let configuration: LlamaConfiguration
    private let items: any EmbeddingTable
    private let frequencies: any DeviceVector
    private let layers: [Layer]
    private let outputNorm: Normalization
    package let catalogue: any CatalogueWeights

    package var window: Int { configuration.maxSequenceLength }

    package var floatsOfRow: Int {
        2 * configuration.width + configuration.qkvOutputs + configuration.queryWidth + 2 * configuration.feedForward
    }

    package var prefixReuse: PrefixReuse {
        guard !configuration.attendsPadding else {
            return .none(reason: "its padding takes part in attention, and every event moves all earlier ones")
        }
        return .exact(
            KeyValueShape(
                layers: configuration.layers,
                heads: configuration.keyValueHeads,
                keyColumns: configuration.headDimension,
                valueColumns: configuration.headDimension
            ),
            dependsOnNextTime: false
        )
    }

    package func encode(_ batch: SequenceBatch, on stream: any Stream) throws(ComputeError) -> Tensor {
        try batch.requireUsable(prefixReuse)
        let batch = configuration.attendsPadding ? batch.filled(to: window) : batch
        // (R, D)
        let embedded = try stream.makeTensor(rows: batch.layout.rows, columns: configuration.width, dtype: .float32)
        try stream.embed(
            EmbedOperation(
                ids: stream.upload(batch.items, dtype: .int32),
                table: items,
                scale: configuration.embeddingScale.factor(width: configuration.width),
                positions: nil,
                output: embedded
            )
        )
        let positions = batch.positions
        let everyPosition = try stream.upload(positions, dtype: .int32)
        let newestPosition = try stream.upload(batch.layout.lastRows.map { positions[Int($0)] }, dtype: .int32)
        let rows = try stream.throughLayers(layers.count, embedded) { (index, rows) throws(ComputeError) in
            let prefix = batch.prefix(layer: index)
            return try apply(layers[index], to: rows, batch.layout, prefix, everyPosition, newestPosition, on: stream)
        }
        // (B, D): the last layer has kept the newest row of each sequence alone.
        try stream.normalize(rows, outputNorm, output: rows)
        if configuration.scoreNormalization == .l2 {
            try stream.normalize(rows, .l2(epsilon: Float(configuration.l2Epsilon)), output: rows)
        }
        return rows
    }

    /// (R, D) → (R, D) in place, or → (B, D) for the last layer.
    private func apply(
        _ layer: Layer,
        to rows: Tensor,
        _ layout: Jagged,
        _ prefix: CachedPrefix?,
        _ everyPosition: Tensor,
        _ newestPosition: Tensor,
        on stream: any Stream
    ) throws(ComputeError) -> Tensor {
        let projected = try layer.projection.apply(to: rows, layer.attentionNorm, layout, on: stream)
        let residual = projected.residual
        let queryPositions = projected.queryRows == .all ? everyPosition : newestPosition
        try rotate(projected.query, configuration.heads, queryPositions, on: stream)
        try rotate(projected.key, configuration.keyValueHeads, everyPosition, on: stream)
        let attended = try stream.makeTensor(rows: residual.rows, columns: configuration.queryWidth, dtype: .float32)
        try stream.softmaxAttention(
            SoftmaxAttentionOperation(
                layout: layout,
                queryRows: projected.queryRows,
                query: projected.query,
                key: projected.key,
                value: projected.value,
                output: attended,
                heads: configuration.heads,
                keyHeads: configuration.keyValueHeads,
                scale: 1 / Float(configuration.headDimension).squareRoot(),
                prefix: prefix
            )
        )
        try stream.keep(key: projected.key, value: projected.value, of: layout, prefix)
        let mixed = try stream.project(
            .plain(attended),
            layer.attentionOutput,
            rows: residual.rows,
            residual: residual,
            into: residual
        )
        let gateUp = try stream.project(.normalized(mixed, layer.feedForwardNorm), layer.gateUp, rows: mixed.rows)
        let width = configuration.feedForward
        return try stream.project(
            .swiGLU(gate: gateUp.columns(0..<width), values: gateUp.columns(width..<2 * width)),
            layer.down,
            rows: mixed.rows,
            residual: mixed,
            into: mixed
        )
    }

    private func rotate(
        _ tensor: Tensor,
        _ heads: Int,
        _ positions: Tensor,
        on stream: any Stream
    ) throws(ComputeError) {
        try stream.rotate(
            RotateOperation(
                tensor: tensor,
                positions: positions,
                frequencies: frequencies,
                heads: heads,
                pairing: configuration.rope.pairing == .halves ? .halves : .interleaved
            )
        )
    }

    /// Hands the weights of a bundle to a device.
    ///
    /// - Parameter eligible: one bit a row, set where the catalogue has an item.
    init(
        _ configuration: LlamaConfiguration,
        _ loader: WeightLoader,
        eligible: [UInt64]
    ) throws(ComputeError) {
        try loader.require(
            [.embed, .linear, .normalize, .gatherRows, .rotate, .softmaxAttention, .selectTopK],
            for: .llama
        )
        self.configuration = configuration
        items = try loader.table(TensorName.itemEmbedding)
        frequencies = try loader.vector("rotary frequencies", configuration.inverseFrequencies)
        catalogue = try loader.device.makeCatalogue(
            loader.tensor(configuration.tied ? TensorName.itemEmbedding : TensorName.head),
            normalization: configuration.scoreNormalization == .l2
                ? .l2(epsilon: Float(configuration.l2Epsilon)) : nil,
            eligible: eligible
        )
        let norm = { (name: String) throws(ComputeError) -> Normalization in
            .rms(epsilon: Float(configuration.rmsNormEpsilon), scale: try loader.vector(name))
        }
        outputNorm = try norm(TensorName.outputNorm)
        var layers: [Layer] = []
        for index in 0..<configuration.layers {
            layers.append(
                Layer(
                    attentionNorm: try norm(TensorName.attentionNorm(index)),
                    projection: try QueryKeyValueProjection(
                        TensorName.qkv(index),
                        .outputMajor,
                        bias: configuration.attentionBias ? TensorName.qkvBias(index) : nil,
                        queryWidth: configuration.queryWidth,
                        keyWidth: configuration.keyValueWidth,
                        isLast: index == configuration.layers - 1,
                        loader
                    ),
                    attentionOutput: try loader.linear(
                        TensorName.attentionOutput(index),
                        .outputMajor,
                        bias: configuration.attentionBias ? TensorName.attentionOutputBias(index) : nil
                    ),
                    feedForwardNorm: try norm(TensorName.feedForwardNorm(index)),
                    gateUp: try loader.linear(
                        TensorName.gateUp(index),
                        .outputMajor,
                        bias: configuration.mlpBias ? TensorName.gateUpBias(index) : nil
                    ),
                    down: try loader.linear(
                        TensorName.down(index),
                        .outputMajor,
                        bias: configuration.mlpBias ? TensorName.downBias(index) : nil
                    )
                )
            )
        }
        self.layers = layers
    }
}

extension SequenceBatch {
    /// The batch with every sequence filled up from the left with row 0 to `length` events, as trainers do whose models
    /// attend their padding. Slots have different rotations, so no single row can stand for them.
    fileprivate func filled(to length: Int) -> SequenceBatch {
        var items: [Int32] = []
        items.reserveCapacity(layout.count * length)
        for sequence in 0..<layout.count {
            let start = Int(layout.offsets[sequence])
            let own = layout.length(of: sequence)
            items += repeatElement(0, count: length - own)
            items += self.items[start..<start + own]
        }
        return SequenceBatch(
            layout: Jagged(lengths: repeatElement(length, count: layout.count)),
            items: items,
            timestamps: [],
            timed: timed
        )
    }
}
