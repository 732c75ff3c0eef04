// Unit tests of the bfloat16 and int8 kernels: rounding, quantisation, exact integers, NaN and infinities.

import CKernels
import Compute
import Glibc
import Testing

@testable import ComputeCPU

/// The kernels of a level of the host.
private func kernels(_ isa: InstructionSet) throws -> gk_kernels {
    try #require(gk_kernels_for(isa.level)).pointee
}

/// Floats of every exponent and both signs, and midpoints between two bfloat16.
private let samples: [Float] = {
    var samples: [Float] = [0, -0.0, .infinity, -.infinity, .greatestFiniteMagnitude, 1, 1.00390625, 1.01171875]
    for exponent in UInt32(1)..<255 {
        for low in [0, 1, 0x7fff, 0x8000, 0x8001, 0xffff, 0x1_8000, 0x7f_8000, 0x7f_7fff] as [UInt32] {
            let x = Float(bitPattern: exponent << 23 | low)
            samples += [x, -x]
        }
    }
    return samples
}()

struct BFloat16Tests {
    /// To nearest with ties to even, in integers.
    private func rounded(_ x: Float) -> UInt16 {
        let (upper, lower) = (x.bitPattern >> 16, x.bitPattern & 0xffff)
        let up = lower > 0x8000 || (lower == 0x8000 && upper & 1 == 1)
        return UInt16(upper + (up ? 1 : 0))
    }

    @Test(arguments: InstructionSet.available)
    func roundsToNearestWithTiesToEven_AndFillsUpWithZeros(_ isa: InstructionSet) throws {
        let level = try kernels(isa)
        let round = try #require(level.bf16_round)
        let count = samples.count
        let padded = (count + 15) / 16 * 16
        var words = [UInt32](repeating: .max, count: padded / 2 * level.bf16_words)
        round(1, count, samples, count, &words, words.count)
        for index in 0..<padded {
            let half: UInt16
            if level.bf16_words == 1 {
                half = UInt16(truncatingIfNeeded: words[index / 2] >> UInt32(16 * (index % 2)))
            } else {
                #expect(words[index] & 0xffff == 0)
                half = UInt16(words[index] >> 16)
            }
            #expect(half == (index < count ? rounded(samples[index]) : 0), "\(index < count ? samples[index] : 0)")
        }
    }

    @Test(arguments: InstructionSet.available)
    func keepsNaN(_ isa: InstructionSet) throws {
        let level = try kernels(isa)
        let round = try #require(level.bf16_round)
        let multiply = try #require(level.bf16_gemm)
        // NaNs whose bits would carry into the exponent or the sign.
        for bits in [0x7fff_ffff, 0xffff_ffff, 0x7f80_0001, 0x7fc0_0000] as [UInt32] {
            var words = [UInt32](repeating: 0, count: 16)
            round(1, 1, [Float(bitPattern: bits)], 1, &words, 16)
            var product = [Float](repeating: 0, count: 4)
            multiply(1, 4, 1, words, 16, [UInt32](repeating: 0x3f80, count: 4), nil, &product, 4)
            #expect(product.allSatisfy { $0.isNaN })
        }
    }

    @Test(arguments: InstructionSet.available)
    func siluIsWithinBFloat16sPrecision_OverTheWholeRange(_ isa: InstructionSet) throws {
        let epilogue = try #require(try kernels(isa).epilogue)
        let x = samples.filter(\.isFinite) + (-40_000...40_000).map { Float($0) / 397.3 }
        var y = [Float](repeating: .nan, count: x.count)
        epilogue(1, x.count, x, x.count, .silu_bf16, nil, 0, &y, x.count)
        for index in x.indices {
            let exact = Double(x[index]) / (1 + exp(-Double(x[index])))
            #expect(abs(Double(y[index]) - exact) <= max(0x1p-11 * abs(exact), 0x1p-110), "\(x[index])")
        }
    }
}

