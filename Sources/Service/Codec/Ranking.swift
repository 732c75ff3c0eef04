// The candidates of `POST /rank` as the caller named them, and how their scores are ordered in the reply.

package import Compute

/// Candidates in the caller's order, including repetitions.
package struct Ranking: Sendable, Equatable {
    /// The order of the reply's items.
    package enum Order: String, Sendable, CaseIterable {
        /// Best first, ties toward the smaller catalogue index. Unknown candidates are left out.
        case score
        /// The order of the candidates in the request.
        case request
    }

    package var order = Order.score
    /// How many of the best candidates to return; nil: all. Only for the order `score`.
    package var count: Int?
    /// The candidates' distinct rows in the order of their first mention, which the engine scores.
    package private(set) var rows: [Int32] = []
    /// Ids that the catalogue does not know, as JSON.
    package private(set) var unknown: [[UInt8]] = []
    /// Each candidate's index in `rows`, or the complement of its index in `unknown`.
    private var places: [Int32] = []
    private var placesByRow: [Int32: Int32] = [:]

    package init() {}

    /// The number of candidates, including repetitions and unknown ones.
    package var namedCount: Int { places.count }

    /// Adds a candidate that the catalogue knows.
    mutating func add(_ row: Int32) {
        let place = placesByRow[row] ?? Int32(rows.count)
        if Int(place) == rows.count {
            rows.append(row)
            placesByRow[row] = place
        }
        places.append(place)
    }

    /// Adds a candidate that the catalogue does not know.
    mutating func addUnknown(_ json: [UInt8]) {
        places.append(~Int32(unknown.count))
        unknown.append(json)
    }

    /// The reply's items. An unknown candidate has the complement of its index in `unknown` as its row, and NaN as its
    /// score.
    ///
    /// - Parameter scored: one score for each of `rows`, in that order.
    package func arranged(_ scored: [ScoredRow]) -> [ScoredRow] {
        var items = places.map { $0 < 0 ? ScoredRow(row: $0, score: .nan) : scored[Int($0)] }
        guard order == .score else { return items }
        items.removeAll { $0.row < 0 }
        items.sort { $0.score != $1.score ? $0.score > $1.score : $0.row < $1.row }
        if let count, count < items.count { items.removeLast(items.count - count) }
        return items
    }
}

/// Writes the ids of a reply's items: catalogue rows, and candidates that the catalogue does not know.
struct ItemWriter: Sendable {
    let ids: any ItemIDWriter & Sendable
    /// `Ranking.unknown`.
    var unknown: [[UInt8]] = []
    /// Whether the reply has each item's tokens.
    var includesTokens = false

    func appendID(ofRow row: Int32, to json: inout [UInt8]) {
        if row < 0 { json += unknown[Int(~row)] } else { ids.appendID(ofRow: row, to: &json) }
    }
}
