// The norms of the suite, without a device's vectors, and as a device takes them.

internal import Compute

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

    /// In 0.5 ..< 1.5; ones where the norm has no scale.
    func scale(columns: Int) -> [Float] {
        guard hasVectors else { return [Float](repeating: 1, count: columns) }
        var random = SeededNumbers(seed: UInt64(1 + columns))
        return (0..<columns).map { _ in 1 + random.signed() / 2 }
    }

    /// In -1 ..< 1; zeros where the norm has no shift.
    func shift(columns: Int) -> [Float] {
        guard case .affineLayer = self else { return [Float](repeating: 0, count: columns) }
        var random = SeededNumbers(seed: UInt64(2 + columns))
        return (0..<columns).map { _ in random.signed() }
    }

    func made(on device: any Device, columns: Int) throws(ComputeError) -> DeviceNorm {
        let scale = HostStorage("scale", vector: scale(columns: columns))
        let shift = HostStorage("shift", vector: shift(columns: columns))
        let normalization: Normalization
        switch self {
        case .layer(let epsilon): normalization = .layerNorm(epsilon: epsilon)
        case .affineLayer(let epsilon):
            normalization = .affineLayerNorm(
                epsilon: epsilon,
                scale: try device.makeVector(scale.tensor),
                shift: try device.makeVector(shift.tensor)
            )
        case .rms(let epsilon): normalization = .rms(epsilon: epsilon, scale: try device.makeVector(scale.tensor))
        case .l2(let epsilon): normalization = .l2(epsilon: epsilon)
        }
        return DeviceNorm(normalization, storage: [scale, shift])
    }
}

/// A norm on a device, and the host memory behind it, which must outlive the device's use.
final class DeviceNorm {
    let normalization: Normalization
    private let storage: [HostStorage]

    init(_ normalization: Normalization, storage: [HostStorage]) {
        self.normalization = normalization
        self.storage = storage
    }
}
