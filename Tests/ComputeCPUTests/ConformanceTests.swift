// The conformance suite on the CPU, at every level that the host has.

import Compute
import ComputeCPU
import DeviceConformance
import Testing

struct ConformanceTests {
    /// Two threads: cases are large enough to be cut, and a device with one runs the same tasks.
    @Test(arguments: InstructionSet.available)
    func conforms_AtEveryLevel(_ isa: InstructionSet) throws {
        let device = try CPUDevice(threads: 2, isa: isa)
        for conformanceCase in DeviceConformance.cases {
            let failures = conformanceCase.failures(on: device)
            #expect(failures.isEmpty, "\(failures.joined(separator: "\n"))")
        }
    }

    @Test
    func supportsEveryOperation() throws {
        let device = try CPUDevice(threads: 1)
        for operation in OperationKind.allCases { #expect(device.supports(operation)) }
    }
}
