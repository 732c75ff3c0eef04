// The conformance suite of devices: every operation over shapes and edge cases, against plain double-precision
// references in this target. It uses only the device protocol; each device's own tests run it.

package import Compute

/// One requirement that every device must meet.
package struct ConformanceCase: Sendable, CustomStringConvertible {
    /// The operation and the parameters of the case, for people.
    package let name: String
    /// The operations that a device must support for the case to apply.
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

    /// Runs the case: one sentence for each fault, none if the device conforms.
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

/// The rounding errors allowed to a half-precision device where it rounds: operands of products, tables, weights. Zero
/// on the CPU, whose roundings the reference reproduces (`Precision`).
enum Rounding {
    /// The dtype of the device under test; float32 for the CPU.
    @TaskLocal static var dtype = DType.float32

    /// The largest relative error of one rounding; 0 on a float32 device.
    static var half: Double {
        switch dtype {
        case .float16: 0x1p-11
        case .bfloat16: 0x1p-8
        case .float32, .int8, .uint8, .bool, .int32, .int64: 0
        }
    }

    /// The largest absolute error of rounding a number too small for the relative bound.
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
