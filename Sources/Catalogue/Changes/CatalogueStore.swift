// The changes of one model's catalogue, in memory and, where there is a folder, in a journal that is on the disk before a call
// is answered.

internal import Journal
internal import Locking

/// What became of the changes of a call.
package struct ChangeOutcome: Sendable, Equatable {
    /// Changes of items that are known.
    package var changed = 0
    /// Changes of others; they did nothing.
    package var unknown = 0
    /// The ids of the first ten of them.
    package var unknownItems: [String] = []
    /// Whether the changes outlive this process.
    package var isPersisted = false
    /// Counts the calls that changed something.
    package var revision = 0
}

/// Changes that cannot be kept; nothing was changed.
package struct CatalogueStoreError: Error, CustomStringConvertible {
    /// Whether it is for want of room.
    package let isFull: Bool
    /// One sentence.
    package let description: String

    init(_ error: JournalError) {
        isFull = error.code == .full
        description = error.description
    }
}

/// Keeps the changes of a catalogue. Of those who change it one has its turn at a time, and waits for the disk.
///
/// The journal and the snapshots are as `JournalFolder` has them; every change states what is and not what was done, so that it
/// may be applied twice.
package final class CatalogueStore: Sendable {
    /// Bytes of a journal that is never compacted: there is nothing to win.
    private static let smallJournal = 1 << 20

    private struct State {
        var table = ChangeTable()
        /// nil: nothing outlives the process.
        var journal: JournalFile?
        var generation = 1
        /// Bytes of the snapshot that the journal follows.
        var snapshotBytes = 0
        /// Why nothing is taken any more.
        var failure: CatalogueStoreError?
    }

    private let folder: JournalFolder?
    private let reportFailure: @Sendable (String) -> Void
    private let state: Lock<State>
    /// Bytes of a record that a crash tore, cut off the journal's end.
    package let cutBytes: Int

    /// Opens the folder and reads what is in it.
    ///
    /// - Parameters:
    ///   - directory: a folder that nobody else uses, made if it is not there; nil: nothing outlives the process.
    ///   - reportFailure: told of a snapshot that could not be written.
    package init(
        directory: String?,
        reportFailure: @escaping @Sendable (String) -> Void = { _ in }
    ) throws(CatalogueStoreError) {
        self.reportFailure = reportFailure
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

    /// The catalogue with all changes of items that it has.
    package func snapshot(of items: Catalogue) -> CatalogueSnapshot {
        state.withLock { Self.snapshot(of: items, $0.table) }
    }

    private static func snapshot(of items: Catalogue, _ table: ChangeTable) -> CatalogueSnapshot {
        let base = CatalogueSnapshot(items)
        return snapshot(after: base, table, table.states.indices)
    }

    private static func snapshot(
        after before: CatalogueSnapshot,
        _ table: ChangeTable,
        _ numbers: some Sequence<Int>
    ) -> CatalogueSnapshot {
        var states: [(row: Int32, state: ItemState)] = []
        for number in numbers {
            guard let row = table.withID(number, { before.items.row(ofString: $0) }) else { continue }
            states.append((row, table.states[number]))
        }
        return CatalogueSnapshot(before, revision: table.revision, states)
    }

    /// Hands the catalogue to `publish` with all changes, before the next call has its turn.
    ///
    /// - Parameter current: a state that `snapshot(of:)` gave; it costs nothing if there was no change since.
    package func admit(_ current: CatalogueSnapshot, _ publish: (CatalogueSnapshot) -> Void) {
        state.withLock { state in
            let isCurrent = current.revision == state.table.revision
            publish(isCurrent ? current : Self.snapshot(of: current.items, state.table))
        }
    }

    /// Makes changes: all of those of known items or, with an error, none.
    ///
    /// - Parameters:
    ///   - current: the states that are served of the catalogues that this is about. An item is known that one of them has.
    ///   - publish: given the states after the changes, in the same order, before the next call has its turn.
    package func apply(
        _ changes: [CatalogueChange],
        current: () -> [CatalogueSnapshot],
        publish: ([CatalogueSnapshot]) -> Void
    ) throws(CatalogueStoreError) -> ChangeOutcome {
        try state.withLock { state throws(CatalogueStoreError) in
            if let failure = state.failure { throw failure }
            let before = current()
            var outcome = ChangeOutcome()
            var known: [CatalogueChange] = []
            known.reserveCapacity(changes.count)
            for change in changes {
                if before.contains(where: { $0.row(of: change.item) != nil }) {
                    known.append(change)
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
            var numbers = Set<Int>()
            for change in known { numbers.insert(state.table.apply(change)) }
            let table = state.table
            publish(before.map { Self.snapshot(after: $0, table, numbers) })
            return outcome
        }
    }

    /// Writes the changes of a call, and waits until they are on the disk.
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
            if let journal = state.journal, journal.byteCount > max(Self.smallJournal, 2 * state.snapshotBytes) {
                do throws(JournalError) {
                    try Self.compact(folder, &state)
                } catch {
                    // The journals are all there, and go on.
                    reportFailure(error.description)
                }
            }
            try state.journal?.append(record)
        } catch {
            throw CatalogueStoreError(error)
        }
        do throws(JournalError) {
            try state.journal?.sync()
        } catch {
            // What the disk has of the journal is unknown from here on.
            let failure = CatalogueStoreError(error)
            state.failure = failure
            throw failure
        }
    }

    /// Writes a snapshot and removes the files that it replaces.
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
        let next = state.generation + 1
        // First, so that nothing is ever written to a journal that a snapshot has replaced.
        state.journal = try folder.makeJournal(next)
        state.generation = next
        let table = state.table
        var start = 0
        state.snapshotBytes = try folder.writeSnapshot(next) {
            guard start == 0 || start < table.states.count else { return nil }
            let end = min(start + ChangeRecord.snapshotCount, table.states.count)
            var record: [UInt8] = []
            JournalRecord.append(to: &record) { bytes in
                bytes.append(record: UInt64(table.revision))
                for number in start..<end { ChangeRecord.append(number, of: table, to: &bytes) }
            }
            start = max(end, 1)
            return record
        }
        folder.removeFiles(before: next)
    }
}
