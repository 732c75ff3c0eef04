// Projections: sizes around every tile, inputs of all kinds, bias, activation, residual, layouts, column choices, types.

internal import Compute
internal import Random

private struct LinearCase {
    var m: Int
    var k: Int
    var n: Int
    var input = ConformanceInput.plain
    var hasBias = false
    var activation = Activation.none
    var hasResidual = false
    var layout = LinearLayout.inputMajor
    var dtype = DType.float32
    /// Takes these columns instead of all.
    var columns: [Range<Int>]?
    /// Input and output are among other columns.
    var isStrided = false
    /// The residual is the output's own memory.
    var isInPlace = false

    var name: String {
        var parts = ["linear \(m)×\(k)×\(n) \(input)"]
        if hasBias { parts.append("bias") }
        if activation != .none { parts.append(activation.rawValue) }
        if hasResidual { parts.append(isInPlace ? "residual in place" : "residual") }
        if layout == .outputMajor { parts.append("output-major") }
        if dtype != .float32 { parts.append(dtype.rawValue) }
        if let columns { parts.append("columns \(columns)") }
        if isStrided { parts.append("strided") }
        return parts.joined(separator: " ")
    }

    func run(_ device: any Device, _ host: HostWeights) throws(ComputeError) -> [String] {
        var random = SplitMix64(seed: UInt64(m * 7919 + k * 104_729 + n))
        var isConcatenated = false
        if case .concatenated = input { isConcatenated = true }
        let values = Matrix(rows: m, columns: isConcatenated ? k / 3 : k, random: &random)
        let gate = Matrix(rows: m, columns: values.columns, random: &random)
        var matrix = Matrix(rows: k, columns: n, random: &random)
        matrix.values = matrix.values.map { HostWeights.rounded($0, to: dtype) }
        let taken = columns.map { $0.flatMap(Array.init) } ?? Array(0..<n)
        let chosen = Matrix(
            rows: k,
            columns: taken.count,
            values: (0..<k).flatMap { row in taken.map { matrix[row, $0] } }
        )
        let bias = hasBias ? (0..<taken.count).map { _ in HostWeights.rounded(random.signed(), to: dtype) } : nil
        let residual = hasResidual ? Matrix(rows: m, columns: taken.count, random: &random) : nil

        let norm = try input.norm?.made(on: device, host, columns: values.columns)
        let stored = host.tensor("weight", layout == .inputMajor ? matrix : matrix.transposed, dtype: dtype)
        let storedBias = bias.map { host.tensor("bias", dtype: dtype, shape: [$0.count], values: $0) }
        let weights = try device.makeLinear(
            stored,
            layout: layout,
            columns: columns,
            bias: storedBias
        )
        guard weights.inputs == k, weights.outputs == taken.count else {
            return ["the weights say \(weights.inputs) × \(weights.outputs)"]
        }
        let stream = try device.makeStream()
        try stream.begin()
        let x = try isStrided ? stream.uploadStrided(values) : stream.upload(values)
        let g = try isStrided ? stream.uploadStrided(gate, before: 7, after: 2) : stream.upload(gate)
        var output = try stream.makeTensor(
            rows: m,
            columns: taken.count + (isStrided ? 9 : 0),
            dtype: .float32
        )
        if isStrided { output = output.columns(4..<4 + taken.count) }
        var added: Tensor?
        if let residual {
            if isInPlace {
                output = try stream.upload(residual)
                added = output
            } else {
                added = try isStrided ? stream.uploadStrided(residual, before: 1) : stream.upload(residual)
            }
        }
        try stream.linear(
            LinearOperation(
                input: input.linear(values: x, gate: g, norm: norm),
                weights: weights,
                activation: activation,
                residual: added,
                output: output
            )
        )
        try stream.synchronize()
        let (rows, tolerance) = Reference.projected(input, values: values, gate: gate)
        let expected = Reference.linear(
            rows: rows,
            inputTolerance: tolerance,
            weights: chosen,
            precision: Precision(device.description),
            bias: bias,
            activation: activation,
            residual: residual
        )
        return expected.failures(of: try stream.readMatrix(output))
    }
}

extension ConformanceInput {
    /// - Parameter norm: `self.norm` as the device made it; nil: none.
    func linear(values: Tensor, gate: Tensor, norm: Normalization?) -> LinearInput {
        guard let norm else {
            if case .swiGLU = self { return .swiGLU(gate: gate, values: values) }
            return .plain(values)
        }
        return switch self {
        case .gated: .gated(gate: gate, values: values, norm)
        case .concatenated: .concatenatedGate(gate: gate, values: values, norm)
        case .normalized, .plain, .swiGLU: .normalized(values, norm)
        }
    }
}

