// The candidates of `POST /rank` as the caller named them, and how their scores are laid out for the reply.

package import Compute

/// Candidates in the caller's order, each as often as it was named.
package struct Ranking: Sendable, Equatable {
    /// The order of the reply's items.
    package enum Order: String, Sendable, CaseIterable {
        /// Best first, ties toward the smaller catalogue index; unknown candidates are left out.
        case score
        /// The candidates' own.
        case request
    }

    package var order = Order.score
    /// How many of the best to return; nil: all. Only for the order `score`.
    package var count: Int?
    /// Different rows among the candidates, in the order of their first mention: what the engine scores.
    package private(set) var rows: [Int32] = []
    /// Ids that the catalogue does not know, as JSON.
    package private(set) var unknown: [[UInt8]] = []
    /// Each candidate's place in `rows`, or the complement of its place in `unknown`.
    private var places: [Int32] = []
    private var placesByRow: [Int32: Int32] = [:]

    package init() {}

    /// How many candidates were named.
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

    /// Adds a candidate that it does not know.
    mutating func addUnknown(_ json: [UInt8]) {
        places.append(~Int32(unknown.count))
        unknown.append(json)
    }

    /// The reply's items. An unknown candidate has the complement of its place in `unknown` as its row, and a score that is no
    /// number.
    ///
    /// - Parameter scored: one for each of `rows`, in their order.
    package func arranged(_ scored: [ScoredRow]) -> [ScoredRow] {
        var items = places.map { $0 < 0 ? ScoredRow(row: $0, score: .nan) : scored[Int($0)] }
        guard order == .score else { return items }
        items.removeAll { $0.row < 0 }
        items.sort { $0.score != $1.score ? $0.score > $1.score : $0.row < $1.row }
        if let count, count < items.count { items.removeLast(items.count - count) }
        return items
    }
}

/// Writes the ids of a reply's items: of catalogue rows, and of candidates that the catalogue does not know.
struct ItemWriter: Sendable {
    let ids: any ItemIDWriter & Sendable
    /// Those of `Ranking.unknown`.
    var unknown: [[UInt8]] = []
    /// Whether the tokens of items are written, too.
    var includesTokens = false

    func appendID(ofRow row: Int32, to json: inout [UInt8]) {
        if row < 0 { json += unknown[Int(~row)] } else { ids.appendID(ofRow: row, to: &json) }
    }
}
