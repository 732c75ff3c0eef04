// The operations in double precision, straight from their formulas, each with a bound on what float32 may lose: the
// number of roundings times the unit of rounding times the sum of the magnitudes that were added.

internal import Compute
internal import Glibc

/// Half a unit in the last place of 1 in float32.
private let unit = 0x1p-24

enum Reference {
    static func silu(_ x: Double) -> Double { x / (1 + exp(-x)) }

    /// The rows of a matrix, normalised.
    static func normalized(_ input: Matrix, _ normalization: Normalization) -> [[Double]] {
        (0..<input.rows).map { row in
            let x = input.row(row).map(Double.init)
            switch normalization {
            case .layerNorm(let epsilon):
                let mean = x.reduce(0, +) / Double(x.count)
                let variance = x.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(x.count)
                return x.map { ($0 - mean) / (variance + Double(epsilon)).squareRoot() }
            case .l2(let epsilon):
                let length = x.reduce(0) { $0 + $1 * $1 }.squareRoot()
                return x.map { $0 / max(length, Double(epsilon)) }
            }
        }
    }

    static func normalize(_ input: Matrix, _ normalization: Normalization) -> Expected {
        var expected = Expected(rows: input.rows, columns: input.columns)
        for (row, values) in normalized(input, normalization).enumerated() {
            for (column, value) in values.enumerated() {
                expected.set(row, column, value, within: normTolerance(of: input, row: row, normalization))
            }
        }
        return expected
    }

    /// What one normalised element may be off by: the mean and the variance each lose some roundings of the largest
    /// element, and the mean's loss is divided by the deviation.
    private static func normTolerance(of input: Matrix, row: Int, _ normalization: Normalization) -> Double {
        let x = input.row(row).map(Double.init)
        let largest = x.reduce(0) { max($0, abs($1)) }
        let lost = (Double(x.count).squareRoot() + 8) * unit
        switch normalization {
        case .layerNorm(let epsilon):
            let mean = x.reduce(0, +) / Double(x.count)
            let variance = x.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(x.count)
            let deviation = (variance + Double(epsilon)).squareRoot()
            return lost * (4 * largest / deviation + 4)
        case .l2:
            return lost * 4
        }
    }

    /// `activation(rows · weights + bias) + residual`; `rows` may be off by `inputTolerance` an element.
    static func linear(
        rows: [[Double]],
        inputTolerance: [Double],
        weights: Matrix,
        bias: [Float]?,
        activation: Activation,
        residual: Matrix?
    ) -> Expected {
        var expected = Expected(rows: rows.count, columns: weights.columns)
        for (row, x) in rows.enumerated() {
            for column in 0..<weights.columns {
                var sum = bias.map { Double($0[column]) } ?? 0
                var magnitude = abs(sum)
                var inherited = 0.0
                for k in 0..<weights.rows {
                    let weight = Double(weights[k, column])
                    sum += x[k] * weight
                    magnitude += abs(x[k] * weight)
                    inherited += abs(weight) * inputTolerance[row]
                }
                var tolerance = magnitude * Double(weights.rows + 4) * unit + inherited
                var value = sum
                if activation == .silu {
                    // The derivative of SiLU is below 1.1.
                    value = silu(sum)
                    tolerance = 1.1 * tolerance + 8 * unit * abs(value) + 0x1p-120
                }
                if let residual {
                    value += Double(residual[row, column])
                    tolerance += 2 * unit * (abs(value) + abs(Double(residual[row, column])))
                }
                expected.set(row, column, value, within: tolerance)
            }
        }
        return expected
    }

    /// The rows that a projection sees, and what each element may be off by.
    static func projected(
        _ input: ConformanceInput,
        values: Matrix,
        gate: Matrix
    ) -> (rows: [[Double]], tolerance: [Double]) {
        func tolerances(_ norm: Normalization, _ factor: Double) -> [Double] {
            (0..<values.rows).map { normTolerance(of: values, row: $0, norm) * factor }
        }
        switch input {
        case .plain:
            return (
                (0..<values.rows).map { values.row($0).map(Double.init) }, [Double](repeating: 0, count: values.rows)
            )
        case .normalized(let norm):
            return (normalized(values, norm), tolerances(norm, 1))
        case .gated(let norm):
            let rows = normalized(values, norm).enumerated().map { row, x in
                x.enumerated().map { $1 * Double(gate[row, $0]) }
            }
            return (rows, tolerances(norm, 2))
        case .concatenated(let norm):
            let rows = normalized(values, norm).enumerated().map { row, x in
                gate.row(row).map(Double.init) + x + x.enumerated().map { $1 * Double(gate[row, $0]) }
            }
            return (rows, tolerances(norm, 2))
        }
    }

    /// The time bucket of a difference in seconds, each step in float32 as the models were trained.
    static func bucket(_ from: Int64, _ to: Int64, count: Int) -> Int {
        let (difference, overflow) = from.subtractingReportingOverflow(to)
        let magnitude = overflow || difference == .min ? Int64.max : abs(difference)
        let x = Float(max(1, magnitude))
        return min(Int(Float(log(Double(x))) / Float(0.301)), count - 1)
    }

    /// HSTU attention of one sequence: all its rows.
    static func attention(
        query: Matrix,
        key: Matrix,
        value: Matrix,
        heads: Int,
        scale: Float,
        bias: (position: [Float], time: [Float], timestamps: [Int64])?
    ) -> Expected {
        let (n, dqk, dv) = (query.rows, query.columns / heads, value.columns / heads)
        var expected = Expected(rows: n, columns: value.columns)
        for i in 0..<n {
            for head in 0..<heads {
                var sums = [Double](repeating: 0, count: dv)
                var magnitudes = sums
                var inherited = sums
                for j in 0...i {
                    var score = 0.0
                    var magnitude = 0.0
                    if let bias {
                        let reach = (bias.position.count + 1) / 2
                        let bucket = bucket(bias.timestamps[i + 1], bias.timestamps[j], count: bias.time.count)
                        score = Double(bias.position[reach - 1 + j - i]) + Double(bias.time[bucket])
                        magnitude = abs(score)
                    }
                    for c in 0..<dqk {
                        let product =
                            Double(query[i, head * dqk + c]) * Double(key[j, head * dqk + c])
                        score += product
                        magnitude += abs(product)
                    }
                    let weight = silu(score)
                    let lost = 1.1 * magnitude * Double(dqk + 4) * unit + 8 * unit * abs(weight)
                    for c in 0..<dv {
                        let v = Double(value[j, head * dv + c])
                        sums[c] += weight * v
                        magnitudes[c] += abs(weight * v)
                        inherited[c] += lost * abs(v)
                    }
                }
                for c in 0..<dv {
                    let tolerance = magnitudes[c] * Double(i + 4) * unit + inherited[c]
                    expected.set(
                        i,
                        head * dv + c,
                        sums[c] * Double(scale),
                        within: tolerance * abs(Double(scale)) + 0x1p-126
                    )
                }
            }
        }
        return expected
    }
}

/// The kinds of input of a projection, without their tensors.
enum ConformanceInput: Sendable, CustomStringConvertible {
    case plain
    case normalized(Normalization)
    case gated(Normalization)
    case concatenated(Normalization)

    var description: String {
        switch self {
        case .plain: "plain"
        case .normalized(.layerNorm): "layer-normed"
        case .normalized(.l2): "l2-normed"
        case .gated(.layerNorm): "gated"
        case .gated(.l2): "gated l2"
        case .concatenated(.layerNorm): "concatenated"
        case .concatenated(.l2): "concatenated l2"
        }
    }
}
