// The basis of the choice of kernels: panels split in memory give the same bits as products that split them in
// registers, and there is something to measure exactly where there is a choice.

import Compute
import Random
import Testing

@testable import ComputeCPU

@Suite struct TuningTests {
    /// Levels without products of bfloat16 pairs.
    @Test(arguments: InstructionSet.available.filter { $0 != .avx512bf16 && $0 != .neonbf16 })
    func aRowHasTheSameBits_HoweverManyRowsThereAre(level: InstructionSet) throws {
        let device = try CPUDevice(threads: 2, dtype: .bfloat16, isa: level)
        var random = SplitMix64(seed: 16)
        // With an odd depth the last pair is half empty; the memory after a row must not affect it.
        for (depth, columns) in [(51, 70), (50, 64), (1, 4), (130, 200)] {
            let rows = 61
            let weights = (0..<depth * columns).map { _ in Float(random.uniform()) - 0.5 }
            let linear = try weights.withUnsafeBytes { bytes in
                try device.makeLinear(
                    HostTensor(name: "w", dtype: .float32, shape: [depth, columns], bytes: bytes),
                    layout: .inputMajor,
                    columns: nil,
                    bias: nil
                )
            }
            let input = (0..<rows * depth).map { _ in Float(random.uniform()) - 0.5 }
            let together = try product(device, linear, input, depth: depth, poison: .nan)
            for row in [0, 23, 60] {
                let alone = try product(
                    device,
                    linear,
                    Array(input[row * depth..<(row + 1) * depth]),
                    depth: depth,
                    poison: .infinity
                )
                #expect(alone == Array(together[row * columns..<(row + 1) * columns]), "row \(row), depth \(depth)")
                // Both factors are rounded: 2⁻⁸ of each product.
                for column in 0..<columns {
                    var (sum, most) = (0.0, 0.0)
                    for k in 0..<depth {
                        let term = Double(input[row * depth + k]) * Double(weights[k * columns + column])
                        sum += term
                        most += abs(term)
                    }
                    #expect(abs(Double(alone[column]) - sum) <= 0x1p-8 * most + 1e-6)
                }
            }
        }
    }

    /// The product of rows in an array with `poison` after each.
    private func product(
        _ device: CPUDevice,
        _ linear: any LinearWeights,
        _ input: [Float],
        depth: Int,
        poison: Float
    ) throws -> [Float] {
        let rows = input.count / depth
        let padded = (0..<rows).flatMap { Array(input[$0 * depth..<($0 + 1) * depth]) + [poison] }
        return try padded.withUnsafeBytes { bytes in
            let table = try device.makeTable(
                HostTensor(name: "x", dtype: .float32, shape: [rows, depth + 1], bytes: bytes)
            )
            let stream = try device.makeStream()
            try stream.begin()
            let values = try stream.makeTensor(rows: rows, columns: depth + 1, dtype: .float32)
            let ids = try stream.upload((0..<Int32(rows)).map { $0 }, dtype: .int32)
            try stream.embed(EmbedOperation(ids: ids, table: table, scale: 1, positions: nil, output: values))
            let output = try stream.makeTensor(rows: rows, columns: linear.outputs, dtype: .float32)
            try stream.linear(
                LinearOperation(input: .plain(values.columns(0..<depth)), weights: linear, output: output)
            )
            try stream.synchronize()
            return try stream.read(output)
        }
    }

    @Test
    func ratesOfAVariant_AreFoundBeforeItIsMade() throws {
        let device = try CPUDevice(threads: 1)
        var asked: [DType] = []
        try device.tune { device in
            asked.append(device.description.dtype)
            return []
        }
        for _ in 0..<2 { try device.prepareVariant(dtype: .bfloat16) }
        #expect(asked == [.float32, .bfloat16])
        #expect(try device.variant(dtype: .bfloat16, threads: nil).description.dtype == .bfloat16)
        #expect(asked == [.float32, .bfloat16])
        _ = try device.variant(dtype: .int8, threads: nil)
        #expect(asked == [.float32, .bfloat16, .int8])
    }

    @Test(arguments: InstructionSet.available)
    func ratesAreMeasured_WhereThereIsAChoice(level: InstructionSet) throws {
        #expect(try CPUDevice(threads: 1, dtype: .float32, isa: level).measureKernels().isEmpty)
        let rates = try CPUDevice(threads: 1, dtype: .bfloat16, isa: level).measureKernels()
        let candidates: [InstructionSet: [String]] = [
            .avx512bf16: ["avx512bf16", "avx512vnni"], .neonbf16: ["neonbf16", "neondotprod"],
        ]
        #expect(rates.map(\.kernels) == candidates[level] ?? [])
        #expect(rates.allSatisfy { $0.gigaflops.isFinite && $0.gigaflops > 0 })
    }
}
