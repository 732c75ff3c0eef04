// Two switches of the architectures that come from language models: the factor of item rows as input, and the
// normalisation of query and item rows before scoring.

/// The factor of an item's row as input. In `config.json` under `embedding_scale`.
package enum EmbeddingScale: String, Sendable, CaseIterable {
    /// 1, as in language models.
    case one
    /// sqrt(D), as in recommenders.
    case squareRootOfWidth = "sqrt_width"

    /// The factor for rows of this width.
    package func factor(width: Int) -> Float {
        switch self {
        case .one: 1
        case .squareRootOfWidth: Float(width).squareRoot()
        }
    }
}

/// How a score is computed from the query and an item's row. In `config.json` under `score_normalization`.
package enum ScoreNormalization: String, Sendable, CaseIterable {
    /// The dot product of both, without normalisation.
    case none
    /// The dot product of both L2-normalised.
    case l2
}
