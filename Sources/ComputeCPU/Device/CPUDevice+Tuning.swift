// Measures which kernels suit this processor. The instruction that multiplies pairs of bfloat16 is 2.2 times as fast as
// float32 on one processor and half as fast on another, so its presence alone does not decide.

internal import CKernels
internal import CLinux
package import Compute
internal import Locking

extension InstructionSet {
    /// The level without products of bfloat16 pairs, which widens bfloat16 weights to float32 and computes attention in
    /// float32; nil if this level has no such products.
    fileprivate var withoutPairs: InstructionSet? {
        switch self {
        case .avx512bf16: .avx512vnni
        case .neonbf16: .neondotprod
        case .scalar, .avx2, .avx512, .avx512vnni, .neon, .neondotprod: nil
        }
    }
}

/// Rates by dtype, measured on one thread and used on another.
final class PreparedRates: Sendable {
    private let rates = Lock([DType: [KernelRate]]())

    func of(_ dtype: DType) -> [KernelRate]? { rates.withLock { $0[dtype] } }
    func set(_ found: [KernelRate], of dtype: DType) { rates.withLock { $0[dtype] = found } }
}

extension CPUDevice {
    /// Rows, columns and depth of the timed product: a projection of a model of ordinary size, whose operands fit the
    /// second-level cache of each core.
    private static let (sampleRows, sampleColumns, sampleDepth) = (96, 256, 256)
    /// How long each of the two alternating measurements of a candidate takes.
    private static let sampleNanoseconds: UInt64 = 20_000_000

    /// The rates of the kernels that could serve this device's dtype, its own first; empty if there is no choice. Takes
    /// about 80 ms on the calling thread.
    ///
    /// int8 devices compute attention and the catalogue in bfloat16, so the same product decides for them.
    ///
    /// - Throws: `ComputeError.outOfMemory`.
    package func measureKernels() throws(ComputeError) -> [KernelRate] {
        guard dtype != .float32, let own = InstructionSet(rawValue: description.architecture),
            let other = own.withoutPairs
        else { return [] }
        var best = [own: Double.infinity, other: Double.infinity]
        for _ in 0..<2 {
            for level in [own, other] {
                best[level] = min(best[level] ?? .infinity, try Self.sampleTime(level))
            }
        }
        let operations = 2 * Double(Self.sampleRows) * Double(Self.sampleColumns) * Double(Self.sampleDepth)
        return [own, other].map { KernelRate(kernels: $0.rawValue, gigaflops: operations / (best[$0] ?? .infinity)) }
    }

    /// The sample's best time on this thread with the kernels of a level, in nanoseconds; infinite if the host lacks
    /// them.
    private static func sampleTime(_ level: InstructionSet) throws(ComputeError) -> Double {
        guard let kernels = gk_kernels_for(level.level) else { return .infinity }
        // Zeros suffice, because the time does not depend on the values.
        let input = try AlignedMemory(zeroedFloats: sampleRows * sampleDepth, for: "a measurement")
        let weights = try AlignedMemory(zeroedFloats: sampleColumns * sampleDepth / 2, for: "a measurement")
        let output = try AlignedMemory(zeroedFloats: sampleRows * sampleColumns, for: "a measurement")
        var job = gk_linear()
        job.kernels = kernels
        job.input = .plain
        job.x = UnsafePointer(input.floats)
        job.x_stride = sampleDepth
        job.x_columns = sampleDepth
        job.rows = sampleRows
        job.depth = sampleDepth
        job.columns = sampleColumns
        job.dtype = .bfloat16
        job.weights = UnsafeRawPointer(weights.base)
        job.output = output.floats
        job.output_stride = sampleColumns
        job.block_rows = sampleRows
        job.block_columns = sampleColumns
        let scratch = try AlignedMemory(zeroedFloats: gk_linear_scratch(&job), for: "a measurement")
        job.scratch = scratch.floats
        var best = Double.infinity
        // Processor time, because a background thread also waits for a processor.
        let end = CLinux_threadNanoseconds() + sampleNanoseconds
        repeat {
            let start = CLinux_threadNanoseconds()
            gk_linear_run(&job, 0, 0)
            best = min(best, Double(CLinux_threadNanoseconds() - start))
        } while CLinux_threadNanoseconds() < end
        withExtendedLifetime(input) {}
        withExtendedLifetime(weights) {}
        withExtendedLifetime(output) {}
        withExtendedLifetime(scratch) {}
        return best
    }
}
