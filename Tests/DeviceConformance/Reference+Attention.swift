// Attention in double precision, one sequence at a time, with bounds on float32's errors.

internal import Compute
internal import Glibc

/// The relative bias of one sequence; `time` nil: positional only.
struct ReferenceBias {
    var position: [Float]
    var time: [Float]?
    var timestamps: [Int64]

    /// The bias of query row i and key row j.
    func value(_ i: Int, _ j: Int) -> Double {
        let place = Double(position[(position.count + 1) / 2 - 1 + j - i])
        guard let time else { return place }
        return place + Double(time[Reference.bucket(timestamps[i + 1], timestamps[j], count: time.count)])
    }
}

/// Query, key and value rows of one sequence, and the division of their columns into heads.
struct ReferenceSequence {
    var query: Matrix
    var key: Matrix
    var value: Matrix
    var heads: Int
    var keyHeads: Int
    var bias: ReferenceBias?
    var precision = Precision.float32

    var length: Int { query.rows }
    var queryColumns: Int { query.columns / heads }
    var valueColumns: Int { value.columns / keyHeads }

    /// q_i · k_j + b_ij of a query head, and the device's largest error.
    func score(_ i: Int, _ j: Int, head: Int) -> (value: Double, lost: Double) {
        var score = bias?.value(i, j) ?? 0
        var magnitude = abs(score)
        var products = 0.0
        let keyHead = head * keyHeads / heads
        for c in 0..<queryColumns {
            let product = Double(query[i, head * queryColumns + c]) * Double(key[j, keyHead * queryColumns + c])
            score += product
            magnitude += abs(product)
            products += abs(product)
        }
        // Both factors of a product are rounded.
        let rounded = products * 2.01 * precision.attentionUnit
        return (score, magnitude * (Double(queryColumns + 4) * Reference.unit + Rounding.product) + rounded)
    }

    /// Column c of a query head's value row j.
    func value(_ j: Int, _ c: Int, head: Int) -> Double {
        Double(value[j, head * keyHeads / heads * valueColumns + c])
    }
}

extension Reference {
    /// The time bucket of a difference in seconds, each step in float32 as the models were trained.
    static func bucket(_ from: Int64, _ to: Int64, count: Int) -> Int {
        let (difference, overflow) = from.subtractingReportingOverflow(to)
        let magnitude = overflow || difference == .min ? Int64.max : abs(difference)
        let x = Float(max(1, magnitude))
        return min(Int(Float(log(Double(x))) / Float(0.301)), count - 1)
    }

    /// HSTU attention of one sequence: all its rows.
    static func hstuAttention(_ sequence: ReferenceSequence, scale: Float) -> Expected {
        let (dv, heads) = (sequence.valueColumns, sequence.heads)
        var expected = Expected(rows: sequence.length, columns: heads * dv)
        for i in 0..<sequence.length {
            for head in 0..<heads {
                var sums = [Double](repeating: 0, count: dv)
                var magnitudes = sums
                var inherited = sums
                for j in 0...i {
                    let score = sequence.score(i, j, head: head)
                    let weight = silu(score.value)
                    // SiLU, and a rounded weight and value.
                    let relative = sequence.precision.siluTolerance + 2.01 * sequence.precision.attentionUnit
                    let lost = 1.1 * score.lost + relative * abs(weight) + Rounding.least
                    for c in 0..<dv {
                        let v = sequence.value(j, c, head: head)
                        sums[c] += weight * v
                        magnitudes[c] += abs(weight * v)
                        inherited[c] += lost * abs(v)
                    }
                }
                for c in 0..<dv {
                    let tolerance = magnitudes[c] * (Double(i + 4) * unit + Rounding.product) + inherited[c]
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

    /// Softmax attention of one sequence: all its rows.
    static func softmaxAttention(_ sequence: ReferenceSequence, scale: Float, firstRowWeight: Float) -> Expected {
        let (dv, heads, scale) = (sequence.valueColumns, sequence.heads, Double(scale))
        var expected = Expected(rows: sequence.length, columns: heads * dv)
        for i in 0..<sequence.length {
            for head in 0..<heads {
                let scores = (0...i).map { j in
                    let score = sequence.score(i, j, head: head)
                    let first = j == 0 ? Double(firstRowWeight) : 0
                    let value = scale * score.value + first
                    // The product and the sum round once each.
                    return (value: value, lost: abs(scale) * score.lost + 2 * unit * (abs(value) + abs(first)))
                }
                let most = scores.reduce(-Double.infinity) { max($0, $1.value) }
                let weights = scores.map { exp($0.value - most) }
                let total = weights.reduce(0, +)
                // An error of the exponent is a relative error of the weight; the difference to the maximum rounds, and
                // the exponential has some three roundings, once more for every block of keys that raised the maximum.
                let blocks = Double(i / 64 + 1)
                let rounded = 2.01 * sequence.precision.attentionUnit
                // With large scores the error of an exponent is no longer small against 1.
                let relative = scores.map {
                    let lost = $0.lost + (most - $0.value) * unit + 8 * unit * blocks
                    return rounded == 0 ? lost : expm1(lost) + rounded
                }
                let lostTotal = zip(weights, relative).reduce(0) { $0 + $1.0 * $1.1 } / total + Double(i + 4) * unit
                for c in 0..<dv {
                    var sum = 0.0
                    var magnitude = 0.0
                    var inherited = 0.0
                    for j in 0...i {
                        let product = weights[j] / total * sequence.value(j, c, head: head)
                        sum += product
                        magnitude += abs(product)
                        inherited +=
                            abs(product) * relative[j]
                            + Rounding.least * abs(sequence.value(j, c, head: head))
                    }
                    let tolerance = magnitude * (Double(i + 4) * unit + lostTotal + Rounding.product) + inherited
                    expected.set(i, head * dv + c, sum, within: tolerance + 0x1p-100)
                }
            }
        }
        return expected
    }
}
