// Catalogues that change: snapshots against a plain reference, and what a journal has of them after crashes.

import Compute
import Files
import Foundation
import Random
import TestSupport
import Testing

@testable import Catalogue

private let lines = """
    {"index":1,"id":"a","title":"Red Shoes","tags":["x","y"],"popularity":5}
    {"index":2,"id":"b","title":"Blue shoe","tags":["x"],"popularity":7}
    {"index":3,"id":"c","tags":["z"],"popularity":5}
    {"index":4,"id":"d","popularity":1}
    {"index":6,"id":"17","tags":["y"]}
    """

private func items(_ text: String = lines) throws -> Catalogue {
    try Array(text.utf8).withUnsafeBytes { try Catalogue(reading: $0, path: "c.jsonl", rowCount: 8) }
}

private func change(
    _ item: String,
    available: Bool? = nil,
    tags: [String]? = nil,
    popularity: Double? = nil,
    resets: Bool = false
) -> CatalogueChange {
    var change = CatalogueChange(item: item)
    change.available = available
    change.tags = tags
    change.popularity = popularity
    change.resets = resets
    return change
}

/// What a snapshot says of every item.
private struct Content: Equatable {
    struct Item: Equatable {
        var available: Bool
        var tags: Set<String>
        var popularity: Double
    }

    var items: [String: Item] = [:]

    init() {}

    init(_ catalogue: CatalogueSnapshot) {
        for row in 1..<Int32(catalogue.items.rowCount) where catalogue.items.contains(row) {
            items[catalogue.idDescription(row)] = Item(
                available: catalogue.isAvailable(row),
                tags: Set(catalogue.tags(row).map { catalogue.tagName($0) }),
                popularity: catalogue.popularity(row)
            )
        }
    }

    mutating func apply(_ change: CatalogueChange, _ base: Content) {
        if change.resets { items[change.item] = base.items[change.item] }
        if let available = change.available { items[change.item]?.available = available }
        if let tags = change.tags { items[change.item]?.tags = Set(tags) }
        if let popularity = change.popularity { items[change.item]?.popularity = popularity }
    }
}

/// A store with the one catalogue that it is about.
private final class Served {
    let store: CatalogueStore
    var catalogue: CatalogueSnapshot

    init(_ directory: String?, _ items: Catalogue) throws {
        store = try CatalogueStore(directory: directory)
        catalogue = store.snapshot(of: items)
    }

    @discardableResult
    func apply(_ changes: [CatalogueChange]) throws -> ChangeOutcome {
        try store.apply(changes, current: { [catalogue] }, publish: { catalogue = $0[0] })
    }
}

