// Changes of catalogues larger than a word, a page or a group of simultaneous changes, against a plain reference.

import Foundation
import Random
import TestSupport
import Testing

@testable import Catalogue

@Suite struct ManyChangesTests {
    private struct Item: Equatable {
        var isAvailable = true
        var popularity = 0.0
        var tags: [String] = []
        var isAdded = false
    }

    private static let count = 700
    private static let tagNames = (0..<40).map { "t\($0)" } + ["new", "old", "genre:drama"]

    private static func makeBase() throws -> (snapshot: CatalogueSnapshot, items: [String: Item]) {
        var lines = ""
        var items: [String: Item] = [:]
        for row in 1...count {
            let item = Item(popularity: Double(row % 97), tags: ["t\(row % 40)"])
            lines +=
                "{\"index\":\(row),\"id\":\"item-\(row)\",\"tags\":[\"t\(row % 40)\"],\"popularity\":\(row % 97)}\n"
            items["item-\(row)"] = item
        }
        let catalogue = try Array(lines.utf8).withUnsafeBytes {
            try Catalogue(reading: $0, path: "c", rowCount: count + 1)
        }
        let table = ItemTable(rows: count + 1, width: 2) { [Float($0), 1] }
        return (CatalogueSnapshot(catalogue, extensibility: .by(table)), items)
    }

    private static func content(_ catalogue: CatalogueSnapshot) -> [String: Item] {
        var items: [String: Item] = [:]
        for row in 1..<Int32(64 * catalogue.presentMask.count) where catalogue.contains(row) {
            items[catalogue.idDescription(row)] = Item(
                isAvailable: catalogue.isAvailable(row),
                popularity: catalogue.popularity(row),
                tags: catalogue.tags(row).map { catalogue.tagName($0) },
                isAdded: catalogue.isAdded(row)
            )
        }
        return items
    }

    private static func check(_ catalogue: CatalogueSnapshot, _ items: [String: Item]) throws {
        try #require(content(catalogue) == items)
        let rows = items.keys.compactMap { catalogue.row(of: $0) }
        try #require(rows.count == items.count)
        let order = rows.sorted { left, right in
            let (first, second) = (catalogue.popularity(left), catalogue.popularity(right))
            return first != second ? first > second : left < right
        }
        try #require(catalogue.popularityOrder == order)
        for name in tagNames {
            var tagged: Set<String> = []
            if let tag = catalogue.tag(of: name) {
                catalogue.forEachRow(withTag: tag) { tagged.insert(catalogue.idDescription($0)) }
            }
            try #require(tagged == Set(items.filter { $0.value.tags.contains(name) }.keys), "\(name)")
        }
    }

    private static func anyChange(_ random: inout SplitMix64) -> CatalogueChange {
        let isNew = random.below(3) == 0
        var change = CatalogueChange(item: isNew ? "new-\(random.below(1_400))" : "item-\(random.below(count) + 1)")
        if isNew, random.below(8) != 0 {
            let source: AddedItem.Source =
                random.below(2) == 0 ? .embedding([Float(random.below(3)), 0]) : .like(["item-\(random.below(3) + 1)"])
            change.added = AddedItem(source, title: random.below(2) == 0 ? "A title" : nil)
        } else if random.below(6) == 0 {
            change.resets = true
            return change
        }
        if random.below(2) == 0 { change.popularity = Double(random.below(120)) }
        if random.below(3) == 0 { change.available = random.below(2) == 0 }
        if random.below(3) == 0 {
            change.tags = Array(Set((0..<random.below(3)).map { _ in tagNames[random.below(tagNames.count)] })).sorted()
        }
        return change
    }

    private static func apply(_ change: CatalogueChange, to items: inout [String: Item], _ base: [String: Item]) {
        var item = items[change.item]
        if change.resets { item = base[change.item] }
        if change.added != nil, item == nil { item = Item(isAdded: true) }
        if let available = change.available { item?.isAvailable = available }
        if let popularity = change.popularity { item?.popularity = popularity }
        if let tags = change.tags { item?.tags = tags }
        items[change.item] = item
    }

    /// Single changes and hundreds together, with a restart after each round. A request that started with an earlier
    /// state keeps it.
    @Test(arguments: 1...4 as ClosedRange<UInt64>) func anything_EqualsTheReference(seed: UInt64) throws {
        var random = SplitMix64(seed: seed)
        let folder = try TemporaryDirectory(inMemory: true)
        let base = try Self.makeBase()
        var reference = base.items
        var store = try CatalogueStore(directory: folder.path)
        var now = store.snapshot(of: base.snapshot)
        for round in 0..<6 {
            let (before, earlier) = (now, reference)
            for size in [1, 1, 2, 1, 600, 1, 3, 1, 130] {
                let changes = (0..<size).map { _ in Self.anyChange(&random) }
                _ = try store.apply(changes, current: { [now] }, publish: { now = $0[0] })
                for change in changes { Self.apply(change, to: &reference, base.items) }
                try Self.check(now, reference)
            }
            try Self.check(before, earlier)
            if round == 3 { try store.compact() }
            store = try CatalogueStore(directory: folder.path)
            now = store.snapshot(of: try Self.makeBase().snapshot)
            try Self.check(now, reference)
        }
        #expect(now.addedCount > 512)
    }
}
