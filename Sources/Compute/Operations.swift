// The operations that the decoder architectures are written in, as plain descriptions. They are coarse on purpose: a
// device can fuse each of them (a norm or a gate into the projection that follows it), and an NPU can compose each of
// them from library operators.
//
// Letters: B sequences of a batch, R rows of all of them, D width, H heads, V catalogue rows, K of top-k.

/// The kinds of operation, for `Device.supports(_:)`.
package enum OperationKind: String, Sendable, CaseIterable {
    case embed
    case linear
    case normalize
    case gatherRows = "gather_rows"
    case hstuAttention = "hstu_attention"
    case softmaxAttention = "softmax_attention"
    case rotate
    case zeroRows = "zero_rows"
    case store
    case selectTopK = "select_top_k"
    case scoreRows = "score_rows"
    case beamAttention = "beam_attention"
    case tokenScores = "token_scores"
}

/// A row-wise normalisation.
package enum Normalization {
    /// (x − mean) / sqrt(variance + ε), biased variance, no affine part.
    case layerNorm(epsilon: Float)
    /// The same, times `scale` plus `shift`, both (D), element by element.
    case affineLayerNorm(epsilon: Float, scale: any DeviceVector, shift: any DeviceVector)
    /// scale ⊙ x / sqrt(mean(x²) + ε), `scale` (D) (Zhang and Sennrich, arXiv 1910.07467; Llama's norm).
    case rms(epsilon: Float, scale: any DeviceVector)
    /// x / max(‖x‖₂, ε).
    case l2(epsilon: Float)
}

/// `output[r] = scale · table[ids[r]] + positions[positionIds[r]]`, (R, D).
package struct EmbedOperation {
    /// (1, R) int32; every id is a row of `table`, which the caller must have checked.
    package var ids: Tensor
    package var table: any EmbeddingTable
    package var scale: Float
    /// The learned position table and the (1, R) int32 row of it for each r; nil: no positions.
    package var positions: (table: any EmbeddingTable, ids: Tensor)?
    package var output: Tensor

    package init(
        ids: Tensor,
        table: any EmbeddingTable,
        scale: Float,
        positions: (table: any EmbeddingTable, ids: Tensor)?,
        output: Tensor
    ) {
        self.ids = ids
        self.table = table
        self.scale = scale
        self.positions = positions
        self.output = output
    }
}

/// The input of a projection: plain rows, or rows that are normalised or gated first.
package enum LinearInput {
    /// (R, K), unchanged.
    case plain(Tensor)
    /// (R, K), each row normalised first.
    case normalized(Tensor, Normalization)
    /// `gate ⊙ norm(values)`, both (R, K).
    case gated(gate: Tensor, values: Tensor, Normalization)
    /// `[gate, norm(values), gate ⊙ norm(values)]`, (R, 3K') from two (R, K') tensors: HSTU's `concat_ua`.
    case concatenatedGate(gate: Tensor, values: Tensor, Normalization)
    /// `silu(gate) ⊙ values`, both (R, K): SwiGLU (Shazeer, arXiv 2002.05202).
    case swiGLU(gate: Tensor, values: Tensor)
}

/// An element-wise function applied to a projection's result.
package enum Activation: String, Sendable, Hashable, CaseIterable {
    case none
    /// x · sigmoid(x)
    case silu
    /// max(x, 0)
    case relu
    /// 0.5 · x · (1 + tanh(√(2/π) · (x + 0.044715 · x³))): GPT-2's `gelu_new`.
    case geluTanh = "gelu_tanh"
}

/// `output = activation(input · W + bias) + residual`, (R, N).
package struct LinearOperation {
    package var input: LinearInput
    /// K × N and the optional bias, as the device packed them.
    package var weights: any LinearWeights
    package var activation: Activation
    /// (R, N), added last; may be the same memory as `output`.
    package var residual: Tensor?
    package var output: Tensor

    package init(
        input: LinearInput,
        weights: any LinearWeights,
        activation: Activation = .none,
        residual: Tensor? = nil,
        output: Tensor
    ) {
        self.input = input
        self.weights = weights
        self.activation = activation
        self.residual = residual
        self.output = output
    }
}

