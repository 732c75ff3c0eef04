// Facts about a catalogue's semantic ids, for people: a wrong index or template is obvious here.

package import Catalogue
package import JSON

/// How items share path prefixes, and an example of the template.
package struct SemanticIDSummary: Sendable, Equatable {
    package let levels: Int
    package let items: Int
    /// Distinct paths.
    package let paths: Int
    /// The most items that share one path.
    package let largestPath: Int
    /// Distinct prefixes of 1, 2, … tokens.
    package let prefixes: [Int]
    /// The template's prompt for a history of the first three items.
    package let example: [Int32]
    /// Bytes of the trie that searches keep in memory.
    package let trieBytes: Int

    /// - Parameter trie: the paths of all items.
    package init(_ trie: PathTrie, template: SemanticIDs.Template) {
        levels = trie.levels
        items = trie.itemCount
        paths = trie.pathCount
        largestPath = trie.largestPath
        prefixes = (0..<trie.levels).map { trie.count(level: $0) }
        example = template.prompt((0..<min(3, trie.itemCount)).map { trie.path(of: Int32($0) + 1) })
        trieBytes = trie.byteCount
    }

    /// Items that share a path with an earlier one.
    package var duplicates: Int { items - paths }

    /// Average children per node: of the root, then of prefixes of 1, 2, … tokens.
    package var fanOut: [Double] {
        zip([1] + prefixes, prefixes).map { $0 > 0 ? Double($1) / Double($0) : 0 }
    }

    /// The facts as lines; the last one ends with a newline.
    package var text: String {
        """
        semantic ids: \(levels) levels, \(items) items on \(paths) paths, \(duplicates) share a path with another, \
        at most \(largestPath) share one
        beginnings by level: \(prefixes.map(String.init).joined(separator: ", "))
        a history of three items is laid out as \(exampleText)

        """
    }

    /// The example, its tokens separated by spaces.
    var exampleText: String { example.map(String.init).joined(separator: " ") }

    /// As members of an object.
    package var members: [JSONMember] {
        [
            JSONMember("levels", .integer(levels)), JSONMember("items", .integer(items)),
            JSONMember("paths", .integer(paths)), JSONMember("duplicates", .integer(duplicates)),
            JSONMember("largest_path", .integer(largestPath)),
            JSONMember("prefixes", .array(prefixes.map { .integer($0) })),
            JSONMember("fan_out", .array(fanOut.map { .real($0) })),
            JSONMember("trie_bytes", .integer(trieBytes)),
            JSONMember("example", .array(example.map { .integer(Int($0)) })),
        ]
    }
}
