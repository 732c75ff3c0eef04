// Names of the two tensors that a norm or projection may have.

/// The tensor names of one norm or projection. A model without one of the tensors does not list it.
package struct ParameterName: Sendable, Equatable {
    package let weight: String
    package let bias: String

    /// - Parameter prefix: the part of both names before the dot.
    init(_ prefix: String) {
        weight = prefix + ".weight"
        bias = prefix + ".bias"
    }
}
