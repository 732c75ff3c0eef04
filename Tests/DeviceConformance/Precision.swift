// What devices of each dtype multiply: the reference rounds the operands as they do and takes exact products.

internal import Compute

/// The type that a device's products are of.
enum Precision: Sendable {
    case float32
    case bfloat16
    case int8

    /// The CPU's roundings are known to the bit. What other devices may lose is `Rounding`'s, on top of float32.
    init(_ device: DeviceDescription) {
        switch device.name == "cpu" ? device.dtype : .float32 {
        case .bfloat16: self = .bfloat16
        case .int8: self = .int8
        case .float32, .float16, .uint8, .bool, .int32, .int64: self = .float32
        }
    }

    /// What the catalogue of such a device is compared in.
    var ofScores: Precision { self == .float32 ? .float32 : .bfloat16 }

    /// Half a unit in the last place of 1 in bfloat16.
    static let bfloat16Unit = 0x1p-8

    /// How far each operand of attention's products may have been rounded, relatively. Devices of lower precision may attend
    /// in bfloat16 or in float32.
    var attentionUnit: Double { self == .float32 ? 0 : Self.bfloat16Unit }

    /// What SiLU may be off by, relatively.
    var siluTolerance: Double { self == .float32 ? 8 * Reference.unit : 1.01 * 0x1p-11 }

    /// Operands that share a scale, a row of the input or a column of the weights, as they are multiplied. Exact: a device
    /// rounds the same float32 numbers.
    func rounded(_ operands: [Float]) -> [Double] {
        switch self {
        case .float32: return operands.map(Double.init)
        case .bfloat16: return operands.map { Double(Self.bfloat16($0)) }
        case .int8:
            let most = operands.reduce(0) { max($0, abs($1)) }
            guard most >= 0x1p-100 else { return operands.map { _ in 0 } }
            let factor = 127 / most
            let scale = Double(most / 127)
            return operands.map { (Double($0) * Double(factor)).rounded(.toNearestOrEven) * scale }
        }
    }

    /// How far rounding moves an element of a row that only the device knows exactly.
    func roundingTolerance(_ x: Double, in row: [Double]) -> Double {
        switch self {
        case .float32: 0
        case .bfloat16: 1.01 * Self.bfloat16Unit * abs(x)
        // Half a step, and a little where the factor itself is rounded.
        case .int8: 0.51 / 127 * row.reduce(0) { max($0, abs($1)) }
        }
    }

    /// To nearest with ties to even.
    static func bfloat16(_ x: Float) -> Float {
        guard !x.isNaN else { return x }
        let bits = x.bitPattern
        return Float(bitPattern: (bits &+ 0x7fff &+ (bits >> 16 & 1)) & 0xffff_0000)
    }
}
