// Names of the two tensors that a norm or a projection may have.

/// The tensors of one norm, or of one projection. A model that lacks one of them does not list it.
package struct ParameterName: Sendable, Equatable {
    package let weight: String
    package let bias: String

    /// - Parameter prefix: what both names have before the dot.
    init(_ prefix: String) {
        weight = prefix + ".weight"
        bias = prefix + ".bias"
    }
}
