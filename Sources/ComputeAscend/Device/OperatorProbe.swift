// Finds the operators of the chip and the installed packages by running each once, on a few elements, when the device
// is made. The vendor's support tables contradict its own sources for some chips, so only a call can tell.

internal import CAscend
internal import Compute

/// The operators that operations are composed of.
enum Operator: String, CaseIterable {
    case mm, batchMatMul, transMatmulWeight
    case layerNorm, rmsNorm, norm, mean, softmax, gather, indexCopy, topk
    case add, subtract, multiply, multiplyInPlace, multiplyByScalar, divide, divideByScalar
    case absolute, logarithm, clampAtLeast, clamp, subtractIntegers
    case silu, relu, geluTanh, swiGLU
    case greater, notEqual, isZero, logicalOr, bitwiseAnd, fill
    case cast, truncate, copy, concatenate
}

/// The results of probing.
struct OperatorSupport {
    /// The missing operators, with reasons.
    private(set) var missing: [Operator: String] = [:]

    func has(_ operators: Operator...) -> Bool { operators.allSatisfy { missing[$0] == nil } }

    /// Runs every operator. Throws failures that are not refusals: those are the device's.
    ///
    /// - Parameters:
    ///   - half: the type of products.
    ///   - memory: 64 KiB of zeroed device memory.
    static func probe(_ calls: OperatorCalls, half: DType, memory: DeviceBlock) throws(ComputeError) -> OperatorSupport
    {
        var support = OperatorSupport()
        for kind in Operator.allCases {
            do throws(ComputeError) {
                try run(kind, calls, half, memory)
            } catch {
                guard error.code == .unsupported else { throw error }
                support.missing[kind] = error.message
            }
        }
        return support
    }

    /// Runs one operator on zeros. Its operands are 4 KiB apart.
    private static func run(
        _ kind: Operator,
        _ calls: OperatorCalls,
        _ half: DType,
        _ memory: DeviceBlock
    ) throws(ComputeError) {
        func view(_ place: Int, _ dtype: DType, _ dims: [Int]) -> View {
            View(memory.address.advanced(byBytes: place * 4096), dtype, dims)
        }
        let x = view(0, .float32, [4, 16])
        let y = view(1, .float32, [4, 16])
        let out = view(2, .float32, [4, 16])
        let row = view(3, .float32, [4, 1])
        let integers = view(4, .int32, [4])
        let longs = view(5, .int64, [4, 16])
        let flags = view(6, .bool, [4, 16])
        let otherFlags = view(7, .bool, [4, 16])
        let bytes = view(8, .uint8, [4, 16])
        let halves = view(9, half, [4, 16])
        switch kind {
        case .mm: try calls.mm(halves, view(10, half, [16, 16]), out)
        case .batchMatMul:
            try calls.batchMatMul(halves.shaped([1, 4, 16]), view(10, half, [1, 16, 16]), out.shaped([1, 4, 16]))
        case .transMatmulWeight:
            // In the last place, because its memory counts as blocked from here on.
            try calls.transMatmulWeight(view(15, half, [16, 16]))
        case .layerNorm: try calls.layerNorm(x, columns: 16, weight: nil, bias: nil, epsilon: 1, out)
        case .rmsNorm: try calls.rmsNorm(x, gamma: view(1, .float32, [16]), epsilon: 1, out, rstd: row)
        case .norm: try calls.norm(x, row)
        case .mean: try calls.mean(x, row)
        case .softmax: try calls.softmax(x, out)
        case .gather: try calls.gather(x, integers, out)
        case .indexCopy: try calls.indexCopy(halves, view(4, .int32, [1]), view(10, half, [1, 16]))
        case .topk: try calls.topk(x, count: 2, values: view(2, .float32, [4, 2]), indices: view(5, .int64, [4, 2]))
        case .add: try calls.add(x, to: out)
        case .subtract: try calls.subtract(x, y, out)
        case .multiply: try calls.multiply(x, y, out)
        case .multiplyInPlace: try calls.multiply(out, by: x)
        case .multiplyByScalar: try calls.multiply(out, by: 0)
        case .divide: try calls.divide(x, y, view(11, .float32, [4, 16]))
        case .divideByScalar: try calls.divide(x, by: 1, out)
        case .absolute: try calls.absolute(x, out)
        case .logarithm: try calls.logarithm(x, view(11, .float32, [4, 16]))
        case .clampAtLeast: try calls.clamp(x, atLeast: 0, out)
        case .clamp: try calls.clamp(integers, 0...1, view(12, .int32, [4]))
        case .subtractIntegers: try calls.subtract(longs, longs, view(12, .int64, [4, 16]))
        case .silu: try calls.activate(x, .silu, out)
        case .relu: try calls.activate(x, .relu, out)
        case .geluTanh: try calls.activate(x, .geluTanh, out)
        // 310P requires halves of whole 64 bytes.
        case .swiGLU: try calls.swiGLU(view(0, .float32, [4, 32]), out)
        case .greater: try calls.greater(integers, integers, view(6, .bool, [4]))
        case .notEqual: try calls.notEqual(x, x, flags)
        case .isZero: try calls.isZero(bytes, flags)
        case .logicalOr: try calls.logicalOr(flags, otherFlags, view(12, .bool, [4, 16]))
        case .bitwiseAnd: try calls.bitwiseAnd(bytes, bytes, view(12, .uint8, [4, 16]))
        case .fill: try calls.fill(out, where: otherFlags, 0)
        case .cast: try calls.cast(x, halves)
        case .truncate: try calls.cast(x, view(12, .int32, [4, 16]))
        case .copy: try calls.copy(x, to: out)
        case .concatenate: try calls.concatenate([x, y], axis: 1, view(2, .float32, [4, 32]))
        }
    }
}