/// HSTU's relative attention bias, `position[N − 1 + (j − i)] + time[bucket(t_{i+1} − t_j)]`, shared by all heads
/// (generative-recommenders `research/modeling/sequential/hstu.py`; the design's model sheet, section 1.5).
package struct RelativeBias {
    /// 2N − 1 entries.
    package var position: any DeviceVector
    /// One entry per bucket; `bucket(Δ) = clamp(trunc(ln(max(1, |Δ|)) / 0.301), 0, count − 1)` in float32. nil: the
    /// bias is only positional, and `timestamps` is not read.
    package var time: (any DeviceVector)?
    /// N.
    package var maximumLength: Int
    /// (1, C + B) int64, where C counts the rows of all sequences including cached ones. For each sequence, it has the
    /// timestamps of all its rows, cached and own, and then the time after its last row, which is the request's time
    /// unless a later batch continues the sequence. Without cached rows, the entries of sequence b start at
    /// `layout.offsets[b] + b`.
    package var timestamps: Tensor
    /// One entry per sequence; false if the caller sent no timestamps. Such a sequence has no bias at all, neither
    /// positional nor temporal.
    package var applies: [Bool]

    package init(
        position: any DeviceVector,
        time: (any DeviceVector)?,
        maximumLength: Int,
        timestamps: Tensor,
        applies: [Bool]
    ) {
        self.position = position
        self.time = time
        self.maximumLength = maximumLength
        self.timestamps = timestamps
        self.applies = applies
    }
}

/// Which rows of each sequence are queries.
package enum QueryRows: Sendable, Hashable {
    /// All R rows; query and output have R rows.
    case all
    /// Only the last row of each sequence; query and output have B rows. The last layer needs no more.
    case last
}

/// Causal attention over a jagged batch: `y_i = Σ_{j ≤ i} a_ij · v_j`, per head.
///
/// With a `prefix`, i and j count from the first cached row: own row i of sequence b is row `prefix rows of b + i`, and
/// the keys and values before it come from the pages. The result has the same bits as if all rows were computed
/// together.
///
/// Heads are adjacent: head h of a query or key row is columns `h·dqk ..< (h + 1)·dqk`, of a value or output row `h·dv
/// ..< (h + 1)·dv`. With fewer key than query heads, query head h reads key and value head ⌊h · Hkv / H⌋.
package struct AttentionOperation {
    /// How the weights a_ij are computed.
    package enum Weights: Sendable {
        /// HSTU's: `a_ij = silu(q_i · k_j + b_ij) · scale`, with scale 1/N, where N is the constant of the training
        /// configuration, not a length. There is no softmax; every query head has its own key head.
        case silu
        /// `a_ij = softmax_j(scale · (q_i · k_j + b_ij) + w_j)`, in float32 relative to the row's maximum; dqk = dv.
        case softmax
    }

    package var weights: Weights
    /// Layout of key and value rows. No sequence is empty.
    package var layout: Jagged
    package var queryRows: QueryRows
    /// (R or B, H·dqk)
    package var query: Tensor
    /// (R, Hkv·dqk)
    package var key: Tensor
    /// (R, Hkv·dv)
    package var value: Tensor
    /// (R or B, H·dv)
    package var output: Tensor
    package var heads: Int
    /// Hkv; divides `heads`.
    package var keyHeads: Int
    package var scale: Float
    /// b; nil: none.
    package var bias: RelativeBias?
    /// For softmax, one entry per sequence: w of its first row, cached or own; every other w is 0. `ln(c)` makes the
    /// first row count as c equal rows, so that attended left padding is computed only once. nil: all 0.
    package var firstRowWeights: [Float]?
    /// Rows computed earlier; nil: none.
    package var prefix: CachedPrefix?

    /// - Parameter keyHeads: nil: as many as query heads.
    package init(
        _ weights: Weights,
        layout: Jagged,
        queryRows: QueryRows,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        output: Tensor,
        heads: Int,
        keyHeads: Int? = nil,
        scale: Float,
        bias: RelativeBias? = nil,
        firstRowWeights: [Float]? = nil,
        prefix: CachedPrefix? = nil
    ) {
        self.weights = weights
        self.layout = layout
        self.queryRows = queryRows
        self.query = query
        self.key = key
        self.value = value
        self.output = output
        self.heads = heads
        self.keyHeads = keyHeads ?? heads
        self.scale = scale
        self.bias = bias
        self.firstRowWeights = firstRowWeights
        self.prefix = prefix
    }
}

