// The conformance suite of devices: every operation over shapes and edge cases, against plain double-precision
// references in this target. It knows devices by their protocol alone; each device's own tests run it.

package import Compute

/// One thing that every device must do.
package struct ConformanceCase: Sendable, CustomStringConvertible {
    /// The operation and the parameters of the case, for people.
    package let name: String
    /// What a device must support for the case to apply.
    package let operations: [OperationKind]
    private let body: @Sendable (any Device, HostWeights) throws(ComputeError) -> [String]

    init(
        _ name: String,
        _ operations: OperationKind...,
        body: @escaping @Sendable (any Device, HostWeights) throws(ComputeError) -> [String]
    ) {
        self.name = name
        self.operations = operations
        self.body = body
    }

    package var description: String { name }

    /// Runs the case: one sentence for everything that is wrong, none when the device conforms.
    package func failures(on device: any Device) -> [String] {
        let host = HostWeights()
        defer { withExtendedLifetime(host) {} }
        return Rounding.$dtype.withValue(device.description.name == "cpu" ? .float32 : device.description.dtype) {
            do throws(ComputeError) {
                return try body(device, host).map { "\(name): \($0)" }
            } catch {
                return ["\(name): \(error.code.rawValue): \(error.message)"]
            }
        }
    }
}

/// What a device that computes in half precision may lose where it rounds to it: operands of products, tables, weights. Nothing
/// on the CPU, whose roundings the reference makes too (`Precision`).
enum Rounding {
    /// The type of the device that the case runs on; float32 for the CPU.
    @TaskLocal static var dtype = DType.float32

    /// The greatest relative error of one rounding; 0 on a device that computes in float32.
    static var half: Double {
        switch dtype {
        case .float16: 0x1p-11
        case .bfloat16: 0x1p-8
        case .float32, .int8, .uint8, .bool, .int32, .int64: 0
        }
    }

    /// The greatest absolute error of one rounding of a number so small that the relative one does not hold.
    static var least: Double { dtype == .float16 ? 0x1p-25 : 0 }

    /// The relative error of a product of two rounded numbers.
    static var product: Double { 2 * half + half * half }
}

/// The suite.
package enum DeviceConformance {
    /// Every case of every operation.
    package static let cases: [ConformanceCase] =
        linearCases + rowCases + rotateCases + attentionCases + softmaxCases + prefixCases + topKCases + scoreCases
        + beamCases + addedRowsCases
        + invarianceCases + misuseCases + prefixMisuseCases
}