private let layerNorm = Norm.layer(epsilon: 1e-6)
private let affine = Norm.affineLayer(epsilon: 1e-5)
private let rms = Norm.rms(epsilon: 1e-6)
private let l2 = Norm.l2(epsilon: 1e-6)

extension DeviceConformance {
    /// Projections.
    package static let linearCases: [ConformanceCase] = {
        var cases: [LinearCase] = []
        // Rows and columns around every tile edge.
        for m in [1, 2, 3, 4, 5, 6, 7, 11, 12, 13] {
            cases.append(LinearCase(m: m, k: 25, n: 50, hasBias: true, activation: .silu))
        }
        for n in [
            1, 3, 4, 5, 7, 8, 9, 15, 16, 17, 24, 25, 31, 32, 33, 40, 47, 48, 49, 57, 63, 64, 65, 72, 80, 127, 129,
        ] {
            cases.append(LinearCase(m: 7, k: 17, n: n, hasBias: true, activation: .silu, hasResidual: true))
            cases.append(LinearCase(m: 6, k: 5, n: n))
        }
        for k in [1, 2, 3, 15, 16, 31, 50, 64, 65, 256, 512] {
            cases.append(LinearCase(m: 3, k: k, n: 20, hasBias: true))
        }
        // Inputs.
        for input in [
            ConformanceInput.normalized(layerNorm), .normalized(affine), .normalized(rms), .normalized(l2),
            .gated(layerNorm), .gated(affine), .gated(rms), .gated(l2), .swiGLU,
        ] {
            for k in [1, 4, 16, 25, 50, 64, 100] {
                cases.append(LinearCase(m: 9, k: k, n: 33, input: input, hasBias: true))
            }
        }
        for norm in [layerNorm, affine, rms, l2] {
            for k in [3, 24, 75, 150] {
                cases.append(LinearCase(m: 9, k: k, n: 33, input: .concatenated(norm), hasResidual: true))
            }
        }
        // Activations, over the columns around a vector and with everything else that is fused.
        for activation in Activation.allCases {
            for n in [1, 15, 16, 17, 33, 64, 130] {
                cases.append(LinearCase(m: 7, k: 40, n: n, hasBias: true, activation: activation))
            }
            cases.append(
                LinearCase(
                    m: 13,
                    k: 64,
                    n: 40,
                    input: .normalized(affine),
                    hasBias: true,
                    activation: activation,
                    hasResidual: true,
                    isStrided: true
                )
            )
        }
        // The shapes of the models.
        cases.append(LinearCase(m: 70, k: 64, n: 192, input: .normalized(rms)))
        cases.append(LinearCase(m: 70, k: 256, n: 64, input: .swiGLU, hasResidual: true, isInPlace: true))
        cases.append(LinearCase(m: 3, k: 170, n: 64, input: .swiGLU, hasResidual: true, isStrided: true))
        cases.append(
            LinearCase(m: 70, k: 64, n: 256, input: .normalized(affine), hasBias: true, activation: .geluTanh)
        )
        cases.append(LinearCase(m: 70, k: 50, n: 200, input: .normalized(layerNorm), activation: .silu))
        cases.append(
            LinearCase(m: 70, k: 50, n: 50, input: .gated(layerNorm), hasBias: true, hasResidual: true, isInPlace: true)
        )
        cases.append(LinearCase(m: 13, k: 256, n: 256, input: .normalized(layerNorm), activation: .silu))
        // Layouts and types of weights in files.
        for layout in [LinearLayout.inputMajor, .outputMajor] {
            for dtype in [DType.float32, .float16, .bfloat16] {
                cases.append(LinearCase(m: 5, k: 19, n: 37, hasBias: true, layout: layout, dtype: dtype))
            }
            cases.append(
                LinearCase(
                    m: 5,
                    k: 19,
                    n: 90,
                    hasBias: true,
                    layout: layout,
                    columns: [60..<90, 0..<7, 20..<21, 30..<60]
                )
            )
        }
        // Views, shared memory, no rows.
        for m in [1, 8, 50] {
            cases.append(
                LinearCase(
                    m: m,
                    k: 30,
                    n: 45,
                    input: .gated(layerNorm),
                    hasBias: true,
                    activation: .silu,
                    hasResidual: true,
                    isStrided: true
                )
            )
            cases.append(LinearCase(m: m, k: 30, n: 45, hasResidual: true, isInPlace: true))
        }
        cases.append(LinearCase(m: 0, k: 8, n: 8))
        return cases.map { linearCase in
            ConformanceCase(linearCase.name, .linear) { (device, host) throws(ComputeError) in
                try linearCase.run(device, host)
            }
        }
    }()
}
