// The kind of relative attention bias in a model's layers: one of the switches of the scaling study.

/// The parts of a relative attention bias. In `config.json` under `relative_attention_bias`.
///
/// A layer with a bias owns its tables: `layers.<l>.relative_bias.position`, (2N − 1), whose entry N − 1 + (j − i) is
/// added to the score of query i and key j, and `layers.<l>.relative_bias.time`, (buckets + 1), indexed by the bucket
/// of the time between them (`RelativeBias` in Compute).
package enum RelativeBiasKind: String, Sendable, CaseIterable {
    case none
    case position
    case positionAndTime = "position_and_time"

    /// The tables of one layer, in file order.
    ///
    /// - Parameter paddedLength: N.
    func tensorSpecifications(layer: Int, paddedLength: Int, timeBuckets: Int) -> [TensorSpecification] {
        let time = TensorSpecification(Self.timeName(layer), [timeBuckets + 1])
        let position = TensorSpecification(Self.positionName(layer), [2 * paddedLength - 1])
        return switch self {
        case .none: []
        case .position: [position]
        case .positionAndTime: [time, position]
        }
    }

    /// (`timeBuckets` + 1)
    package static func timeName(_ layer: Int) -> String { "layers.\(layer).relative_bias.time" }
    /// (2N − 1)
    package static func positionName(_ layer: Int) -> String { "layers.\(layer).relative_bias.position" }

    /// The kind as a phrase for people.
    func fact(timeBuckets: Int) -> String {
        switch self {
        case .none: "none"
        case .position: "position"
        case .positionAndTime: "position and time, \(timeBuckets + 1) buckets"
        }
    }
}
