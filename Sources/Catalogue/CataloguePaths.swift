// Catalogues of models with semantic ids: each item has a path of tokens, and its index is not a row of a table but its
// number, 1, 2, 3 … without gaps.

package import Files
internal import JSON

/// The rules for the paths of a catalogue.
package struct PathRules: Sendable {
    /// Tokens of each path.
    package let levels: Int
    /// Every token is less.
    package let vocabulary: Int
    /// The tokens allowed on each level; nil: any.
    package let ranges: [Range<Int>]?

    package init(levels: Int, vocabulary: Int, ranges: [Range<Int>]?) {
        self.levels = levels
        self.vocabulary = vocabulary
        self.ranges = ranges
    }

    /// What is wrong with a path; nil: it is valid.
    package func fault(_ path: some Collection<Int32>) -> String? {
        guard path.count == levels else { return "a path of \(path.count) tokens, but there are \(levels) levels" }
        for (level, token) in path.enumerated() {
            guard token >= 0, Int(token) < vocabulary else {
                return "token \(token) is outside the vocabulary of \(vocabulary) rows"
            }
            if let ranges, !ranges[level].contains(Int(token)) {
                return "token \(token) does not belong to level \(level + 1), which has \(ranges[level].lowerBound) to "
                    + "\(ranges[level].upperBound - 1)"
            }
        }
        return nil
    }
}

/// An item of a catalogue built in memory.
package struct CatalogueItem: Sendable {
    package enum ID: Sendable, Equatable {
        case integer(Int64)
        case string(String)
    }

    package let id: ID
    package let title: String?
    /// Its path; empty if items have no paths.
    package let tokens: [Int32]

    package init(id: ID, title: String?, tokens: [Int32]) {
        self.id = id
        self.title = title
        self.tokens = tokens
    }
}

extension Catalogue {
    /// The catalogue of these items; the first has index 1.
    ///
    /// - Throws: `FileError.malformed` that names `path`, for a duplicate id or one of another type than the first.
    package convenience init(items: [CatalogueItem], levels: Int, path: String) throws(FileError) {
        var builder = CatalogueBuilder(rowCount: items.count + 1, levels: levels)
        var line = CatalogueLine()
        for (index, item) in items.enumerated() {
            line.clear()
            line.index = Int64(index + 1)
            switch item.id {
            case .integer(let id): line.id = .integer(id)
            case .string(let id):
                line.id = .string
                line.idText = Array(id.utf8)
            }
            if let title = item.title {
                line.hasTitle = true
                line.title = Array(title.utf8.prefix(CatalogueBuilder.Limit.titleBytes))
            }
            line.tokens = item.tokens
            do throws(JSONError) {
                try builder.add(line, number: index + 1)
            } catch {
                throw FileError(.malformed, "\(path): item \(index + 1): \(error)")
            }
        }
        self.init(builder)
    }
}
