// SASRec, self-attentive sequential recommendation (Kang and McAuley, arXiv 1808.09781), in its two lineages: the baseline
// of Meta's generative-recommenders (research/modeling/sequential/sasrec.py) and SASRec.pytorch in its three layer orders.
// The file reads layer → model → padding → loading. Weight names and shapes stand in SASRecConfiguration.swift.
//
// Letters: B sequences, R rows of all of them, D width, H heads, F hidden width, V catalogue rows.

package import Compute
internal import Glibc

/// One layer; `SASRecConfiguration.LayerOrder` says where its norms and residuals stand.
private struct Layer {
    let attentionNorm: Normalization
    /// D → q, and D → [k | v], with biases. Two projections, because in two of the orders they read different rows.
    let query: any LinearWeights
    let keyValue: any LinearWeights
    let attentionOutput: any LinearWeights
    let bias: RelativeBiasTables?
    let feedForwardNorm: Normalization
    let hidden: any LinearWeights
    let feedForwardOutput: any LinearWeights
}

/// A SASRec decoder on a device.
package final class SASRec: DecoderModel {
    private typealias TensorName = SASRecConfiguration.TensorName

    private let configuration: SASRecConfiguration
    private let items: any EmbeddingTable
    private let positions: any EmbeddingTable
    private let layers: [Layer]
    private let outputNorm: Normalization
    package let catalogue: any CatalogueWeights

    package var window: Int { configuration.maxSequenceLength }

    package var floatsOfRow: Int {
        // The row and its norm, query, key and value, what attention leaves, its projection.
        7 * configuration.width + configuration.feedForward
    }

    package var prefixReuse: PrefixReuse {
        guard !configuration.attendsPadding else {
            return .none(
                reason: "its positions count from the newest event, so that every event moves all earlier ones"
            )
        }
        return .exact(
            KeyValueShape(
                layers: configuration.layers,
                heads: configuration.heads,
                keyColumns: configuration.headDimension,
                valueColumns: configuration.headDimension
            ),
            dependsOnNextTime: configuration.relativeBias == .positionAndTime
        )
    }

    package func encode(_ batch: SequenceBatch, on stream: any Stream) throws(ComputeError) -> Tensor {
        try batch.requireUsable(prefixReuse)
        let rowsIn = PaddedRows(batch, configuration)
        // (R, D): x = sqrt(D) · E[item] + P[position]
        var rows = try stream.makeTensor(rows: rowsIn.layout.rows, columns: configuration.width, dtype: .float32)
        try stream.embed(
            EmbedOperation(
                ids: stream.upload(rowsIn.items, dtype: .int32),
                table: items,
                scale: Float(configuration.width).squareRoot(),
                positions: (positions, stream.upload(rowsIn.positions, dtype: .int32)),
                output: rows
            )
        )
        let timestamps = try stream.upload(batch.timestamps, dtype: .int64)
        for (index, layer) in layers.enumerated() {
            if configuration.zeroesPadding { try stream.zeroRows(rows, rows: rowsIn.paddingRows) }
            let bias = layer.bias?.bias(batch, timestamps: timestamps, maximumLength: configuration.paddedLength)
            rows = try apply(
                layer,
                to: rows,
                rowsIn,
                bias: bias,
                prefix: batch.prefix(layer: index),
                isLast: index == layers.count - 1,
                on: stream
            )
        }
        // (B, D): the last layer has kept the newest row of each sequence alone.
        try stream.normalize(rows, outputNorm, output: rows)
        return rows
    }

    /// (R, D) → (R, D), or → (B, D) for the last layer.
    private func apply(
        _ layer: Layer,
        to rows: Tensor,
        _ rowsIn: PaddedRows,
        bias: RelativeBias?,
        prefix: CachedPrefix?,
        isLast: Bool,
        on stream: any Stream
    ) throws(ComputeError) -> Tensor {
        let asking = isLast ? try stream.newestRows(rows, of: rowsIn.layout) : rows
        let residual: Tensor
        let queryInput: LinearInput
        let keyValueInput: LinearInput
        switch configuration.layerOrder {
        case .original:
            // The normalised rows ask and are added; keys and values come from the rows as they are.
            residual = try stream.normalized(asking, layer.attentionNorm)
            queryInput = .plain(residual)
            keyValueInput = .plain(rows)
        case .pre:
            residual = asking
            queryInput = .normalized(asking, layer.attentionNorm)
            keyValueInput = .normalized(rows, layer.attentionNorm)
        case .post:
            residual = asking
            queryInput = .plain(asking)
            keyValueInput = .plain(rows)
        }
        let query = try stream.project(queryInput, layer.query, rows: asking.rows)
        let keyValue = try stream.project(keyValueInput, layer.keyValue, rows: rows.rows)
        let attended = try stream.makeTensor(rows: asking.rows, columns: configuration.width, dtype: .float32)
        let key = keyValue.columns(0..<configuration.width)
        let value = keyValue.columns(configuration.width..<2 * configuration.width)
        try stream.softmaxAttention(
            SoftmaxAttentionOperation(
                layout: rowsIn.layout,
                queryRows: isLast ? .last : .all,
                query: query,
                key: key,
                value: value,
                output: attended,
                heads: configuration.heads,
                keyHeads: configuration.heads,
                scale: 1 / Float(configuration.headDimension).squareRoot(),
                bias: bias,
                firstRowWeights: configuration.attendsPadding ? rowsIn.firstRowWeights : nil,
                prefix: prefix
            )
        )
        try stream.keep(key: key, value: value, of: rowsIn.layout, prefix)
        let mixed = try stream.project(
            .plain(attended),
            layer.attentionOutput,
            rows: asking.rows,
            residual: residual
        )
        switch configuration.layerOrder {
        case .original:
            try stream.normalize(mixed, layer.feedForwardNorm, output: mixed)
            return try feedForward(layer, .plain(mixed), residual: mixed, on: stream)
        case .pre:
            return try feedForward(layer, .normalized(mixed, layer.feedForwardNorm), residual: mixed, on: stream)
        case .post:
            try stream.normalize(mixed, layer.attentionNorm, output: mixed)
            let output = try feedForward(layer, .plain(mixed), residual: mixed, on: stream)
            try stream.normalize(output, layer.feedForwardNorm, output: output)
            return output
        }
    }

    /// `W2 · relu(W1 · input + b1) + b2 + residual`.
    private func feedForward(
        _ layer: Layer,
        _ input: LinearInput,
        residual: Tensor,
        on stream: any Stream
    ) throws(ComputeError) -> Tensor {
        let hidden = try stream.project(input, layer.hidden, rows: residual.rows, activation: .relu)
        return try stream.project(.plain(hidden), layer.feedForwardOutput, rows: residual.rows, residual: residual)
    }

    /// Hands the weights of a bundle to a device.
    ///
    /// - Parameter eligible: one bit a row, set where the catalogue has an item.
    init(
        _ configuration: SASRecConfiguration,
        _ loader: WeightLoader,
        eligible: [UInt64]
    ) throws(ComputeError) {
        try loader.require(
            [.embed, .linear, .normalize, .gatherRows, .softmaxAttention, .zeroRows, .selectTopK],
            for: .sasrec
        )
        self.configuration = configuration
        items = try loader.table(TensorName.itemEmbedding)
        positions = try loader.table(TensorName.positionEmbedding)
        catalogue = try loader.device.makeCatalogue(
            loader.tensor(TensorName.itemEmbedding),
            normalization: configuration.itemL2Norm ? .l2(epsilon: Float(configuration.l2Epsilon)) : nil,
            eligible: eligible
        )
        outputNorm =
            switch configuration.outputNormalization {
            case .l2: .l2(epsilon: Float(configuration.outputEpsilon))
            case .layerNorm: .layerNorm(epsilon: Float(configuration.outputEpsilon))
            case .affineLayerNorm:
                try loader.affineNorm(TensorName.outputNorm, epsilon: configuration.outputEpsilon)
            }
        let norm = { (name: AffineNormName) throws(ComputeError) -> Normalization in
            guard configuration.affineNorms else {
                return .layerNorm(epsilon: Float(configuration.layerNormEpsilon))
            }
            return try loader.affineNorm(name, epsilon: configuration.layerNormEpsilon)
        }
        let width = configuration.width
        var layers: [Layer] = []
        for index in 0..<configuration.layers {
            let qkv = TensorName.qkv(index)
            let qkvBias = TensorName.qkvBias(index)
            layers.append(
                Layer(
                    attentionNorm: try norm(TensorName.attentionNorm(index)),
                    query: try loader.linear(qkv, .outputMajor, columns: 0..<width, bias: qkvBias),
                    keyValue: try loader.linear(qkv, .outputMajor, columns: width..<3 * width, bias: qkvBias),
                    attentionOutput: try loader.linear(
                        TensorName.attentionOutput(index),
                        .outputMajor,
                        bias: TensorName.attentionOutputBias(index)
                    ),
                    bias: try loader.relativeBias(configuration.relativeBias, layer: index),
                    feedForwardNorm: try norm(TensorName.feedForwardNorm(index)),
                    hidden: try loader.linear(
                        TensorName.hidden(index),
                        .outputMajor,
                        bias: TensorName.hiddenBias(index)
                    ),
                    feedForwardOutput: try loader.linear(
                        TensorName.feedForwardOutput(index),
                        .outputMajor,
                        bias: TensorName.feedForwardOutputBias(index)
                    )
                )
            )
        }
        self.layers = layers
    }
}

