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
        do throws(ComputeError) {
            return try body(device, host).map { "\(name): \($0)" }
        } catch {
            return ["\(name): \(error.code.rawValue): \(error.message)"]
        }
    }
}

/// The suite.
package enum DeviceConformance {
    /// Every case of every operation.
    package static let cases: [ConformanceCase] =
        linearCases + rowCases + rotateCases + attentionCases + softmaxCases + prefixCases + topKCases
        + invarianceCases + misuseCases + prefixMisuseCases
}
