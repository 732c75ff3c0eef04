// The local store against a plain reference, across crashes at every byte, restarts and snapshots.

import Foundation
import Journal
import Random
import Synchronization
import TestSupport
import Testing

@testable import Users

/// The newest events of each user, by time and then by arrival, without duplicates.
private struct Reference: Equatable {
    var users: [String: [UserEvent]] = [:]

    mutating func append(_ incoming: IncomingEvent, maxEvents: Int) {
        var events = users[incoming.user] ?? []
        if !events.contains(incoming.event) {
            let place = events.lastIndex { $0.timestamp <= incoming.event.timestamp }.map { $0 + 1 } ?? 0
            events.insert(incoming.event, at: place)
        }
        users[incoming.user] = Array(events.suffix(maxEvents))
    }
}

private func incoming(_ user: String, _ item: String, _ timestamp: Int64, _ action: String? = nil) -> IncomingEvent {
    IncomingEvent(user: user, event: UserEvent(item: item, timestamp: timestamp, action: action))
}

private func configuration(_ directory: String, maxEvents: Int = 8) -> LocalUserStoreConfiguration {
    LocalUserStoreConfiguration(directory: directory, maxEvents: maxEvents, lifetime: nil, syncsAlways: false)
}

private func content(_ store: LocalUserStore) -> Reference {
    Reference(users: Dictionary(uniqueKeysWithValues: store.userIDs.map { ($0, store.events(of: $0) ?? []) }))
}

