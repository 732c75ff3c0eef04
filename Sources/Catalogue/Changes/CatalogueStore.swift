// The changes of one model's catalogue, in memory and, if there is a folder, in a journal that is on disk before a call
// is answered.

internal import JSON
internal import Journal
internal import Locking

/// The outcome of a call's changes.
package struct ChangeOutcome: Sendable, Equatable {
    /// Changes of known items.
    package var changed = 0
    /// Changes of unknown items, which had no effect.
    package var unknown = 0
    /// The first ten unknown ids.
    package var unknownItems: [String] = []
    /// Whether the changes outlive this process.
    package var isPersisted = false
    /// The number of calls that changed something.
    package var revision = 0
}

/// The changes cannot be made or stored; nothing was changed.
package struct CatalogueStoreError: Error, CustomStringConvertible {
    package enum Cause: Sendable {
        /// The disk has no room.
        case full
        /// A change cannot be made.
        case unusable
        case unwritable
    }

    package let cause: Cause
    /// One sentence.
    package let description: String

    init(_ error: JournalError) {
        cause = error.code == .full ? .full : .unwritable
        description = error.description
    }

    init(unusable description: String) {
        cause = .unusable
        self.description = description
    }

    init(_ change: Int, _ item: String, _ fault: String) {
        cause = .unusable
        description = "change \(change + 1), item '\(item.prefix(64))': \(fault)"
    }
}