@Suite struct CatalogueChangesTests {
    @Test func changes_AreSeenByFiltersPopularityAndSearch() throws {
        let served = try Served(nil, try items())
        let before = served.catalogue
        let outcome = try served.apply([
            change("a", available: false), change("nothing", available: false), change("c", popularity: 9),
            change("d", tags: ["x", "new"]), change("b", tags: []),
        ])
        #expect(outcome.changed == 4 && outcome.unknown == 1 && outcome.unknownItems == ["nothing"])
        #expect(outcome.revision == 1 && !outcome.isPersisted)
        let now = served.catalogue
        #expect(now.popularityOrder == [3, 2, 1, 4, 6])
        #expect(now.mostPopular(9, Eligibility()).map(\.row) == [3, 2, 4, 6])
        #expect(now.unavailableCount == 1 && now.changedCount == 4)
        var onlyX = Eligibility()
        onlyX.allowance = Eligibility.Allowance(rows: [1], tags: [try #require(now.tag(of: "x"))])
        #expect(now.mostPopular(9, onlyX).map(\.row) == [4])
        var notNew = Eligibility()
        notNew.excludedTags = [try #require(now.tag(of: "new"))]
        #expect(now.mostPopular(9, notNew).map(\.row) == [3, 2, 6])
        #expect(now.find("shoe", limit: 9) == [2, 1])
        #expect(now.find("1", limit: 9) == [6])
        #expect(now.find("RED sh", limit: 9) == [1])
        // Who began with the old state keeps it.
        #expect(before.mostPopular(9, Eligibility()).map(\.row) == [2, 1, 3, 4, 6])
        #expect(before.tag(of: "new") == nil && before.tags(2).count == 1)
        try served.apply(["a", "b", "c", "d"].map { change($0, resets: true) })
        #expect(Content(served.catalogue) == Content(before))
        #expect(served.catalogue.available == nil && served.catalogue.changedCount == 0)
        #expect(served.catalogue.popularityOrder == before.popularityOrder)
        #expect(!served.catalogue.isSame(as: before))
    }

    private static func anyChange(_ random: inout SplitMix64) -> CatalogueChange {
        let item = ["a", "b", "c", "d", "17"][random.below(5)]
        switch random.below(5) {
        case 0: return change(item, resets: true)
        case 1:
            return change(item, tags: (0..<random.below(3)).map { _ in ["x", "y", "z", "n", "m"][random.below(5)] })
        case 2: return change(item, popularity: Double(random.below(8)))
        case 3: return change(item, available: random.below(2) == 0, tags: ["x"])
        default: return change(item, available: random.below(3) == 0)
        }
    }

    /// Changes, compaction and restarts against the reference.
    @Test(arguments: 1...6 as ClosedRange<UInt64>)
    func anything_EqualsTheReference(seed: UInt64) throws {
        var random = SplitMix64(seed: seed)
        let folder = try TemporaryDirectory(inMemory: true)
        let items = try items()
        var served = try Served(folder.path, items)
        let base = Content(served.catalogue)
        var reference = base
        for _ in 0..<200 {
            switch random.below(12) {
            case 0: try served.store.compact()
            case 1: served = try Served(folder.path, items)
            default:
                let changes = (0..<random.below(4)).map { _ in Self.anyChange(&random) }
                try served.apply(changes)
                for change in changes { reference.apply(change, base) }
            }
            let catalogue = served.catalogue
            try #require(Content(catalogue) == reference)
            let rows = (1...Int32(6)).filter { items.contains($0) }
            let order = rows.sorted { left, right in
                let (first, second) = (catalogue.popularity(left), catalogue.popularity(right))
                return first != second ? first > second : left < right
            }
            try #require(catalogue.popularityOrder == order)
            for name in ["x", "y", "z", "n", "m"] {
                guard let tag = catalogue.tag(of: name) else { continue }
                var tagged: [Int32] = []
                catalogue.forEachRow(withTag: tag) { tagged.append($0) }
                let wanted = rows.filter { reference.items[catalogue.idDescription($0)]?.tags.contains(name) ?? false }
                try #require(tagged.sorted() == wanted)
            }
        }
    }

    /// A crash may end the journal at any byte: what was answered before it is there, and the next changes are kept.
    @Test func journalCutAtEachByte_KeepsTheCallsBeforeIt() throws {
        let folder = try TemporaryDirectory(inMemory: true)
        let items = try items()
        var ends: [Int] = []
        var states: [Content] = []
        let path = folder.path + "/whole"
        do {
            let served = try Served(path, items)
            func note() throws {
                ends.append(try contents(of: path + "/journal.1").count)
                states.append(Content(served.catalogue))
            }
            try note()
            for changes in [
                [change("a", available: false), change("b", tags: ["new", "x"])],
                [change("b", resets: true)], [change("17", popularity: 3.5), change("a", available: true)],
            ] {
                try served.apply(changes)
                try note()
            }
        }
        let journal = try contents(of: path + "/journal.1")
        #expect(ends.last == journal.count)
        for length in 0...journal.count {
            let cut = folder.path + "/cut\(length)"
            try FileManager.default.createDirectory(atPath: cut, withIntermediateDirectories: false)
            _ = try folder.write("cut\(length)/journal.1", journal[..<length])
            do {
                let served = try Served(cut, items)
                let whole = ends.lastIndex { $0 <= length }
                #expect(Content(served.catalogue) == states[whole ?? 0], "\(length)")
                #expect(served.store.cutBytes == length - (whole.map { ends[$0] } ?? 0), "\(length)")
                try served.apply([change("d", popularity: 8)])
            }
            let again = try Served(cut, items)
            #expect(again.catalogue.popularity(4) == 8 && again.store.cutBytes == 0, "\(length)")
        }
    }

    @Test func anotherBundle_HasTheChangesOfItsItems() throws {
        let folder = try TemporaryDirectory(inMemory: true)
        do {
            let served = try Served(folder.path, try items())
            try served.apply([change("a", available: false), change("17", popularity: 4)])
        }
        let next = try items(#"{"index":3,"id":17}"# + "\n" + #"{"index":1,"id":5}"#)
        let served = try Served(folder.path, next)
        #expect(served.catalogue.popularityOrder == [3, 1] && served.catalogue.unavailableCount == 0)
        #expect(served.catalogue.revision == 1)
        #expect(try served.apply([change("a", available: true)]).unknown == 1)
    }
}