@Suite struct LocalUserStoreTests {
    @Test func events_AreOrdered_AndDuplicatesChangeNothing() throws {
        let folder = try TemporaryDirectory()
        let store = try LocalUserStore(configuration(folder.path + "/users"))
        #expect(store.events(of: "u") == nil)
        let first = try store.append([incoming("u", "b", 20), incoming("u", "a", 10), incoming("v", "a", 10, "buy")])
        #expect(first.accepted == 3 && first.duplicates == 0 && first.isPersisted)
        let again = try store.append([
            incoming("u", "a", 10), incoming("u", "a", 10, "buy"), incoming("u", "c", 20), incoming("u", "b", 20),
        ])
        #expect(again.accepted == 2 && again.duplicates == 2)
        #expect(
            store.events(of: "u") == [
                UserEvent(item: "a", timestamp: 10), UserEvent(item: "a", timestamp: 10, action: "buy"),
                UserEvent(item: "b", timestamp: 20), UserEvent(item: "c", timestamp: 20),
            ]
        )
        try store.delete("u")
        #expect(store.events(of: "u") == nil)
        #expect(store.userIDs == ["v"])
    }

    /// Swift's strings treat "é" as one character and as two as equal; users, items and actions are compared by bytes.
    @Test func idsThatOnlyLookEqual_AreOthers() throws {
        let (one, two) = ("\u{E9}", "e\u{301}")
        let folder = try TemporaryDirectory()
        for isSnapshot in [false, true] {
            let store = try LocalUserStore(configuration(folder.path))
            if !isSnapshot {
                let outcome = try store.append([
                    incoming(one, one, 1), incoming(two, one, 1), incoming(two, two, 1), incoming(two, two, 1, one),
                    incoming(two, two, 1, two), incoming(two, two, 1, two),
                ])
                #expect(outcome.accepted == 5 && outcome.duplicates == 1)
            }
            #expect(store.events(of: one)?.map(\.item.utf8.count) == [2])
            #expect(store.events(of: two)?.map(\.item.utf8.count) == [2, 3, 3, 3])
            #expect(store.events(of: two)?.map { $0.action?.utf8.count } == [nil, nil, 2, 3])
            try store.compact()
            store.close()
        }
    }

    /// A record may end anywhere within an event, also exactly after one of its parts, with a correct checksum.
    @Test(arguments: 0...4) func recordThatEndsWithinAnEvent_IsDamaged(parts: Int) {
        var file = UserRecord.magic
        JournalRecord.append(to: &file) { bytes in
            bytes.append(1)
            bytes.append(record: UInt32(7))
            for text in ["u", "whole"] { bytes.append(record: text) }
            bytes.append(record: UInt64(1))
            bytes.append(record: "")
            if parts > 0 { bytes.append(record: "") }
            if parts > 1 { bytes.append(record: "torn") }
            if parts > 2 { bytes.append(record: UInt64(2)) }
            if parts > 3 { bytes.append(record: "") }
        }
        let replay = EventReplay(EventTable(maxEvents: 8))
        let whole = file.withUnsafeBufferPointer { bytes in
            JournalRecord.read(bytes, magic: UserRecord.magic) { UserRecord.apply(&$0, to: replay) }
        }
        let table = replay.finish()
        let isWhole = parts == 0 || parts == 4
        #expect(whole.byteCount == (isWhole ? file.count : UserRecord.magic.count))
        // The checksum fits, so no crash has torn it.
        #expect(whole.isDamaged == !isWhole)
        #expect(table.events(of: "u")?.map(\.item) == (parts == 4 ? ["whole", "torn"] : ["whole"]))
    }

    @Test func textTable_EqualsAPlainDictionary() {
        var random = SplitMix64(seed: 3)
        var table = TextTable()
        var reference: [String: UInt32] = [:]
        for _ in 0..<20_000 {
            let text = "text \(random.below(300))"
            switch (reference[text], random.below(2)) {
            case (let number?, 0):
                table.remove(number)
                reference[text] = nil
            case (let number, _):
                let given = table.number(of: text)
                #expect(number == nil || number == given)
                reference[text] = given
            }
            guard random.below(100) == 0 else { continue }
            #expect(table.count == reference.count)
            #expect(Set(reference.values).count == reference.count)
            for index in 0..<300 { #expect(table.find("text \(index)") == reference["text \(index)"]) }
            #expect(reference.allSatisfy { table[$0.value] == $0.key })
        }
        #expect(table.find("") == 0 && table.number(of: "") == 0)
    }

    /// A history contains the events' numbers in each of more catalogues than are cached, including events that arrived
    /// meanwhile.
    @Test func histories_AreEventsAsNumbers_InEachCatalogue() throws {
        var random = SplitMix64(seed: 11)
        let folder = try TemporaryDirectory(inMemory: true)
        let store = try LocalUserStore(configuration(folder.path, maxEvents: 40))
        var catalogues = (0..<10).map { Numbers(seed: $0) }
        for round in 0..<400 {
            let event = UserEvent(
                item: "i\(random.below(60))",
                timestamp: Int64(random.below(30)),
                action: random.below(2) == 0 ? nil : "a\(random.below(5))"
            )
            _ = try store.append([IncomingEvent(user: "u\(random.below(3))", event: event)])
            if round % 50 == 0 { catalogues[round / 50] = Numbers(seed: round) }
            let numbers = catalogues[random.below(10)]
            for user in ["u0", "u1", "u2", "nobody"] {
                let (history, events) = (store.history(of: user, numbers), store.events(of: user))
                let expected = events.map { UserHistory($0, numbers) }
                #expect(history?.timestamps == expected?.timestamps && history?.actions == expected?.actions)
                #expect(history.map(Self.items) == expected.map(Self.items))
                #expect(history?.unknownCount == events?.count { numbers.knows($0.item) == false })
            }
        }
    }

    /// An event inserted into a history has the same place as in the store, and is not duplicated.
    @Test(arguments: 1...4 as ClosedRange<UInt64>)
    func eventsPutIntoAHistory_StandWhereTheyWouldInTheStore(seed: UInt64) throws {
        var random = SplitMix64(seed: seed)
        let numbers = Numbers(seed: Int(seed))
        let folder = try TemporaryDirectory(inMemory: true)
        let store = try LocalUserStore(configuration(folder.path, maxEvents: 300))
        let stored = (0..<20).map { incoming("u", "i\($0 % 12)", Int64($0 % 9)) }
        _ = try store.append(stored)
        var history = try #require(store.history(of: "u", numbers))
        var reference = Reference()
        for event in stored { reference.append(event, maxEvents: .max) }
        for _ in 0..<200 {
            let event = UserEvent(
                item: "i\(random.below(12))",
                timestamp: Int64(random.below(9)),
                action: random.below(2) == 0 ? nil : "a"
            )
            history.insert(event, numbers)
            reference.append(IncomingEvent(user: "u", event: event), maxEvents: .max)
            let expected = UserHistory(reference.users["u"] ?? [], numbers)
            #expect(history.timestamps == expected.timestamps && history.actions == expected.actions)
            #expect(Self.items(history) == Self.items(expected))
        }
    }

    /// Rows, or the items that have none.
    private static func items(_ history: UserHistory) -> [String] {
        let unknown = history.rows.indices.filter { history.rows[$0] < 0 }
        var items = history.rows.map(String.init)
        for (place, item) in zip(unknown, history.unknownItems(ofEvents: unknown)) { items[place] = item }
        return items
    }

    @Test func newestEvents_AreKept() throws {
        let folder = try TemporaryDirectory()
        let store = try LocalUserStore(configuration(folder.path, maxEvents: 3))
        for time in [5, 1, 9, 7, 3, 8] as [Int64] { _ = try store.append([incoming("u", "i\(time)", time)]) }
        #expect(store.events(of: "u")?.map(\.timestamp) == [7, 8, 9])
    }

    @Test func folder_HasOneOwner() throws {
        let folder = try TemporaryDirectory()
        let store = try LocalUserStore(configuration(folder.path))
        #expect(throws: UserStoreError(.unavailable, "another process has the users' folder \(folder.path)")) {
            try LocalUserStore(configuration(folder.path))
        }
        store.close()
    }

    /// At whatever byte a crash cuts the journal, complete records are kept, and the store continues.
    @Test func journalCutAtEachByte_KeepsTheRecordsBeforeIt() throws {
        let folder = try TemporaryDirectory(inMemory: true)
        let path = folder.path + "/whole"
        var ends: [Int] = []
        var states: [Reference] = []
        do {
            let store = try LocalUserStore(configuration(path))
            let calls: [[IncomingEvent]] = [
                [incoming("u", "a", 1), incoming("u", "b", 2, "é")], [incoming("v", "a", 1)], [],
                [incoming("u", "a", 1), incoming("w", "", -5)],
            ]
            ends.append(try contents(of: path + "/journal.1").count)
            states.append(content(store))
            for call in calls {
                if call.isEmpty { try store.delete("u") } else { _ = try store.append(call) }
                ends.append(try contents(of: path + "/journal.1").count)
                states.append(content(store))
            }
            store.close()
        }
        let journal = try contents(of: path + "/journal.1")
        #expect(ends.last == journal.count)
        for length in 0...journal.count {
            let cut = folder.path + "/cut\(length)"
            mkdir(cut, 0o700)
            _ = try folder.write("cut\(length)/journal.1", journal[..<length])
            do {
                let store = try LocalUserStore(configuration(cut))
                let whole = ends.lastIndex { $0 <= length }
                #expect(content(store) == whole.map { states[$0] } ?? Reference(), "\(length)")
                #expect(store.recovery.cutBytes == length - (whole.map { ends[$0] } ?? 0), "\(length)")
                _ = try store.append([incoming("next", "x", 9)])
                store.close()
            }
            let store = try LocalUserStore(configuration(cut))
            #expect(store.events(of: "next")?.count == 1, "\(length)")
            #expect(store.recovery.cutBytes == 0, "\(length)")
        }
    }

    /// A changed byte is never taken for an event: the records before it are kept, and nothing of its own record. What
    /// follows it is not cut off: a crash tears only the last record, so the store is refused, and the file left alone.
    @Test func damagedJournal_LosesAtMostItsLastRecord() throws {
        let folder = try TemporaryDirectory(inMemory: true)
        do {
            let store = try LocalUserStore(configuration(folder.path + "/a"))
            _ = try store.append([incoming("u", "a", 1)])
            _ = try store.append([incoming("u", "b", 2)])
            store.close()
        }
        let journal = try contents(of: folder.path + "/a/journal.1")
        for index in UserRecord.magic.count..<journal.count {
            var bytes = journal
            bytes[index] ^= 0x40
            mkdir(folder.path + "/b\(index)", 0o700)
            _ = try folder.write("b\(index)/journal.1", bytes)
            do {
                let store = try LocalUserStore(configuration(folder.path + "/b\(index)"))
                let items = (store.events(of: "u") ?? []).map(\.item)
                // The length of the first record leads nowhere: where the next one begins is not known.
                #expect(items == ["a"] || items == [] && 8..<12 ~= index, "\(index)")
            } catch {
                #expect("\(error)".contains("journal.1 is damaged at byte 8 with more data after it"), "\(index)")
                #expect(try contents(of: folder.path + "/b\(index)/journal.1") == bytes, "\(index)")
            }
        }
    }

    /// A start would not find what is appended to a file that was cut, extended or removed.
    @Test(arguments: ["cut", "extended", "removed"])
    func journalThatAnotherProgramChanges_IsReplaced(change: String) throws {
        let folder = try TemporaryDirectory()
        do {
            let store = try LocalUserStore(configuration(folder.path))
            _ = try store.append([incoming("u", "a", 1)])
            let path = folder.path + "/journal.1"
            switch change {
            case "cut": truncate(path, 20)
            case "extended": truncate(path, 200)
            default: unlink(path)
            }
            _ = try store.append([incoming("u", "b", 2)])
            store.close()
        }
        let store = try LocalUserStore(configuration(folder.path))
        #expect(store.events(of: "u")?.map(\.item) == ["a", "b"])
    }

    @Test func folderThatIsRemoved_IsNotPersistence() throws {
        let folder = try TemporaryDirectory()
        let path = folder.path + "/users"
        let store = try LocalUserStore(configuration(path))
        _ = try store.append([incoming("u", "a", 1)])
        for name in ["/journal.1", "/lock"] { unlink(path + name) }
        rmdir(path)
        #expect(throws: UserStoreError.self) { try store.append([incoming("u", "b", 2)]) }
        #expect(store.openBreakers == 1 && store.events(of: "u")?.map(\.item) == ["a"])
        store.close()
    }

    @Test func damagedSnapshot_IsRefused() throws {
        let folder = try TemporaryDirectory()
        do {
            let store = try LocalUserStore(configuration(folder.path))
            _ = try store.append([incoming("u", "a", 1)])
            try store.compact()
            store.close()
        }
        let name = "snapshot.2"
        var bytes = try contents(of: folder.path + "/" + name)
        bytes[bytes.count - 1] ^= 1
        _ = try folder.write(name, bytes)
        let sentence = "\(folder.path)/\(name) is damaged at byte 8; restore it, or remove the folder"
        #expect(throws: UserStoreError(.unavailable, sentence)) { try LocalUserStore(configuration(folder.path)) }
    }

    /// The disk's content of a failed journal is unknown: a snapshot and a new journal replace it before the store
    /// accepts anything else; until then every change is refused. No acknowledged change is lost, and no refused one is
    /// kept.
    @Test(arguments: [
        // Writing fails for lack of room, and so does truncating.
        FailingFile(device: "/dev/full", syncsAlways: false, code: .full),
        // Bytes are accepted but not synced.
        FailingFile(device: "/dev/null", syncsAlways: true, code: .unavailable),
        FailingFile(device: "/dev/null", syncsAlways: false, code: .unavailable),
    ])
    func failedJournal_IsReplaced_AndNothingAcknowledgedIsLost(_ file: FailingFile) throws {
        let folder = try TemporaryDirectory(inMemory: true)
        var settings = configuration(folder.path)
        settings.syncsAlways = file.syncsAlways
        let store = try LocalUserStore(settings)
        _ = try store.append([incoming("u", "a", 1), incoming("gone", "a", 1)])
        try store.delete("gone")
        // A folder at the snapshot's path, so that the snapshot cannot be written.
        mkdir(folder.path + "/snapshot.2", 0o700)
        #expect(replaceOpenFile(folder.path + "/journal.1", by: file.device))
        if file.isNoticedLater {
            #expect(try store.append([incoming("u", "b", 2)]).isPersisted)
            store.syncInBackground()
        } else {
            #expect { try store.append([incoming("v", "refused", 2)]) } throws: {
                ($0 as? UserStoreError)?.code == file.code
            }
        }
        // Now the error is the blocked snapshot, not the lack of room.
        for change in [{ _ = try store.append([incoming("v", "refused", 3)]) }, { try store.delete("u") }] {
            #expect { try change() } throws: { ($0 as? UserStoreError)?.code == .unavailable }
        }
        #expect(store.openBreakers == 1)
        let before = content(store)
        #expect(before.users["u"]?.map(\.item) == (file.isNoticedLater ? ["a", "b"] : ["a"]))
        rmdir(folder.path + "/snapshot.2")
        #expect(try store.append([incoming("u", "next", 9)]).accepted == 1)
        #expect(store.openBreakers == 0)
        let after = content(store)
        store.close()
        let again = try LocalUserStore(settings)
        #expect(content(again) == after)
        #expect(after.users.keys.sorted() == ["u"])
        #expect(after.users["u"] == (before.users["u"] ?? []) + [UserEvent(item: "next", timestamp: 9)])
        #expect(try folder.names() == ["journal.2", "lock", "snapshot.2"])
        again.close()
    }

    /// Random events, duplicates, deletions, snapshots, restarts and crashes, against the reference. A crash is a copy
    /// of the current files, perhaps with a part of the record being written.
    @Test(arguments: 1...6 as ClosedRange<UInt64>)
    func anything_EqualsTheReference(seed: UInt64) throws {
        var random = SplitMix64(seed: seed)
        let folder = try TemporaryDirectory(inMemory: true)
        let maxEvents = 1 + random.below(12)
        var path = folder.path + "/0"
        var store: LocalUserStore? = try LocalUserStore(configuration(path, maxEvents: maxEvents))
        var reference = Reference()
        var past: [IncomingEvent] = []
        for step in 1...400 {
            switch random.below(20) {
            case 0:
                let user = "u\(random.below(5))"
                try store?.delete(user)
                reference.users[user] = nil
            case 1: try store?.compact()
            case 2:
                store?.close()
                store = try LocalUserStore(configuration(path, maxEvents: maxEvents))
            case 3:
                let old = path
                path = folder.path + "/\(step)"
                mkdir(path, 0o700)
                for name in try folder.names(in: URL(fileURLWithPath: old).lastPathComponent) {
                    var bytes = try contents(of: old + "/" + name)
                    if name.hasPrefix("journal") {
                        var torn: [UInt8] = []
                        UserRecord.append([incoming("u0", "torn", 7)], seen: 1, to: &torn)
                        bytes += torn.prefix(random.below(torn.count))
                    }
                    try Data(bytes).write(to: URL(fileURLWithPath: path + "/" + name))
                }
                store?.close()
                store = try LocalUserStore(configuration(path, maxEvents: maxEvents))
            default:
                var events = (0..<(1 + random.below(6))).map { _ in
                    incoming(
                        "u\(random.below(5))",
                        "i\(random.below(8))",
                        Int64(random.below(15)),
                        random.below(3) == 0 ? "buy" : nil
                    )
                }
                if !past.isEmpty { events.append(past[random.below(past.count)]) }
                past += events
                _ = try store?.append(events)
                for event in events { reference.append(event, maxEvents: maxEvents) }
            }
            let isEqual = store.map(content) == reference
            try #require(isEqual)
        }
    }

    @Test func userWithoutEventsForLong_IsForgotten() throws {
        let folder = try TemporaryDirectory()
        let settings = LocalUserStoreConfiguration(
            directory: folder.path,
            maxEvents: 8,
            lifetime: 100,
            syncsAlways: true
        )
        let now = Clock(seconds: 1_000)
        let store = try LocalUserStore(settings, now: { now.seconds })
        _ = try store.append([incoming("old", "a", 1), incoming("new", "a", 1)])
        now.advance(by: 60)
        _ = try store.append([incoming("new", "b", 2)])
        now.advance(by: 60)
        #expect(store.events(of: "old") == nil)
        #expect(store.events(of: "new")?.count == 2)
        _ = try store.append([incoming("old", "z", 5)])
        #expect(store.events(of: "old")?.map(\.item) == ["z"])
        now.advance(by: 70)
        try store.compact()
        #expect(store.userIDs == ["old"])
    }
}

