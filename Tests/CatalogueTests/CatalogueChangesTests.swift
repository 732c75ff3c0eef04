// Changes of catalogues: snapshots against a plain reference, and the journal's content after crashes.

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

/// A table of two columns in which row r is (r, 1).
private func growing(width: Int = 2) -> Extensibility {
    .by(ItemTable(rows: 8, width: width) { row in [Float(row)] + Array(repeating: 1, count: width - 1) })
}

private func new(
    _ item: String,
    _ source: AddedItem.Source = .embedding([1, 2]),
    title: String? = nil,
    tags: [String]? = nil,
    popularity: Double? = nil
) -> CatalogueChange {
    var change = change(item, tags: tags, popularity: popularity)
    change.added = AddedItem(source, title: title)
    return change
}

/// A snapshot's data of every item.
private struct Content: Equatable {
    struct Item: Equatable {
        var available: Bool
        var tags: Set<String>
        var popularity: Double
    }

    var items: [String: Item] = [:]

    init() {}

    init(_ catalogue: CatalogueSnapshot) {
        for row in 1..<Int32(64 * catalogue.presentMask.count) where catalogue.contains(row) {
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

/// A store with one catalogue.
private final class Served {
    let store: CatalogueStore
    var catalogue: CatalogueSnapshot

    init(_ directory: String?, _ items: Catalogue, extensibility: Extensibility = growing(), maxAdded: Int = 100) throws
    {
        store = try CatalogueStore(directory: directory, maxAdded: maxAdded)
        catalogue = store.snapshot(of: CatalogueSnapshot(items, extensibility: extensibility))
    }

    @discardableResult
    func apply(_ changes: [CatalogueChange]) throws -> ChangeOutcome {
        try store.apply(changes, current: { [catalogue] }, publish: { catalogue = $0[0] })
    }
}

@Suite struct CatalogueChangesTests {
    /// A disk that fails and recovers: no acknowledged change is lost, and no refused one is kept.
    @Test(arguments: ["/dev/full", "/dev/null"]) func failedJournal_IsReplaced(device: String) throws {
        let folder = try TemporaryDirectory()
        let served = try Served(folder.path, try items())
        try served.apply([change("a", available: false)])
        mkdir(folder.path + "/snapshot.2", 0o700)
        #expect(replaceOpenFile(folder.path + "/journal.1", by: device))
        for id in ["b", "c"] {
            #expect(throws: CatalogueStoreError.self) { try served.apply([change(id, available: false)]) }
        }
        #expect(served.catalogue.unavailableCount == 1)
        rmdir(folder.path + "/snapshot.2")
        try served.apply([change("d", available: false)])
        let again = try Served(folder.path, try items())
        #expect(again.catalogue.unavailableCount == 2)
        #expect(try folder.names() == ["journal.2", "snapshot.2"])
        for id in ["a", "d"] {
            #expect(again.catalogue.row(of: id).map { again.catalogue.isAvailable($0) } == false)
        }
    }

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
        // A request that started with the old state keeps it.
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

    /// A crash may end the journal at any byte: calls answered before it are kept, and so are the next changes.
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
                [new("n1", title: "New", tags: ["new"]), new("n2", .like(["a", "b"]), popularity: 6)],
                [change("n1", resets: true)],
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

    // MARK: - Items that the bundle lacks

    @Test func addedItems_AreItemsUntilTheyAreReset() throws {
        let table = ItemTable(rows: 8, width: 2) { [Float($0), 1] }
        let served = try Served(nil, try items(), extensibility: .by(table))
        let before = served.catalogue
        let outcome = try served.apply([
            new("n1", .embedding([0.5, -1]), title: "Green shoe", tags: ["x", "fresh"], popularity: 6),
            new("n\"2", .like(["a", "d"])), change("n\"2", tags: ["z"]), change("n3", popularity: 1),
        ])
        #expect(outcome.changed == 3 && outcome.unknownItems == ["n3"])
        #expect(table.added(after: 0) == [[0.5, -1], [2.5, 1]])
        let now = served.catalogue
        #expect(now.row(of: "n1") == 64 && now.row(of: "n\"2") == 65 && now.row(of: "n3") == nil)
        #expect(now.count == 7 && now.addedCount == 2 && now.changedCount == 2 && now.unavailableCount == 0)
        #expect(now.popularityOrder == [2, 64, 1, 3, 4, 6, 65])
        #expect(now.mostPopular(3, Eligibility(), history: [2]).map(\.row) == [64, 1, 3])
        #expect(now.find("shoe", limit: 9) == [2, 64, 1] && now.find("n", limit: 9) == [64, 65])
        #expect(now.idDescription(65) == "n\"2" && now.title(65) == nil && now.title(64) == "Green shoe")
        now.withIDJSON(65) { #expect(String(decoding: $0, as: UTF8.self) == #""n\"2""#) }
        #expect(now.isAdded(64) && !now.isAdded(1) && !now.isAdded(66) && !now.contains(7) && !now.contains(1_000))
        var onlyX = Eligibility()
        onlyX.allowance = Eligibility.Allowance(rows: [65], tags: [try #require(now.tag(of: "x"))])
        #expect(now.mostPopular(9, onlyX).map(\.row) == [2, 64, 1, 65])
        onlyX.excludedTags = [try #require(now.tag(of: "fresh"))]
        let removals = onlyX.removals(history: [2], found: [1], now)
        #expect(removals.eligible == 2 && removals.seen == 1 && removals.excluded == 1 && removals.notAllowed == 3)
        #expect(onlyX.mask(history: [], catalogue: now).allowed?.count == 2)
        // A request that started with the old state sees nothing of it: even the mask excludes the new rows.
        #expect(before.row(of: "n1") == nil && before.available == nil && before.popularityOrder == [2, 1, 3, 4, 6])
        #expect(Eligibility().mask(history: [], catalogue: now).allowed == [0b101_1110, 3])
        // The same vector again changes only the item's data; another vector gets a new row.
        try served.apply([new("n1", .embedding([0.5, -1]), title: "Greener"), new("n\"2", .like(["d"]))])
        #expect(served.catalogue.row(of: "n1") == 64 && served.catalogue.title(64) == "Greener")
        #expect(served.catalogue.row(of: "n\"2") == 66 && !served.catalogue.contains(65))
        #expect(served.catalogue.tags(66).map { served.catalogue.tagName($0) } == ["z"])
        #expect(now.idDescription(65) == "n\"2")
        let removal = try served.apply([
            change("n1", available: false), change("n\"2", resets: true), change("n\"2", popularity: 3),
        ])
        #expect(removal.changed == 2 && removal.unknownItems == ["n\"2"])
        #expect(served.catalogue.count == 6 && served.catalogue.unavailableCount == 1)
        try served.apply([change("n1", resets: true)])
        #expect(served.catalogue.count == 5 && Content(served.catalogue) == Content(before))
        #expect(served.catalogue.available == nil && served.catalogue.changedCount == 0)
        #expect(served.catalogue.popularityOrder == before.popularityOrder)
        #expect(served.catalogue.find("green", limit: 9) == [])
    }

    /// "é" as one character and as two: an item that a call adds makes no other one known.
    @Test func idsThatOnlyLookEqual_AreDifferentItems() throws {
        let served = try Served(nil, try items(), maxAdded: 1)
        let outcome = try served.apply([new("\u{E9}"), change("e\u{301}", popularity: 3)])
        #expect(outcome.changed == 1 && outcome.unknown == 1)
        #expect(outcome.unknownItems.first?.unicodeScalars.count == 2)
        #expect(throws: CatalogueStoreError.self) { try served.apply([new("\u{E9}"), new("e\u{301}")]) }
    }

    @Test func whatCannotBeAdded_ChangesNothing() throws {
        func refusal(_ served: Served, _ changes: CatalogueChange...) throws -> String {
            do {
                try served.apply(changes)
                return ""
            } catch {
                let error = try #require(error as? CatalogueStoreError)
                #expect(error.cause == .unusable && served.catalogue.revision == 0)
                return error.description
            }
        }
        let served = try Served(nil, try items(), maxAdded: 2)
        let hidden = change("a", available: false)
        #expect(
            try refusal(served, hidden, new("n", .embedding([1])))
                == "change 2, item 'n': embedding has 1 numbers, but the model's rows have 2"
        )
        #expect(
            try refusal(served, hidden, new("m"), new("n", .like(["a", "m"])))
                == "change 3, item 'n': like names 'm', which is not an item of the model's bundle"
        )
        #expect(try refusal(served, new("m"), new("n"), hidden, new("o")).contains("3 added items"))
        #expect(try refusal(served, new("m"), new("n"), change("n", resets: true), new("o"), new("m")) == "")
        #expect(served.catalogue.addedCount == 2)
        let fixed = try Served(nil, try items(), extensibility: .none(because: "it is fixed"))
        #expect(try refusal(fixed, hidden, new("n")).hasSuffix("no items can be added: it is fixed"))
        let integers = try Served(nil, try items(#"{"index":3,"id":17}"#))
        #expect(try refusal(integers, new("n")).hasSuffix("the ids of the model's items are integers"))
        #expect(try refusal(integers, new("18")) == "")
        #expect(integers.catalogue.row(ofInteger: 18) == 64)
        integers.catalogue.withIDJSON(64) { #expect(String(decoding: $0, as: UTF8.self) == "18") }
    }

    /// Rows are never reused, so items can be added again only a limited number of times.
    @Test func rowsOfRemovedItems_AreTakenUntilAReload() throws {
        let served = try Served(nil, try items(), maxAdded: 1)
        var made = 0
        while made < 2_000 {
            do {
                try served.apply([new("n", .embedding([Float(made), 0]))])
            } catch {
                break
            }
            made += 1
        }
        #expect(made == 1_026 && served.catalogue.row(of: "n") == Int32(64 + made - 1))
        #expect(served.store.snapshot(of: CatalogueSnapshot(try items(), extensibility: growing())).row(of: "n") == 64)
    }

    /// If a bundle contains the item, its own row wins. A bundle of another width lacks the item, which returns with
    /// the width.
    @Test func otherBundles_HaveAddedItemsWhereTheyCan() throws {
        let folder = try TemporaryDirectory(inMemory: true)
        do {
            let served = try Served(folder.path, try items())
            try served.apply([
                new("n1", title: "New", popularity: 3), new("n2", .like(["b", "c"])), change("n2", tags: ["t"]),
            ])
        }
        do {
            let next = try items(#"{"index":3,"id":"n1","title":"Its own"}"# + "\n" + #"{"index":1,"id":"b"}"#)
            let wide = ItemTable(rows: 8, width: 3) { [Float($0), 1, 2] }
            let served = try Served(folder.path, next, extensibility: .by(wide))
            #expect(served.catalogue.row(of: "n1") == 3 && served.catalogue.title(3) == "Its own")
            #expect(
                served.catalogue.popularity(3) == 3 && !served.catalogue.isAdded(3) && served.catalogue.isChanged(3)
            )
            // `c` is gone, so `n2` has no vector.
            #expect(served.catalogue.row(of: "n2") == nil && wide.added(after: 0).isEmpty)
            #expect(try served.apply([change("n2", popularity: 8)]).changed == 1)
            try served.store.compact()
        }
        let served = try Served(folder.path, try items())
        #expect(served.catalogue.row(of: "n1") == 64 && served.catalogue.title(64) == "New")
        #expect(served.catalogue.row(of: "n2") == 65 && served.catalogue.popularity(65) == 8)
        #expect(served.catalogue.tags(65).map { served.catalogue.tagName($0) } == ["t"])
        // Adding an item that the bundle has changes the bundle's item.
        #expect(try served.apply([new("a"), change("n1", resets: true), change("n2", resets: true)]).changed == 3)
        #expect(served.catalogue.addedCount == 0 && served.catalogue.row(of: "a") == 1)
    }

    /// Items are added and removed, with compaction and restarts, against a dictionary.
    @Test(arguments: 1...4 as ClosedRange<UInt64>)
    func anyAddedItems_EqualTheReference(seed: UInt64) throws {
        var random = SplitMix64(seed: seed)
        let folder = try TemporaryDirectory(inMemory: true)
        let items = try items()
        var served = try Served(folder.path, items)
        var reference: [String: (popularity: Double, number: Float, tag: String)] = [:]
        for _ in 0..<150 {
            let id = "n\(random.below(6))"
            switch random.below(8) {
            case 0: try served.store.compact()
            case 1: served = try Served(folder.path, items)
            case 2, 3:
                try served.apply([change(id, resets: true)])
                reference[id] = nil
            default:
                let entry = (Double(random.below(9)), Float(random.below(3)), ["x", "new"][random.below(2)])
                try served.apply([new(id, .embedding([entry.1, 0]), tags: [entry.2], popularity: entry.0)])
                reference[id] = entry
            }
            let catalogue = served.catalogue
            try #require(catalogue.addedCount == reference.count && catalogue.count == items.count + reference.count)
            try #require(catalogue.popularityOrder.count == catalogue.count)
            for (id, entry) in reference {
                let row = try #require(catalogue.row(of: id))
                try #require(catalogue.isAdded(row) && catalogue.isAvailable(row) && catalogue.idDescription(row) == id)
                try #require(catalogue.popularity(row) == entry.popularity)
                try #require(catalogue.tags(row).map { catalogue.tagName($0) } == [entry.tag])
                guard case .by(let table) = catalogue.extensibility else { continue }
                try #require(table.added(after: Int(row) - 64).first == [entry.number, 0])
            }
            let order = catalogue.popularityOrder.map { catalogue.popularity($0) }
            try #require(order == order.sorted(by: >))
        }
    }
}
