// The conformance suite on the CPU, at every level of the host.

import Compute
import ComputeCPU
import DeviceConformance
import Foundation
import Testing

struct ConformanceTests {
    /// A level of the host and a dtype for which it has its own kernels; other dtypes run the kernels of the level
    /// below.
    struct Variant: Sendable, CustomTestStringConvertible {
        let isa: InstructionSet
        let dtype: DType

        var testDescription: String { "\(isa.rawValue), \(dtype.rawValue)" }

        static let available = InstructionSet.available.flatMap { isa in
            let own: [DType] =
                switch isa {
                case .scalar, .avx2, .avx512, .neon: [.float32, .bfloat16, .int8]
                case .avx512vnni, .neondotprod: [.int8]
                case .avx512bf16, .neonbf16: [.bfloat16]
                }
            return own.map { Variant(isa: isa, dtype: $0) }
        }
    }

    /// Two threads: cases are large enough to be divided, and a device with one thread runs the same tasks.
    @Test(arguments: Variant.available)
    func conforms_AtEveryLevel(_ variant: Variant) throws {
        let device = try CPUDevice(threads: 2, dtype: variant.dtype, isa: variant.isa)
        // GENREC_CASES=beams,tokens runs only the cases whose names contain one of these words: the whole suite takes
        // minutes.
        let words = (ProcessInfo.processInfo.environment["GENREC_CASES"] ?? "").split(separator: ",")
        for conformanceCase in DeviceConformance.cases
        where words.isEmpty || words.contains(where: conformanceCase.name.contains) {
            let failures = conformanceCase.failures(on: device)
            #expect(failures.isEmpty, "\(failures.joined(separator: "\n"))")
        }
    }

    /// A selection through a quantised copy equals the plain one.
    @Test(arguments: InstructionSet.available)
    func conforms_WithCopiesOfCatalogues(_ isa: InstructionSet) throws {
        let device = try CPUDevice(threads: 2, isa: isa, copies: .always)
        for conformanceCase in DeviceConformance.cases where conformanceCase.operations.contains(.selectTopK) {
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