/// A device that replaces a file, so that its system calls really fail.
struct FailingFile: Sendable, CustomTestStringConvertible {
    var device: String
    var syncsAlways: Bool
    var code: UserStoreError.Code

    /// Whether no caller waits for the failing call.
    var isNoticedLater: Bool { code == .unavailable && !syncsAlways }
    var testDescription: String { "\(device), sync \(syncsAlways ? "always" : "interval")" }
}

/// A clock that a test advances.
private final class Clock: Sendable {
    private let value: Atomic<UInt32>

    init(seconds: UInt32) { value = Atomic(seconds) }

    var seconds: UInt32 { value.load(ordering: .relaxed) }
    func advance(by seconds: UInt32) { value.add(seconds, ordering: .relaxed) }
}

/// A catalogue that knows about half of the items.
private final class Numbers: EventNumbers {
    private let seed: Int

    init(seed: Int) { self.seed = seed }

    func row(ofItem text: UnsafeBufferPointer<UInt8>) -> Int32? {
        let sum = text.reduce(seed) { $0 * 31 + Int($1) }
        return sum % 2 == 0 ? Int32(sum % 100_000) : nil
    }

    func knows(_ item: String) -> Bool {
        var item = item
        return item.withUTF8(row) != nil
    }

    func fingerprint(ofAction text: UnsafeBufferPointer<UInt8>) -> UInt64 {
        text.reduce(UInt64(seed) + 1) { $0 * 31 + UInt64($1) }
    }
}
