// The recommended lists of all users together: how much of the catalogue they cover, and how much they differ.

/// Counts how often each item is at the top of a user's list; a pure value.
package struct RecommendedLists: Sendable {
    /// The number of items per list that count.
    package static let length = 10

    private var users = 0
    private var items = 0
    private var timesByRow: [Int32: Int] = [:]
    private let catalogueCount: Int

    /// - Parameter catalogueCount: number of items that can be recommended.
    init(catalogueCount: Int) { self.catalogueCount = catalogueCount }

    /// Counts a user's list, best first.
    mutating func add(_ rows: some Sequence<Int32>) {
        users += 1
        for row in rows.prefix(Self.length) {
            items += 1
            timesByRow[row, default: 0] += 1
        }
    }

    /// The share of the catalogue that occurs in at least one list.
    package var coverage: Double { catalogueCount > 0 ? Double(timesByRow.count) / Double(catalogueCount) : 0 }

    /// The mean share of a user's list that is not in another user's list, over all pairs of users: 0 if all lists are
    /// equal, 1 if no two share an item (inter-user diversity; Zhou et al., PNAS 107, 2010).
    package var diversity: Double {
        guard users > 1, items > 0 else { return 0 }
        // An item in the lists of c users is shared by c (c − 1) ordered pairs.
        let shared = timesByRow.values.reduce(0.0) { $0 + Double($1) * Double($1 - 1) }
        let length = Double(items) / Double(users)
        return 1 - shared / (Double(users) * Double(users - 1) * length)
    }
}
