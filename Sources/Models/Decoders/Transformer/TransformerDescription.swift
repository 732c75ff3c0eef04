// Describes one transformer decoder as data. `TransformerDecoder` computes any of them; `TransformerTensors` lists the
// tensors that follow from the description.

package import Compute

/// A normalisation of rows, without its weights.
package struct NormDescription: Sendable, Equatable {
    package enum Kind: Sendable {
        case layer
        /// Layer norm with weight and bias.
        case affineLayer
        /// RMS norm with weight.
        case rms
        case l2
    }

    package var kind: Kind
    package var epsilon: Double

    init(_ kind: Kind, _ epsilon: Double) {
        self.kind = kind
        self.epsilon = epsilon
    }
}

/// A causal softmax transformer over rows of an item table.
package struct TransformerDescription: Sendable {
    /// The places of the norms and residuals in a layer x → x'.
    package enum LayerOrder: String, Sendable, CaseIterable {
        /// `Q = norm1(x); y = norm2(Q + MHA(Q, x, x)); x' = y + FFN(y)`: keys and values come from x itself. Without affine
        /// norms this is the layer of Meta's SASRec.
        case original
        /// `h = norm1(x); y = x + MHA(h, h, h); x' = y + FFN(norm2(y))`.
        case pre
        /// `y = norm1(x + MHA(x, x, x)); x' = norm2(y + FFN(y))`.
        case post
    }

    enum Positions: Sendable {
        /// A row of a table is added to the item's.
        case learned(rows: Int)
        /// Queries and keys are rotated.
        case rotary(RotaryEmbedding)
    }

    enum FeedForwardKind: Sendable {
        /// `W2 · activation(W1 · x + b1) + b2`
        case plain(Activation)
        /// `Wdown · (silu(g) ⊙ u)` with `[g | u] = W · x`.
        case gatedBySiLU
    }

    /// The slots of the window before a history's oldest event.
    enum Padding: Sendable {
        /// There are no padding slots: the oldest event has slot 0.
        case none
        /// They hold item row 0 and are attended to. Their keys rotate with the slot, so each needs its own row.
        case rows
        /// They are attended to and equal in every layer (equal inputs, and each sees only equal slots). One row
        /// therefore stands for all of them, with its score raised by the logarithm of their number (the design's model
        /// sheet, section 6.1). With `isZero` it is set to zero at the input of every layer.
        case oneRow(isZero: Bool)
    }

    let architecture: Architecture.Name
    /// D
    let width: Int
    /// L
    let layers: Int
    /// V + 1
    let rows: Int
    let window: Int
    /// H
    let heads: Int
    /// d
    let headDimension: Int
    /// F
    let feedForward: Int
    /// Hkv
    var keyValueHeads: Int

    /// How the file stores the matrices of the layers.
    var weightLayout = LinearLayout.outputMajor
    var order = LayerOrder.pre
    /// Both norms of a layer.
    var norm = NormDescription(.layer, 1e-6)
    /// The norm of the last layer's rows.
    var outputNorm = NormDescription(.layer, 1e-6)
    /// The norm of every head of queries and keys, before rotation; the heads share the weights, (d). nil: none.
    var queryKeyNorm: NormDescription?
    var positions = Positions.learned(rows: 0)
    /// Which projections have biases: q, k and v; the attention's output; the feed-forward.
    var hasBiases = (attention: false, attentionOutput: false, feedForward: false)
    var feedForwardKind = FeedForwardKind.gatedBySiLU
    /// The factor of q · k.
    var attentionScale: Float
    /// Whether the factor is also divided by the layer's number, counted from 1.
    var dividesScaleByLayer = false
    var relativeBias = RelativeBiasKind.none
    var timeBuckets = 0
    /// N of the relative bias.
    var paddedLength = 0
    var padding = Padding.none
    /// Whether queries are scored against the item table itself.
    var isTied = true
    /// Whether rows of the item table are tokens, and items tuples of them.
    var hasTokens = false
    /// The factor of item rows as input.
    var inputScale: Float = 1
    /// Queries and item rows are L2-normalised for scoring, with these constants; nil: they are not.
    var queryL2Epsilon: Double?
    var itemL2Epsilon: Double?

    init(_ configuration: some ArchitectureConfiguration, heads: Int, headDimension: Int, _ feedForward: Int) {
        architecture = configuration.architecture
        width = configuration.width
        layers = configuration.layers
        rows = configuration.rows
        window = configuration.maxSequenceLength
        self.heads = heads
        self.headDimension = headDimension
        self.feedForward = feedForward
        keyValueHeads = heads
        attentionScale = 1 / Float(headDimension).squareRoot()
    }

    mutating func setScoreNormalization(_ normalization: ScoreNormalization, epsilon: Double) {
        guard normalization == .l2 else { return }
        queryL2Epsilon = epsilon
        itemL2Epsilon = epsilon
    }

    /// H·d
    var queryWidth: Int { heads * headDimension }
    /// Hkv·d
    var keyValueWidth: Int { keyValueHeads * headDimension }
    /// Outputs of the first projection, q, k and v side by side.
    var qkvOutputs: Int { queryWidth + 2 * keyValueWidth }
    /// Outputs of the feed-forward's first projection.
    var hiddenOutputs: Int {
        switch feedForwardKind {
        case .plain: feedForward
        case .gatedBySiLU: 2 * feedForward
        }
    }

    func attentionScale(layer: Int) -> Float {
        dividesScaleByLayer ? attentionScale / Float(layer + 1) : attentionScale
    }

    /// Whether computed rows of a history stay valid when it grows.
    var prefixReuse: PrefixReuse {
        switch padding {
        case .none: .exact(keyValueShape, dependsOnNextTime: relativeBias == .positionAndTime)
        case .rows: .none(reason: "its padding takes part in attention, and each new event shifts all earlier ones")
        case .oneRow:
            .none(reason: "its positions count from the newest event, so each new event shifts all earlier ones")
        }
    }

    var keyValueShape: KeyValueShape {
        KeyValueShape(layers: layers, heads: keyValueHeads, keyColumns: headDimension, valueColumns: headDimension)
    }

    var layerOperations: LayerOperations {
        LayerOperations(
            keyValue: 2 * width * 2 * keyValueWidth,
            otherLinear: 2 * width * (2 * queryWidth + hiddenOutputs + feedForward),
            pair: 2 * 2 * queryWidth
        )
    }

    /// The operations that a device must support.
    var operations: [OperationKind] {
        var operations: [OperationKind] = [.embed, .linear, .normalize, .gatherRows, .softmaxAttention, .selectTopK]
        if case .rotary = positions { operations.append(.rotate) }
        if case .oneRow = padding { operations.append(.zeroRows) }
        if hasTokens { operations += [.beamAttention, .tokenScores, .store] }
        return operations
    }
}

/// A configuration that is fully determined by its description.
package protocol TransformerConfiguration: ArchitectureConfiguration {
    var transformer: TransformerDescription { get }
}

extension TransformerConfiguration {
    package var tensorSpecifications: [TensorSpecification] { transformer.tensorSpecifications }
    package var layerOperations: LayerOperations { transformer.layerOperations }
    package var keyValueShape: KeyValueShape { transformer.keyValueShape }

    package func makeDecoder(
        _ loader: WeightLoader,
        eligible: [UInt64]
    ) throws(ComputeError) -> any DecoderModel {
        var description = transformer
        description.hasTokens = loader.hasTokens
        return try TransformerDecoder(description, loader, eligible: eligible)
    }
}
