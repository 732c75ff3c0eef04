// Limits how many similar items a reply has: going down the ranking, an item is skipped if one of its tags has reached
// the limit.

/// A limit on the items per tag.
package struct Diversity: Sendable, Equatable {
    /// The most items per tag in a reply, at least 1.
    package var maxPerTag: Int
    /// Only tags with this prefix count; nil: all.
    package var prefix: String?

    package init(maxPerTag: Int, prefix: String? = nil) {
        self.maxPerTag = maxPerTag
        self.prefix = prefix
    }
}

/// The tag counts of a reply. A pure value.
package struct TagQuota: Sendable {
    private let diversity: Diversity
    private let catalogue: CatalogueSnapshot
    private var counts: [Int32: Int] = [:]

    package init(_ diversity: Diversity, _ catalogue: CatalogueSnapshot) {
        self.diversity = diversity
        self.catalogue = catalogue
    }

    /// Takes the next item of the ranking if no tag of it has reached the limit.
    package mutating func takes(_ row: Int32) -> Bool {
        let tags = catalogue.tags(row).filter { counts($0) }
        guard tags.allSatisfy({ counts[$0, default: 0] < diversity.maxPerTag }) else { return false }
        for tag in tags { counts[tag, default: 0] += 1 }
        return true
    }

    /// The tags that have reached the limit, in no order.
    package var usedUpTags: [Int32] { counts.compactMap { $1 >= diversity.maxPerTag ? $0 : nil } }

    private func counts(_ tag: Int32) -> Bool {
        diversity.prefix.map { catalogue.tagName(tag).utf8.starts(with: $0.utf8) } ?? true
    }
}
