// The suite's norms, without device vectors and in the device's form.

internal import Compute
internal import Random

/// A normalisation; the entries of its affine part follow from the width.
enum Norm: Sendable, CustomStringConvertible {
    case layer(epsilon: Float)
    case affineLayer(epsilon: Float)
    case rms(epsilon: Float)
    case l2(epsilon: Float)

    var description: String {
        switch self {
        case .layer(let epsilon): "layer norm \(epsilon)"
        case .affineLayer(let epsilon): "affine layer norm \(epsilon)"
        case .rms(let epsilon): "rms norm \(epsilon)"
        case .l2(let epsilon): "l2 norm \(epsilon)"
        }
    }

    var hasVectors: Bool {
        switch self {
        case .layer, .l2: false
        case .affineLayer, .rms: true
        }
    }

    /// In 0.5 ..< 1.5; ones if the norm has no scale.
    func scale(columns: Int) -> [Float] {
        guard hasVectors else { return [Float](repeating: 1, count: columns) }
        var random = SplitMix64(seed: UInt64(1 + columns))
        return (0..<columns).map { _ in 1 + random.signed() / 2 }
    }

    /// In -1 ..< 1; zeros if the norm has no shift.
    func shift(columns: Int) -> [Float] {
        guard case .affineLayer = self else { return [Float](repeating: 0, count: columns) }
        var random = SplitMix64(seed: UInt64(2 + columns))
        return (0..<columns).map { _ in random.signed() }
    }

    func made(on device: any Device, _ host: HostWeights, columns: Int) throws(ComputeError) -> Normalization {
        let scale = scale(columns: columns)
        let shift = shift(columns: columns)
        func vector(_ name: String, _ entries: [Float]) throws(ComputeError) -> any DeviceVector {
            try device.makeVector(host.tensor(name, vector: entries))
        }
        return switch self {
        case .layer(let epsilon): .layerNorm(epsilon: epsilon)
        case .affineLayer(let epsilon):
            .affineLayerNorm(epsilon: epsilon, scale: try vector("scale", scale), shift: try vector("shift", shift))
        case .rms(let epsilon): .rms(epsilon: epsilon, scale: try vector("scale", scale))
        case .l2(let epsilon): .l2(epsilon: epsilon)
        }
    }
}