struct Int8Tests {
    /// Quantised rows times packed columns, as integers, and the scales of the rows.
    private func product(
        _ isa: InstructionSet,
        rows: [[Float]],
        columns: [[Float]]
    ) throws -> (sums: [Int32], scales: [Float], columnScales: [Float]) {
        let level = try kernels(isa)
        let (quantize, multiply) = (try #require(level.s8_quantize), try #require(level.s8_gemm))
        let (m, k, n) = (rows.count, rows[0].count, columns.count)
        let stride = (k + 15) / 16 * 4 * level.s8_words
        var words = [UInt32](repeating: 0, count: m * stride)
        var scales = [Float](repeating: 0, count: m)
        quantize(m, k, rows.flatMap { $0 }, k, &words, stride, &scales)

        let depth = gk_packed_depth(.int8, k)
        var packed = [UInt32](repeating: 0, count: depth * n)
        var columnScales = [Float](repeating: 0, count: n)
        var sums = [Int32](repeating: 0, count: n)
        columns.flatMap { $0 }.withUnsafeBytes { source in
            packed.withUnsafeMutableBytes { packed in
                columnScales.withUnsafeMutableBufferPointer { scales in
                    sums.withUnsafeMutableBufferPointer { sums in
                        var job = gk_packing(
                            source_dtype: .float32,
                            source: source.baseAddress,
                            row_step: 1,
                            column_step: k,
                            depth: k,
                            first_source: 0,
                            count: n,
                            first: 0,
                            columns: n,
                            full: n,
                            packed_dtype: .int8,
                            packed: packed.baseAddress,
                            scales: scales.baseAddress,
                            sums: sums.baseAddress
                        )
                        gk_pack(&job)
                    }
                }
            }
        }
        var result = [Int32](repeating: 0, count: m * n)
        multiply(m, n, depth, words, stride, packed, sums.map { -level.s8_zero * $0 }, &result, n)
        return (result, scales, columnScales)
    }

    private func numbers(_ count: Int, seed: Int) -> [Float] {
        (0..<count).map { Float(($0 &* 7919 &+ seed &* 104_729) % 2003 - 1001) / 1001 }
    }

    @Test(arguments: [1, 3, 4, 17, 64, 255, 3000])
    func everyLevelGivesTheSameIntegers(_ depth: Int) throws {
        let rows = (0..<4).map { numbers(depth, seed: $0) }
        let columns = (0..<16).map { numbers(depth, seed: 100 + $0) }
        let expected = try product(.scalar, rows: rows, columns: columns)
        for isa in InstructionSet.available {
            let found = try product(isa, rows: rows, columns: columns)
            #expect(found.sums == expected.sums, "\(isa)")
            #expect(found.scales == expected.scales && found.columnScales == expected.columnScales, "\(isa)")
        }
    }

    @Test(arguments: InstructionSet.available)
    func holdsTheLargestSums_WithoutSaturation(_ isa: InstructionSet) throws {
        let depth = 65_536
        let row = [Float](repeating: -1, count: depth)
        let found = try product(isa, rows: [row], columns: [[Float]](repeating: row, count: 4))
        #expect(found.sums == [Int32](repeating: 127 * 127 * 65_536, count: 4))
    }

    @Test(arguments: InstructionSet.available)
    func aRowThatHoldsNaNOrInfinity_HasNoScale(_ isa: InstructionSet) throws {
        for odd in [Float.nan, .infinity, -.infinity] {
            for place in [0, 15, 16, 18] {
                var row = numbers(19, seed: 1)
                row[place] = odd
                let found = try product(isa, rows: [row], columns: [[Float]](repeating: numbers(19, seed: 2), count: 4))
                #expect(found.scales[0].isNaN, "\(odd) at \(place)")
                let packed = try product(
                    isa,
                    rows: [numbers(19, seed: 2)],
                    columns: [[Float]](repeating: row, count: 4)
                )
                #expect(packed.columnScales.allSatisfy { $0.isNaN }, "\(odd) at \(place)")
            }
        }
    }

    @Test(arguments: InstructionSet.available)
    func rowsOfZerosAndOfTheSmallestNumbers_AreZeros(_ isa: InstructionSet) throws {
        for tiny in [0, .leastNonzeroMagnitude, 0x1p-101] as [Float] {
            let row = [Float](repeating: tiny, count: 20)
            let found = try product(isa, rows: [row], columns: [[Float]](repeating: numbers(20, seed: 3), count: 4))
            #expect(found.sums.allSatisfy { $0 == 0 } && found.scales == [0])
        }
    }

    @Test
    func refuses_MoreInputsThanSumsHold() throws {
        let values = [Float](repeating: 1, count: 65_537)
        let device = try CPUDevice(threads: 1, dtype: .int8)
        let refusal: ComputeError? = values.withUnsafeBytes { bytes in
            let matrix = HostTensor(name: "deep", dtype: .float32, shape: [65_537, 1], bytes: bytes)
            do throws(ComputeError) {
                _ = try device.makeLinear(matrix, layout: .inputMajor, columns: nil, bias: nil)
                return nil
            } catch {
                return error
            }
        }
        #expect(refusal?.code == .unsupported)
    }

    @Test(arguments: [DType.float16, .uint8, .int64, .bool, .int32])
    func refuses_ADtypeThatItDoesNotComputeIn(_ dtype: DType) {
        #expect(throws: ComputeError(.unsupported, "")) { try CPUDevice(threads: 1, dtype: dtype) }
    }
}
