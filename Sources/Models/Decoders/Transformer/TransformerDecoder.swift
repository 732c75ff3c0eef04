// A transformer decoder: the mathematics that SASRec, GPT-2, Llama, Qwen2 and Qwen3 share. Their differences are data
// (`TransformerDescription`). The file reads layer → model → loading.
//
// Letters: B sequences, R rows in total, D width, H query heads, Hkv key and value heads, d dimensions per head, F
// hidden width, V catalogue rows.

package import Compute

/// One layer; `TransformerDescription.LayerOrder` gives the positions of its norms and residuals.
private struct Layer {
    let attentionNorm: Normalization
    let projection: QueryKeyValueProjection
    /// The norm of every head of queries, (d); nil: none.
    let queryNorm: Normalization?
    let keyNorm: Normalization?
    let attentionScale: Float
    let bias: RelativeBiasTables?
    let attentionOutput: any LinearWeights
    let feedForwardNorm: Normalization
    /// D → F, or D → [gate | up], F each.
    let hidden: any LinearWeights
    let feedForwardOutput: any LinearWeights
}

/// Rotates queries and keys by the slots of their rows.
private struct Rotation {
    let frequencies: any DeviceVector
    let pairing: RotateOperation.Pairing
}

/// A transformer decoder on a device.
package final class TransformerDecoder: TokenDecoder {
    private let description: TransformerDescription
    private let items: any EmbeddingTable
    private let positions: (any EmbeddingTable)?
    private let rotation: Rotation?
    private let layers: [Layer]
    private let outputNorm: Normalization
    private let addedRows: AddedItemRows
    package let catalogue: any CatalogueWeights
    /// nil: items are rows of the table.
    private let head: TokenHead?

    package var vocabulary: Int { description.rows }
    package var hasTokens: Bool { head != nil }
    package var window: Int { description.window }

    package var floatsOfRow: Int {
        // The row and its residual, query, key and value, the attention output, and the feed-forward.
        2 * description.width + description.qkvOutputs + description.queryWidth + description.hiddenOutputs
    }

    package var prefixReuse: PrefixReuse { description.prefixReuse }

    package func takeAddedItems() throws(ComputeError) { try addedRows.bring(to: items, catalogue) }

    package func encode(_ batch: SequenceBatch, on stream: any Stream) throws(ComputeError) -> Tensor {
        try batch.requireUsable(prefixReuse)
        let input = TransformerInput(batch, description)
        // (R, D): x = scale · E[item] + P[position]
        let embedded = try stream.makeTensor(rows: input.items.count, columns: description.width, dtype: .float32)
        let everyPosition = try stream.upload(input.positions, dtype: .int32)
        try stream.embed(
            EmbedOperation(
                ids: stream.upload(input.items, dtype: .int32),
                table: items,
                scale: description.inputScale,
                positions: positions.map { ($0, everyPosition) },
                output: embedded
            )
        )
        var newestPosition = everyPosition
        if rotation != nil {
            newestPosition = try stream.upload(
                input.askingRows.map { input.positions[Int($0)] },
                dtype: .int32
            )
        }
        let timestamps = description.relativeBias == .none ? nil : try stream.upload(batch.timestamps, dtype: .int64)
        let rows = try stream.throughLayers(layers.count, embedded) { (index, rows) throws(ComputeError) in
            if !input.zeroRows.isEmpty { try stream.zeroRows(rows, rows: input.zeroRows) }
            let layer = layers[index]
            let projected = try project(rows, layer, input, everyPosition, newestPosition, on: stream)
            let attended = try stream.makeTensor(
                rows: projected.query.rows,
                columns: description.queryWidth,
                dtype: .float32
            )
            let bias = timestamps.flatMap {
                layer.bias?.bias(batch, timestamps: $0, maximumLength: description.paddedLength)
            }
            try attend(projected, layer, index, input, batch, bias, into: attended, on: stream)
            return try finish(layer, projected, attended, on: stream)
        }
        return try queries(rows, on: stream)
    }

    /// Attention of one layer: within sequences, and from beams to their prompts and ancestors.
    private func attend(
        _ projected: QueryKeyValueProjection.Projected,
        _ layer: Layer,
        _ index: Int,
        _ input: TransformerInput,
        _ batch: SequenceBatch,
        _ bias: RelativeBias?,
        into attended: Tensor,
        on stream: any Stream
    ) throws(ComputeError) {
        let layout = input.layout
        let askingRows = projected.queryRows == .all ? layout.rows : layout.count
        let key = projected.key.rows(0..<layout.rows)
        let value = projected.value.rows(0..<layout.rows)
        if layout.count > 0 {
            let prefix = batch.prefix(layer: index)
            try stream.attention(
                AttentionOperation(
                    .softmax,
                    layout: layout,
                    queryRows: projected.queryRows,
                    query: projected.query.rows(0..<askingRows),
                    key: key,
                    value: value,
                    output: attended.rows(0..<askingRows),
                    heads: description.heads,
                    keyHeads: description.keyValueHeads,
                    scale: layer.attentionScale,
                    bias: bias,
                    firstRowWeights: input.firstRowWeights,
                    prefix: prefix
                )
            )
            try stream.keep(key: key, value: value, of: layout, prefix)
        }
        guard let beams = batch.beams, beams.layout.rows > 0 else { return }
        let beamKey = projected.key.rows(layout.rows..<projected.key.rows)
        let beamValue = projected.value.rows(layout.rows..<projected.value.rows)
        try stream.beamAttention(
            BeamAttentionOperation(
                AttentionOperation(
                    .softmax,
                    layout: beams.layout,
                    queryRows: .all,
                    query: projected.query.rows(askingRows..<projected.query.rows),
                    key: beamKey,
                    value: beamValue,
                    output: attended.rows(askingRows..<attended.rows),
                    heads: description.heads,
                    keyHeads: description.keyValueHeads,
                    scale: layer.attentionScale,
                    prefix: CachedPrefix(cached: beams.prompts, layer: index)
                ),
                groups: beams.groups
            )
        )
        if let prefix = beams.stores(layer: index) {
            try stream.keep(key: beamKey, value: beamValue, of: beams.layout, prefix)
        }
    }

    package func scoreTokens(
        after queries: Tensor,
        tokens: [Int32],
        offsets: [Int],
        normalizations: [TokenNormalization],
        on stream: any Stream
    ) throws(ComputeError) -> TokenScoresTicket {
        guard let head else { throw ComputeError(.unsupported, "this model's items are not token tuples") }
        return try stream.tokenScores(
            TokenScoresOperation(
                queries: queries,
                blocks: head.blocks,
                blockRows: TokenHead.blockRows,
                tokens: tokens,
                offsets: offsets,
                normalizations: normalizations
            )
        )
    }

    /// The queries, keys and values of (R, D), rotated.
    private func project(
        _ rows: Tensor,
        _ layer: Layer,
        _ input: TransformerInput,
        _ everyPosition: Tensor,
        _ newestPosition: Tensor,
        on stream: any Stream
    ) throws(ComputeError) -> QueryKeyValueProjection.Projected {
        let projected = try layer.projection.apply(
            to: rows,
            layer.attentionNorm,
            askingRows: input.askingRows,
            on: stream
        )
        let (query, key) = (projected.query, projected.key)
        if let norm = layer.queryNorm {
            try stream.normalize(query, norm, groups: description.heads, output: query)
        }
        if let norm = layer.keyNorm {
            try stream.normalize(key, norm, groups: description.keyValueHeads, output: key)
        }
        if let rotation {
            func turn(_ tensor: Tensor, _ heads: Int, _ positions: Tensor) throws(ComputeError) {
                try stream.rotate(
                    RotateOperation(
                        tensor: tensor,
                        positions: positions,
                        frequencies: rotation.frequencies,
                        heads: heads,
                        pairing: rotation.pairing
                    )
                )
            }
            try turn(query, description.heads, projected.queryRows == .all ? everyPosition : newestPosition)
            try turn(key, description.keyValueHeads, everyPosition)
        }
        return projected
    }

    /// The rest of a layer: (R, H·d) → (R, D), in the layer's own input, or (B, H·d) → (B, D) in the last layer.
    private func finish(
        _ layer: Layer,
        _ projected: QueryKeyValueProjection.Projected,
        _ attended: Tensor,
        on stream: any Stream
    ) throws(ComputeError) -> Tensor {
        let mixed = try stream.project(
            .plain(attended),
            layer.attentionOutput,
            rows: attended.rows,
            residual: projected.residual,
            into: projected.residual
        )
        let input: LinearInput
        switch description.order {
        case .original:
            try stream.normalize(mixed, layer.feedForwardNorm, output: mixed)
            input = .plain(mixed)
        case .pre: input = .normalized(mixed, layer.feedForwardNorm)
        case .post:
            try stream.normalize(mixed, layer.attentionNorm, output: mixed)
            input = .plain(mixed)
        }
        let hiddenInput: LinearInput
        switch description.feedForwardKind {
        case .plain(let activation):
            hiddenInput = .plain(
                try stream.project(input, layer.hidden, rows: mixed.rows, activation: activation)
            )
        case .gatedBySiLU:
            let gateUp = try stream.project(input, layer.hidden, rows: mixed.rows)
            let width = description.feedForward
            hiddenInput = .swiGLU(gate: gateUp.columns(0..<width), values: gateUp.columns(width..<2 * width))
        }
        let output = try stream.project(
            hiddenInput,
            layer.feedForwardOutput,
            rows: mixed.rows,
            residual: mixed,
            into: projected.asking
        )
        if description.order == .post { try stream.normalize(output, layer.feedForwardNorm, output: output) }
        return output
    }

    /// Normalises the last layer's rows for scoring, in place.
    private func queries(_ rows: Tensor, on stream: any Stream) throws(ComputeError) -> Tensor {
        try stream.normalize(rows, outputNorm, output: rows)
        if let epsilon = description.queryL2Epsilon {
            try stream.normalize(rows, .l2(epsilon: Float(epsilon)), output: rows)
        }
        return rows
    }

    init(
        _ description: TransformerDescription,
        _ loader: WeightLoader,
        eligible: [UInt64]
    ) throws(ComputeError) {
        try loader.require(description.operations, for: description.architecture)
        self.description = description
        addedRows = AddedItemRows(source: loader.itemTable, device: loader.device)
        items = try loader.table(TransformerTensor.itemEmbedding)
        switch description.positions {
        case .learned:
            positions = try loader.table(TransformerTensor.positionEmbedding)
            rotation = nil
        case .rotary(let rope):
            positions = nil
            rotation = Rotation(
                frequencies: try loader.vector(
                    "rotary frequencies",
                    rope.inverseFrequencies(headDimension: description.headDimension)
                ),
                pairing: rope.pairing == .halves ? .halves : .interleaved
            )
        }
        let scored = description.isTied ? TransformerTensor.itemEmbedding : TransformerTensor.head
        if description.hasTokens {
            head = try TokenHead(scored, rows: description.rows, loader)
            // Items are not rows here: the smallest possible catalogue is a placeholder that nothing is selected from.
            catalogue = try loader.device.makeCatalogue(
                loader.tensor(scored).rows(0..<2),
                normalization: nil,
                eligible: [0]
            )
        } else {
            head = nil
            catalogue = try loader.device.makeCatalogue(
                loader.tensor(scored),
                normalization: description.itemL2Epsilon.map { .l2(epsilon: Float($0)) },
                eligible: eligible
            )
        }
        outputNorm = try loader.norm(description.outputNorm, TransformerTensor.outputNorm)
        var layers: [Layer] = []
        for index in 0..<description.layers {
            let feedForward = description.feedForwardNames(index)
            let layout = description.weightLayout
            layers.append(
                Layer(
                    attentionNorm: try loader.norm(description.norm, TransformerTensor.attentionNorm(index)),
                    projection: try QueryKeyValueProjection(description, layer: index, loader),
                    queryNorm: try description.queryKeyNorm.map { (norm) throws(ComputeError) in
                        try loader.norm(norm, TransformerTensor.queryNorm(index))
                    },
                    keyNorm: try description.queryKeyNorm.map { (norm) throws(ComputeError) in
                        try loader.norm(norm, TransformerTensor.keyNorm(index))
                    },
                    attentionScale: description.attentionScale(layer: index),
                    bias: try loader.relativeBias(description.relativeBias, layer: index),
                    attentionOutput: try loader.linear(TransformerTensor.attentionOutput(index), layout),
                    feedForwardNorm: try loader.norm(description.norm, TransformerTensor.feedForwardNorm(index)),
                    hidden: try loader.linear(feedForward.input, layout),
                    feedForwardOutput: try loader.linear(feedForward.output, layout)
                )
            )
        }
        self.layers = layers
    }
}
