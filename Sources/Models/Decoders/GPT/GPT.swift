// GPT-2 over item ids (Radford et al., 2019), as Hugging Face's GPT2LMHeadModel defines it. The file reads layer → model →
// loading. Weight names and shapes stand in GPTConfiguration.swift.
//
// Letters: B sequences, R rows of all of them, D width, H heads, F hidden width, V catalogue rows.

package import Compute

/// One layer: `y = x + Wo · attention(norm1(x)) + bo; x' = y + W2 · gelu(W1 · norm2(y) + b1) + b2`.
private struct Layer {
    let attentionNorm: Normalization
    let projection: QueryKeyValueProjection
    let attentionScale: Float
    let attentionOutput: any LinearWeights
    let feedForwardNorm: Normalization
    let hidden: any LinearWeights
    let feedForwardOutput: any LinearWeights
}

/// A GPT-2 decoder on a device.
package final class GPT: DecoderModel {
    private typealias TensorName = GPTConfiguration.TensorName

    private let configuration: GPTConfiguration
    private let items: any EmbeddingTable
    private let positions: any EmbeddingTable
    private let layers: [Layer]
    private let outputNorm: Normalization
    package let catalogue: any CatalogueWeights

    package var window: Int { configuration.maxSequenceLength }

    package var floatsOfRow: Int {
        // The row, query, key and value, what attention leaves, its projection.
        6 * configuration.width + configuration.feedForward
    }

    package var prefixReuse: PrefixReuse {
        .exact(
            KeyValueShape(
                layers: configuration.layers,
                heads: configuration.heads,
                keyColumns: configuration.headDimension,
                valueColumns: configuration.headDimension
            ),
            dependsOnNextTime: false
        )
    }

    package func encode(_ batch: SequenceBatch, on stream: any Stream) throws(ComputeError) -> Tensor {
        try batch.requireUsable(prefixReuse)
        // (R, D): x = scale · E[item] + P[slot]
        let embedded = try stream.makeTensor(rows: batch.layout.rows, columns: configuration.width, dtype: .float32)
        try stream.embed(
            EmbedOperation(
                ids: stream.upload(batch.items, dtype: .int32),
                table: items,
                scale: configuration.embeddingScale.factor(width: configuration.width),
                positions: (positions, stream.upload(batch.positions, dtype: .int32)),
                output: embedded
            )
        )
        let rows = try stream.throughLayers(layers.count, embedded) { (index, rows) throws(ComputeError) in
            try apply(layers[index], to: rows, batch.layout, batch.prefix(layer: index), on: stream)
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
        on stream: any Stream
    ) throws(ComputeError) -> Tensor {
        let projected = try layer.projection.apply(to: rows, layer.attentionNorm, layout, on: stream)
        let residual = projected.residual
        let attended = try stream.makeTensor(rows: residual.rows, columns: configuration.width, dtype: .float32)
        try stream.softmaxAttention(
            SoftmaxAttentionOperation(
                layout: layout,
                queryRows: projected.queryRows,
                query: projected.query,
                key: projected.key,
                value: projected.value,
                output: attended,
                heads: configuration.heads,
                keyHeads: configuration.heads,
                scale: layer.attentionScale,
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
        let hidden = try stream.project(
            .normalized(mixed, layer.feedForwardNorm),
            layer.hidden,
            rows: mixed.rows,
            activation: .geluTanh
        )
        return try stream.project(
            .plain(hidden),
            layer.feedForwardOutput,
            rows: mixed.rows,
            residual: mixed,
            into: mixed
        )
    }

    /// Hands the weights of a bundle to a device.
    ///
    /// - Parameter eligible: one bit a row, set where the catalogue has an item.
    init(
        _ configuration: GPTConfiguration,
        _ loader: WeightLoader,
        eligible: [UInt64]
    ) throws(ComputeError) {
        try loader.require(
            [.embed, .linear, .normalize, .gatherRows, .softmaxAttention, .selectTopK],
            for: .gpt
        )
        self.configuration = configuration
        items = try loader.table(TensorName.itemEmbedding)
        positions = try loader.table(TensorName.positionEmbedding)
        catalogue = try loader.device.makeCatalogue(
            loader.tensor(configuration.tied ? TensorName.itemEmbedding : TensorName.head),
            normalization: configuration.scoreNormalization == .l2
                ? .l2(epsilon: Float(configuration.l2Epsilon)) : nil,
            eligible: eligible
        )
        let epsilon = configuration.layerNormEpsilon
        outputNorm = try loader.affineNorm(TensorName.outputNorm, epsilon: epsilon)
        var layers: [Layer] = []
        for index in 0..<configuration.layers {
            layers.append(
                Layer(
                    attentionNorm: try loader.affineNorm(TensorName.attentionNorm(index), epsilon: epsilon),
                    projection: try QueryKeyValueProjection(
                        TensorName.qkv(index),
                        .inputMajor,
                        bias: TensorName.qkvBias(index),
                        queryWidth: configuration.width,
                        keyWidth: configuration.width,
                        isLast: index == configuration.layers - 1,
                        loader
                    ),
                    attentionScale: configuration.attentionScale(layer: index),
                    attentionOutput: try loader.linear(
                        TensorName.attentionOutput(index),
                        .inputMajor,
                        bias: TensorName.attentionOutputBias(index)
                    ),
                    feedForwardNorm: try loader.affineNorm(TensorName.feedForwardNorm(index), epsilon: epsilon),
                    hidden: try loader.linear(
                        TensorName.hidden(index),
                        .inputMajor,
                        bias: TensorName.hiddenBias(index)
                    ),
                    feedForwardOutput: try loader.linear(
                        TensorName.feedForwardOutput(index),
                        .inputMajor,
                        bias: TensorName.feedForwardOutputBias(index)
                    )
                )
            )
        }
        self.layers = layers
    }
}