/// Stores the changes of a catalogue. Writers take turns, each waiting for the disk.
///
/// The journal and snapshots are a `JournalFolder`'s. Every change states the result instead of an operation, so
/// applying it twice does no harm.
package final class CatalogueStore: Sendable {
    /// A journal smaller than this is never compacted: there is nothing to gain.
    private static let smallJournal = 1 << 20

    private struct State {
        var table = ChangeTable()
        /// nil: nothing outlives the process.
        var journal: JournalFile?
        var generation = 1
        /// Size of the snapshot that precedes the journal.
        var snapshotBytes = 0
    }

    private let folder: JournalFolder?
    private let maxAdded: Int
    private let reportFailure: @Sendable (String) -> Void
    private let state: Lock<State>
    /// Length of a torn record that was cut off the journal's end after a crash.
    package let cutBytes: Int

    /// Opens the folder and reads its contents.
    ///
    /// - Parameters:
    ///   - directory: a folder that nothing else uses, created if missing; nil: nothing outlives the process.
    ///   - maxAdded: the most items that may be added to the bundle's.
    ///   - reportFailure: called if a snapshot cannot be written.
    package init(
        directory: String?,
        maxAdded: Int = 100_000,
        reportFailure: @escaping @Sendable (String) -> Void = { _ in }
    ) throws(CatalogueStoreError) {
        self.reportFailure = reportFailure
        self.maxAdded = maxAdded
        guard let directory else {
            folder = nil
            state = Lock(State())
            cutBytes = 0
            return
        }
        let folder = JournalFolder(directory, magic: ChangeRecord.magic, contents: "catalogue")
        self.folder = folder
        var state = State()
        do throws(JournalError) {
            try folder.make()
            let opened = try folder.open { ChangeRecord.apply(&$0, to: &state.table) }
            state.journal = try folder.journal(opened)
            state.generation = opened.generation
            state.snapshotBytes = opened.snapshotBytes
            cutBytes = opened.cutBytes
        } catch {
            throw CatalogueStoreError(error)
        }
        self.state = Lock(state)
    }

    /// The catalogue as in its bundle, plus all changes.
    package func snapshot(of base: CatalogueSnapshot) -> CatalogueSnapshot {
        state.withLock { Self.snapshot(after: base, $0.table, $0.table.states.indices) }
    }

    /// - Parameter numbers: ascending, because new items get rows in this order.
    private static func snapshot(
        after before: CatalogueSnapshot,
        _ table: ChangeTable,
        _ numbers: some RandomAccessCollection<Int>
    ) -> CatalogueSnapshot {
        var places: [CatalogueSnapshot.ChangedRow] = []
        places.reserveCapacity(numbers.count)
        var added = before.added
        var removed: [Int32] = []
        var rest = numbers[...]
        while !rest.isEmpty {
            let part = rest.prefix(256)
            rest = rest.dropFirst(256)
            for (number, row) in zip(part, table.rows(part, in: before.items)) {
                if row > 0 {
                    places.append((row, number))
                } else if let itemTable = before.extensibility.table {
                    let change = table.withID(number) {
                        added.settle($0, table.states[number].added, itemTable, before.items)
                    }
                    if let row = change.gone { removed.append(row) }
                    if let row = change.row { places.append((row, number)) }
                }
            }
        }
        return CatalogueSnapshot(
            before,
            revision: table.revision,
            places,
            of: table.states,
            added: added,
            removed: removed
        )
    }

    /// Passes the catalogue with all changes to `publish`, before the next call gets its turn.
    ///
    /// - Parameter current: a result of `snapshot(of:)`; nothing is computed if there was no change since.
    package func admit(_ current: CatalogueSnapshot, _ publish: (CatalogueSnapshot) -> Void) {
        state.withLock { state in
            let isCurrent = current.revision == state.table.revision
            publish(isCurrent ? current : Self.snapshot(after: current, state.table, state.table.states.indices))
        }
    }

    /// Applies changes: all those of known items or, on an error, none.
    ///
    /// - Parameters:
    ///   - current: returns the served snapshots of the catalogues concerned. An item is known if any of them has it.
    ///   - publish: receives the snapshots after the changes, in the same order, before the next call gets its turn.
    package func apply(
        _ changes: [CatalogueChange],
        current: () -> [CatalogueSnapshot],
        publish: ([CatalogueSnapshot]) -> Void
    ) throws(CatalogueStoreError) -> ChangeOutcome {
        try state.withLock { state throws(CatalogueStoreError) in
            let before = current()
            var outcome = ChangeOutcome()
            try check(changes, before)
            var known: [CatalogueChange] = []
            known.reserveCapacity(changes.count)
            // Whether the changes so far added (true) or removed (false) an item.
            var isThere: [TextKey: Bool] = [:]
            for change in changes {
                let id = change.item
                if change.added != nil { isThere[TextKey(id)] = true }
                let isMade = isThere.isEmpty ? nil : isThere[TextKey(id)]
                if isMade ?? (before.contains { $0.row(of: id) != nil } || state.table.state(of: id).added != nil) {
                    known.append(change)
                    if change.resets, !before.contains(where: { $0.items.row(of: id) != nil }) {
                        isThere[TextKey(id)] = false
                    }
                } else {
                    outcome.unknown += 1
                    if outcome.unknownItems.count < 10 { outcome.unknownItems.append(change.item) }
                }
            }
            outcome.changed = known.count
            outcome.isPersisted = folder != nil
            outcome.revision = state.table.revision
            guard !known.isEmpty else { return outcome }
            let revision = state.table.revision + 1
            outcome.revision = revision
            if let folder { try write(known, revision: revision, in: folder, &state) }
            state.table.revision = revision
            var numbers: [Int] = []
            numbers.reserveCapacity(known.count)
            for change in known { numbers.append(state.table.apply(change)) }
            numbers.sort()
            let table = state.table
            let changed = numbers.indices.lazy.filter { $0 == 0 || numbers[$0] != numbers[$0 - 1] }.map { numbers[$0] }
            publish(before.map { Self.snapshot(after: $0, table, Array(changed)) })
            return outcome
        }
    }

    /// Checks that new items can be added to at least one of the catalogues.
    private func check(
        _ changes: [CatalogueChange],
        _ catalogues: [CatalogueSnapshot]
    ) throws(CatalogueStoreError) {
        guard changes.contains(where: { $0.added != nil }) else { return }
        var isThere: [TextKey: Bool] = [:]
        for (index, change) in changes.enumerated() {
            if change.resets { isThere[TextKey(change.item)] = false }
            guard let item = change.added else { continue }
            isThere[TextKey(change.item)] = true
            let faults = catalogues.compactMap { $0.fault(of: item, change.item) }
            if faults.count == catalogues.count, let fault = faults.first {
                throw CatalogueStoreError(index, change.item, fault)
            }
        }
        for catalogue in catalogues {
            guard let table = catalogue.extensibility.table else { continue }
            let fresh = isThere.count { $1 && catalogue.row(of: $0.text) == nil }
            let gone = isThere.count { !$1 && catalogue.isAddedItem($0.text) }
            let count = catalogue.addedCount + fresh - gone
            if fresh > 0, count > maxAdded {
                throw CatalogueStoreError(
                    unusable:
                        "there would be \(count) added items, more than catalogue.max_added, \(maxAdded)"
                )
            }
            // Rows are not reused: those of removed items stay taken until the model is reloaded.
            let rows = table.addedCount + isThere.count { $1 }
            if rows > 2 * maxAdded + 1_024 || table.firstAddedRow + rows > Int(Int32.max) {
                throw CatalogueStoreError(
                    unusable: "no rows are left; reloading the model frees the rows of removed or replaced items"
                )
            }
        }
    }

    /// Writes the changes of a call and waits until they are on disk.
    private func write(
        _ changes: [CatalogueChange],
        revision: Int,
        in folder: JournalFolder,
        _ state: inout State
    ) throws(CatalogueStoreError) {
        var record: [UInt8] = []
        record.reserveCapacity(changes.count * 32)
        ChangeRecord.append(changes, revision: revision, to: &record)
        do throws(JournalError) {
            if let journal = state.journal, journal.check() != nil {
                // The disk may be working again, or another program has changed the file.
                try Self.compact(folder, &state)
            } else if let journal = state.journal,
                journal.byteCount > max(Self.smallJournal, 2 * state.snapshotBytes)
            {
                do throws(JournalError) {
                    try Self.compact(folder, &state)
                } catch {
                    // The journals all exist and stay in use.
                    reportFailure(error.description)
                }
            }
            try state.journal?.append(record, syncs: true)
        } catch {
            throw CatalogueStoreError(error)
        }
    }

    /// Writes a snapshot and removes the files it replaces.
    package func compact() throws(CatalogueStoreError) {
        try state.withLock { state throws(CatalogueStoreError) in
            guard let folder else { return }
            do throws(JournalError) {
                try Self.compact(folder, &state)
            } catch {
                throw CatalogueStoreError(error)
            }
        }
    }

    private static func compact(_ folder: JournalFolder, _ state: inout State) throws(JournalError) {
        guard let journal = state.journal else { return }
        let number = state.generation + 1
        let table = state.table
        var start = 0
        let renewed = try folder.renew(journal, number) {
            guard start == 0 || start < table.states.count else { return nil }
            let end = min(start + ChangeRecord.snapshotCount, table.states.count)
            var record: [UInt8] = []
            var next = start
            JournalRecord.append(to: &record) { bytes in
                bytes.append(record: UInt64(table.revision))
                while next < end, bytes.count < ChangeRecord.snapshotBytes {
                    ChangeRecord.append(next, of: table, to: &bytes)
                    next += 1
                }
            }
            start = max(next, 1)
            return record
        }
        state.journal = renewed.journal
        state.generation = number
        state.snapshotBytes = renewed.snapshotBytes
    }
}

extension CatalogueSnapshot {
    /// Whether an item exists that the bundle does not have.
    fileprivate func isAddedItem(_ id: String) -> Bool { row(of: id).map { isAdded($0) } ?? false }

    /// Why an item cannot be added; nil: it can be.
    fileprivate func fault(of item: AddedItem, _ id: String) -> String? {
        switch extensibility {
        case .none(let reason): return "no items can be added: \(reason)"
        case .by(let table):
            var id = id
            guard id.withUTF8({ items.isUsable($0) }) else { return AddedItem.Fault.noInteger.description }
            guard case .failure(let fault) = table.row(of: item, in: items) else { return nil }
            return fault.description
        }
    }
}
