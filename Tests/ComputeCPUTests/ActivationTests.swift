// The element-wise functions of the kernels against double precision, over the whole range of float32.

import CKernels
import Compute
import Glibc
import Testing

@testable import ComputeCPU

/// The kernels of a level of the host.
private func kernels(_ isa: InstructionSet) throws -> gk_kernels {
    try #require(gk_kernels_for(isa.level)).pointee
}

/// Floats of every exponent and both signs, and a finer grid where the functions bend.
private let samples: [Float] = {
    var samples: [Float] = [0, -0.0, .leastNonzeroMagnitude, -.leastNonzeroMagnitude]
    samples += [.greatestFiniteMagnitude, -.greatestFiniteMagnitude, -88.37, -88.36, -88.38, 88, 88.1, -87, -87.01]
    for exponent in UInt32(0)..<255 {
        for mantissa in stride(from: UInt32(0), to: 1 << 23, by: 0x3_7f51) {
            let x = Float(bitPattern: exponent << 23 | mantissa)
            samples += [x, -x]
        }
    }
    for step in -45_000...45_000 { samples.append(Float(step) / 499.7) }
    for step in -9000...9000 { samples.append(Float(step) / 797) }
    return samples
}()

/// The largest error in units of the last place of the exact result, of those errors that exceed `absolute`; infinite
/// if a result is not finite.
private func worstULPs(
    of y: [Float],
    at x: [Float],
    beyond absolute: Double,
    exact: (Double) -> Double
) -> Double {
    var worst = 0.0
    for index in x.indices {
        let value = exact(Double(x[index]))
        let lost = abs(Double(y[index]) - value)
        // A comparison with NaN is false; NaN must not pass.
        if !(lost > absolute) && !y[index].isNaN { continue }
        worst = max(worst, y[index].isFinite ? lost / Double(Float(value).ulp) : .infinity)
    }
    return worst
}

struct SiLUTests {
    @Test(arguments: InstructionSet.available)
    func staysWithinThreeULP_OverTheWholeRange(_ isa: InstructionSet) throws {
        let kernel = try #require(try kernels(isa).silu)
        let x = samples
        var y = [Float](repeating: .nan, count: x.count)
        kernel(x.count, x, &y)
        #expect(worstULPs(of: y, at: x, beyond: 0x1p-120) { $0 / (1 + exp(-$0)) } <= 3)
    }

    @Test(arguments: InstructionSet.available)
    func givesTheSameBits_WhereverAValueStands(_ isa: InstructionSet) throws {
        let kernel = try #require(try kernels(isa).silu)
        var x = (0..<48).map { Float($0) * 0.731 - 17 }
        var whole = [Float](repeating: 0, count: 48)
        kernel(48, x, &whole)
        for start in 0..<17 {
            for count in 1...31 {
                var part = [Float](repeating: 7, count: count + 1)
                x.withUnsafeBufferPointer { kernel(count, $0.baseAddress.map { $0 + start }, &part) }
                #expect(part.dropLast().map(\.bitPattern) == whole[start..<start + count].map(\.bitPattern))
                #expect(part[count] == 7, "the kernel writes behind its output")
            }
        }
        x[3] = .nan
        kernel(48, x, &whole)
        #expect(whole[3].isNaN)
    }
}

struct ExponentialTests {
    @Test(arguments: InstructionSet.available)
    func staysWithinThreeULP_ForAllThatIsNotPositive(_ isa: InstructionSet) throws {
        let kernel = try #require(try kernels(isa).exp)
        let x = samples.filter { $0 <= 0 }
        var y = [Float](repeating: .nan, count: x.count)
        kernel(x.count, x, &y)
        #expect(worstULPs(of: y, at: x, beyond: 0x1p-125) { exp($0) } <= 3)
    }

    /// A row's maximum has weight exactly 1, and a key outside its range has weight 0.
    @Test(arguments: InstructionSet.available)
    func isExact_AtItsEnds(_ isa: InstructionSet) throws {
        let kernel = try #require(try kernels(isa).exp)
        var y = [Float](repeating: 7, count: 7)
        kernel(6, [0, -0.0, -.infinity, -.greatestFiniteMagnitude, .nan, Float(bitPattern: 0xffff_ffff)], &y)
        #expect(y[0] == 1 && y[1] == 1 && y[2] == 0 && y[3] == 0)
        #expect(y[4].isNaN && y[5].isNaN)
        #expect(y[6] == 7, "the kernel writes behind its output")
    }
}

struct EpilogueTests {
    /// `activation(x)` through the epilogue, in one row.
    private func activated(_ x: [Float], _ activation: gk_activation, _ isa: InstructionSet) throws -> [Float] {
        let kernel = try #require(try kernels(isa).epilogue)
        var y = [Float](repeating: .nan, count: x.count)
        kernel(1, x.count, x, x.count, activation, nil, 0, &y, x.count)
        return y
    }

    @Test(arguments: InstructionSet.available)
    func geluStaysWithinSixULP_OrTwoToTheMinus25(_ isa: InstructionSet) throws {
        let y = try activated(samples, .gelu_tanh, isa)
        let worst = worstULPs(of: y, at: samples, beyond: 0x1p-25) { x in
            // 1 + tanh(u) as 2 / (1 + e^-2u), which does not cancel.
            x / (1 + exp(-2 * (2 / Double.pi).squareRoot() * (x + 0.044715 * x * x * x)))
        }
        #expect(worst <= 6)
    }

    @Test(arguments: InstructionSet.available)
    func reluIsExact(_ isa: InstructionSet) throws {
        #expect(try activated(samples, .relu, isa) == samples.map { max($0, 0) })
    }

    @Test(arguments: InstructionSet.available, [gk_activation.none, .silu, .relu, .gelu_tanh])
    func keepsWhatIsNoNumber(_ isa: InstructionSet, _ activation: gk_activation) throws {
        #expect(try activated([1, .nan, 2], activation, isa)[1].isNaN)
        #expect(try activated([.infinity], activation, isa) == [.infinity])
    }

    @Test(arguments: InstructionSet.available, [gk_activation.none, .silu, .relu, .gelu_tanh])
    func givesTheSameBits_WhereverAValueStands(_ isa: InstructionSet, _ activation: gk_activation) throws {
        let x = (0..<48).map { Float($0) * 0.217 - 5 }
        let whole = try activated(x, activation, isa)
        for start in 0..<17 {
            for count in 1...31 {
                let part = try activated(Array(x[start..<start + count]), activation, isa)
                #expect(part.map(\.bitPattern) == whole[start..<start + count].map(\.bitPattern))
            }
        }
    }
}
