// Names of the two tensors of a layer norm with weight and bias, shared by the architectures that have one.

/// The tensors of an affine layer norm, `weight · norm(x) + bias`.
package struct AffineNormName: Sendable, Equatable {
    /// (D)
    package let weight: String
    /// (D)
    package let bias: String

    /// - Parameter prefix: what both names have before the dot.
    init(_ prefix: String) {
        weight = prefix + ".weight"
        bias = prefix + ".bias"
    }

    func specifications(width: Int) -> [TensorSpecification] {
        [TensorSpecification(weight, [width]), TensorSpecification(bias, [width])]
    }
}