/// A batch with the rows that stand for left padding.
///
/// SASRec.pytorch fills the window up from the left, and its events attend the padding. All padding slots of a sequence
/// have the same hidden state in every layer (the same input, and each sees only its like), so one row before the oldest
/// event stands for all c of them, counted c times in the softmax by ln(c) on its score (the design's model sheet,
/// section 6.1).
private struct PaddedRows {
    var layout: Jagged
    var items: [Int32]
    /// Rows of the position table.
    var positions: [Int32]
    /// The rows that stand for padding, at most one a sequence.
    var paddingRows: [Int32] = []
    /// ln(c) where the first row of a sequence stands for padding, else 0.
    var firstRowWeights: [Float] = []

    init(_ batch: SequenceBatch, _ configuration: SASRecConfiguration) {
        guard configuration.attendsPadding else {
            layout = batch.layout
            items = batch.items
            positions = batch.positions
            return
        }
        items = []
        positions = []
        var lengths: [Int] = []
        for sequence in 0..<batch.layout.count {
            let length = batch.layout.length(of: sequence)
            let padding = configuration.maxSequenceLength - length
            firstRowWeights.append(padding > 0 ? Float(log(Double(padding))) : 0)
            if padding > 0 {
                paddingRows.append(Int32(items.count))
                items.append(0)
                positions.append(0)
            }
            let start = Int(batch.layout.offsets[sequence])
            items += batch.items[start..<start + length]
            // The newest event has the table's last row, whichever way the rows are numbered.
            let oldest = configuration.positionRows - length
            positions += (oldest..<oldest + length).map(Int32.init)
            lengths.append(length + (padding > 0 ? 1 : 0))
        }
        layout = Jagged(lengths: lengths)
    }
}