/// Rotary position embedding, in place: in every head the pair (a, b) of dimensions becomes
/// `(a·cos φ − b·sin φ, a·sin φ + b·cos φ)` with φ = position · frequency of the pair, in float32 (Su et al., arXiv
/// 2104.09864).
package struct RotateOperation {
    /// The dimensions that form pair j in a head of width d.
    package enum Pairing: String, Sendable, Hashable, CaseIterable {
        /// j and j + d/2: Hugging Face's rotate-half.
        case halves
        /// 2j and 2j + 1: Meta's original code.
        case interleaved
    }

    /// (R, heads·d), changed in place.
    package var tensor: Tensor
    /// (1, R) int32.
    package var positions: Tensor
    /// d/2 entries.
    package var frequencies: any DeviceVector
    package var heads: Int
    package var pairing: Pairing

    package init(
        tensor: Tensor,
        positions: Tensor,
        frequencies: any DeviceVector,
        heads: Int,
        pairing: Pairing
    ) {
        self.tensor = tensor
        self.positions = positions
        self.frequencies = frequencies
        self.heads = heads
        self.pairing = pairing
    }
}

/// The catalogue rows that may answer a request, in addition to the rules of the catalogue itself.
package struct SelectionMask: Sendable {
    /// One bit per row (row r is bit r & 63 of word r >> 6), 1 if allowed, 0 beyond the last word; nil: every row of
    /// the catalogue except added ones.
    package var allowed: [UInt64]?
    /// Rows to exclude: ascending, no duplicates, each a row of the table.
    package var excluded: [Int32]

    package init(allowed: [UInt64]? = nil, excluded: [Int32] = []) {
        self.allowed = allowed
        self.excluded = excluded
    }
}

/// Selects for each query the best `count` eligible catalogue rows by dot product: exact over the whole catalogue, best
/// first, ties toward the smaller row. NaN scores are never selected.
package struct TopKOperation {
    /// (B, D)
    package var queries: Tensor
    package var catalogue: any CatalogueWeights
    /// One mask per query.
    package var masks: [SelectionMask]
    /// The number of rows for each query, at least 1 each.
    package var counts: [Int]

    package init(queries: Tensor, catalogue: any CatalogueWeights, masks: [SelectionMask], counts: [Int]) {
        self.queries = queries
        self.catalogue = catalogue
        self.masks = masks
        self.counts = counts
    }
}

/// Computes for each query the dot products with the catalogue rows that it names. The results equal the scores of
/// `selectTopK`.
package struct ScoreOperation {
    /// (B, D)
    package var queries: Tensor
    package var catalogue: any CatalogueWeights
    /// One list of table rows per query, in any order.
    package var rows: [[Int32]]

    package init(queries: Tensor, catalogue: any CatalogueWeights, rows: [[Int32]]) {
        self.queries = queries
        self.catalogue = catalogue
        self.rows = rows
    }
}

/// One selected row.
package struct ScoredRow: Sendable, Equatable, BitwiseCopyable {
    package var row: Int32
    package var score: Float

    package init(row: Int32, score: Float) {
        self.row = row
        self.score = score
    }
}
