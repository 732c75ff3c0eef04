// How quality grows with size: the error 1 − q of a metric q falls as a power of the size, a straight line in
// logarithms (Kaplan et al., "Scaling Laws for Neural Language Models", 2020).

internal import Foundation

/// `error = coefficient · size ^ −exponent`.
package struct PowerLaw: Sendable, Equatable {
    package var exponent: Double
    package var coefficient: Double

    /// The least-squares fit in logarithms.
    ///
    /// - Parameters:
    ///   - sizes: above 0; the result is nil for fewer than two distinct sizes.
    ///   - errors: one per size; only those above 0 are used.
    init?(sizes: [Double], errors: [Double]) {
        let points = zip(sizes, errors).filter { $0 > 0 && $1 > 0 }.map { (x: log($0), y: log($1)) }
        let count = Double(points.count)
        guard points.count > 1 else { return nil }
        let meanX = points.reduce(0) { $0 + $1.x } / count
        let meanY = points.reduce(0) { $0 + $1.y } / count
        let spread = points.reduce(0) { $0 + ($1.x - meanX) * ($1.x - meanX) }
        guard spread > 1e-12 else { return nil }
        let slope = points.reduce(0) { $0 + ($1.x - meanX) * ($1.y - meanY) } / spread
        exponent = -slope
        coefficient = exp(meanY - slope * meanX)
    }

    /// The metric that the law predicts for a size.
    func quality(_ size: Double) -> Double { 1 - coefficient * pow(size, -exponent) }
}
