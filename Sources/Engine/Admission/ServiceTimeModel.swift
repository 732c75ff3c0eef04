// Predicts the time of a batch from observed batches; admission compares deadlines with it.

/// The work of a batch in the terms that determine its time. Values can be added.
package struct ComputeWork: Sendable, Equatable {
    /// Rows that go through the layers: new events.
    package var rows = 0
    /// Query rows times the rows each of them attends to.
    package var pairs = 0
    /// Selections from the catalogue.
    package var queries = 0

    package init() {}

    /// The work of some rows of one history, each of which attends to all rows before it and to itself.
    ///
    /// - Parameter scans: catalogue scans requested after the last row.
    package init(rows range: Range<Int>, scans: Int) {
        rows = range.count
        pairs = (range.lowerBound + 1 + range.upperBound) * range.count / 2
        queries = scans
    }

    package static func + (left: ComputeWork, right: ComputeWork) -> ComputeWork {
        var sum = left
        sum += right
        return sum
    }

    package static func += (left: inout ComputeWork, right: ComputeWork) {
        left.rows += right.rows
        left.pairs += right.pairs
        left.queries += right.queries
    }

    /// The proportional share of `taken` of the `needed` rows. Selections belong to the last row.
    func share(_ taken: Int, of needed: Int) -> ComputeWork {
        guard taken < needed, needed > 0 else { return self }
        var share = self
        share.rows = rows * taken / needed
        share.pairs = Int(Double(pairs) * Double(taken) / Double(needed))
        share.queries = 0
        return share
    }
}

/// The time of a batch as `scale · (c₀ + c₁ · rows + c₂ · pairs + c₃ · queries)`. A pure value.
///
/// The coefficients are the non-negative weighted least squares fit to the observations. Each batch is weighted by the
/// inverse square of its time, so that relative errors count, and small batches as much as large ones. Warm-up batches
/// have shapes that separate the terms, and are never forgotten. Batches of service may all have one shape for hours
/// and say nothing about others, so they lose weight by a factor with each later batch (exponential forgetting: Ljung,
/// "System Identification", 11.2). `scale` follows the machine's current speed within a few batches.
package struct ServiceTimeModel: Sendable, Equatable {
    /// A batch of service counts half as much after some 140 later ones.
    private static let forgetting = 0.995
    /// Weight of a new batch in `scale`.
    private static let scaleWeight = 0.2
    private static let spreadWeight = 0.02
    /// Limit of the ratio between a batch's observed and predicted time; beyond it the process was stopped for a while,
    /// or the clock jumped.
    private static let outlier = 4.0
    /// The part of the difference that `scale` does not explain moves the coefficients by at most this much, so that a
    /// change of speed is not mistaken for a change of shape before `scale` has followed it.
    private static let residue = 1.2
    private static let sweeps = 32

    /// Sums over observations of wxxᵀ and wxt: four rows and a column.
    private struct Moments: Sendable, Equatable {
        var matrix = [SIMD4<Double>](repeating: .zero, count: 4)
        var vector = SIMD4<Double>.zero

        mutating func add(_ features: SIMD4<Double>, nanoseconds: Double) {
            let weighted = features / (nanoseconds * nanoseconds)
            for row in 0..<4 { matrix[row] += features[row] * weighted }
            vector += weighted * nanoseconds
        }

        mutating func forget() {
            for row in 0..<4 { matrix[row] *= ServiceTimeModel.forgetting }
            vector *= ServiceTimeModel.forgetting
        }
    }

    private var calibrated = Moments()
    private var observed = Moments()
    private var coefficients = SIMD4<Double>.zero
    private var scale = 1.0
    private var hasObservations = false
    /// Moving average of the relative error of predictions; at most 1.
    private var spread = 0.0

    package init() {}

    /// Records a batch of the warm-up.
    package mutating func calibrate(_ work: ComputeWork, nanoseconds: UInt64) {
        calibrated.add(Self.features(work), nanoseconds: max(1, Double(nanoseconds)))
        hasObservations = true
        fit()
    }

    /// Records a batch of service.
    package mutating func observe(_ work: ComputeWork, nanoseconds: UInt64) {
        let features = Self.features(work)
        let nominal = (coefficients * features).sum()
        var time = max(1, Double(nanoseconds))
        if hasObservations, nominal > 0 {
            let expected = scale * nominal
            time = min(max(time, expected / Self.outlier), expected * Self.outlier)
            spread += Self.spreadWeight * (min(1, abs(time / expected - 1)) - spread)
            scale += Self.scaleWeight * (time / nominal - scale)
            time = min(max(time / scale, nominal / Self.residue), nominal * Self.residue)
        }
        hasObservations = true
        observed.forget()
        observed.add(features, nanoseconds: time)
        fit()
    }

    /// Predicted nanoseconds of a batch; 0 while nothing has been observed, so that no request is refused on a guess.
    package func nanoseconds(_ work: ComputeWork) -> UInt64 { nanoseconds(work, batches: 1) }

    /// Predicted nanoseconds of this many batches with this total work.
    package func nanoseconds(_ work: ComputeWork, batches: Int) -> UInt64 {
        var features = Self.features(work)
        features[0] = Double(batches)
        let nanoseconds = scale * (coefficients * features).sum()
        return nanoseconds < Double(UInt64.max) / 4 ? UInt64(max(0, nanoseconds).rounded()) : .max / 4
    }

    /// A time that is seldom exceeded, given the expected `nanoseconds`: longer by twice the average error.
    package func cautious(_ nanoseconds: UInt64) -> UInt64 {
        UInt64((Double(min(nanoseconds, .max / 8)) * (1 + 2 * spread)).rounded())
    }

    /// Predicted nanoseconds of a batch that do not depend on its content.
    package var fixedNanoseconds: UInt64 { nanoseconds(ComputeWork(), batches: 1) }

    private static func features(_ work: ComputeWork) -> SIMD4<Double> {
        SIMD4(1, Double(work.rows), Double(work.pairs), Double(work.queries))
    }

    /// Non-negative least squares by coordinate descent, starting from the previous coefficients: each in turn takes
    /// its best value given the others, clipped at 0. The problem is convex, so only the optimum is a fixed point.
    private mutating func fit() {
        for _ in 0..<Self.sweeps {
            for row in 0..<4 {
                let line = calibrated.matrix[row] + observed.matrix[row]
                guard line[row] > 0 else { continue }
                let rest = calibrated.vector[row] + observed.vector[row] - (line * coefficients).sum()
                coefficients[row] = max(0, coefficients[row] + rest / line[row])
            }
        }
    }
}
