// The kernel levels by name, and a device's choice: the host's best level, or the one in GENREC_ISA.

internal import CKernels
package import Compute

/// A level of the CPU kernels. Raw values are the names in GENREC_ISA and `DeviceDescription.architecture`.
package enum InstructionSet: String, Sendable, CaseIterable {
    case scalar
    case avx2
    case avx512
    /// AVX-512 with dot products of bytes.
    case avx512vnni
    /// The same with products of bfloat16.
    case avx512bf16
    case neon
    /// Advanced SIMD with dot products of bytes.
    case neondotprod
    /// The same with products of bfloat16.
    case neonbf16

    /// The levels that this host runs, slowest first.
    package static var available: [InstructionSet] { allCases.filter(\.isAvailable) }

    /// Whether this host runs the level.
    package var isAvailable: Bool { gk_isa_is_available(level) != 0 }

    /// The level to use: the one that `override` names (the value of GENREC_ISA), else the best available one.
    ///
    /// - Throws: `ComputeError.unsupported` for a name that does not exist or a level that the host does not run.
    package static func selected(override: String?) throws(ComputeError) -> InstructionSet {
        guard let override else {
            // The scalar level is always available.
            return available.last ?? .scalar
        }
        let names = available.map(\.rawValue).joined(separator: ", ")
        guard let level = InstructionSet(rawValue: override) else {
            throw ComputeError(.unsupported, "GENREC_ISA=\(override) is not an instruction set; this host has \(names)")
        }
        guard level.isAvailable else {
            throw ComputeError(.unsupported, "GENREC_ISA=\(override): this host does not support it, only \(names)")
        }
        return level
    }

    var level: gk_isa {
        switch self {
        case .scalar: .scalar
        case .avx2: .avx2
        case .avx512: .avx512
        case .avx512vnni: .avx512vnni
        case .avx512bf16: .avx512bf16
        case .neon: .neon
        case .neondotprod: .neondotprod
        case .neonbf16: .neonbf16
        }
    }
}
