// Finds items by what people type: words of titles, or ids.

extension CatalogueSnapshot {
    /// The items whose title has, for each word of `text`, a word with that prefix, or whose id has the prefix `text`,
    /// ignoring case. The most popular come first.
    package func find(_ text: String, limit: Int) -> [Int32] {
        let text = text.lowercased()
        let words = Self.words(text[...])
        var found: [Int32] = []
        for row in popularityOrder where found.count < limit {
            if idDescription(row).lowercased().hasPrefix(text) {
                found.append(row)
            } else if !words.isEmpty, let title = title(row) {
                let own = Self.words(title.lowercased()[...])
                if words.allSatisfy({ word in own.contains { $0.hasPrefix(word) } }) { found.append(row) }
            }
        }
        return found
    }

    private static func words(_ text: Substring) -> [Substring] {
        text.split { !($0.isLetter || $0.isNumber) }
    }
}
