// The operand types of products, per device dtype: the reference rounds operands as the device does and multiplies
// exactly.

internal import Compute

/// The operand type of a device's products.
enum Precision: Sendable {
    case float32
    case bfloat16
    case int8

    /// The CPU's roundings are known exactly. `Rounding` gives the allowed errors of other devices, in addition to
    /// float32's.
    init(_ device: DeviceDescription) {
        switch device.name == "cpu" ? device.dtype : .float32 {
        case .bfloat16: self = .bfloat16
        case .int8: self = .int8
        case .float32, .float16, .uint8, .bool, .int32, .int64: self = .float32
        }
    }

    /// The comparison precision of such a device's catalogue scores.
    var ofScores: Precision { self == .float32 ? .float32 : .bfloat16 }

    /// Half a unit in the last place of 1 in bfloat16.
    static let bfloat16Unit = 0x1p-8

    /// The largest relative rounding error of each operand of attention's products. Devices of lower precision may
    /// attend in bfloat16 or in float32.
    var attentionUnit: Double { self == .float32 ? 0 : Self.bfloat16Unit }

    /// The allowed relative error of SiLU.
    var siluTolerance: Double { self == .float32 ? 8 * Reference.unit : 1.01 * 0x1p-11 }

    /// Operands that share a scale (a row of the input, or a column of the weights) after the device's rounding. Exact:
    /// a device rounds the same float32 numbers.
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

    /// The largest change by rounding of an element in a row that only the device knows exactly.
    func roundingTolerance(_ x: Double, in row: [Double]) -> Double {
        switch self {
        case .float32: 0
        case .bfloat16: 1.01 * Self.bfloat16Unit * abs(x)
        // Half a step, plus the rounding of the factor itself.
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
