// The store inside this process: a table in memory, a journal that each change is written to before it is applied, and
// snapshots, so that journals do not grow forever. The files are `snapshot.N` and `journal.N`. A snapshot has all of
// the journals before N and perhaps part of N, which is harmless: applying a change twice has no effect.

internal import Dispatch
internal import Glibc
internal import Journal
internal import Locking

/// The settings of a local store.
package struct LocalUserStoreConfiguration: Sendable, Equatable {
    /// A folder that nothing else uses; created if missing.
    package var directory: String
    /// The most events stored per user, keeping the newest; at least 1.
    package var maxEvents: Int
    /// Seconds after the last event when a user is deleted; nil: never.
    package var lifetime: UInt32?
    /// Whether every change is on disk before it is acknowledged. Otherwise that takes up to a tenth of a second; a
    /// change survives the end of this process in either case.
    package var syncsAlways: Bool
    /// Journal size in bytes from which a snapshot is worthwhile.
    package var snapshotThreshold = 256 << 20

    package init(directory: String, maxEvents: Int, lifetime: UInt32?, syncsAlways: Bool) {
        self.directory = directory
        self.maxEvents = maxEvents
        self.lifetime = lifetime
        self.syncsAlways = syncsAlways
    }
}

/// Stores users' events in memory and in a folder.
///
/// `@unchecked Sendable`: two locks protect mutable state, and Dispatch's timer may be used from any thread.
package final class LocalUserStore: UserStore, ItemTexts, @unchecked Sendable {
    /// What was read at startup.
    package struct Recovery: Sendable, Equatable {
        package var users = 0
        /// Length of a torn record that was cut off the journal's end after a crash.
        package var cutBytes = 0
    }

    /// The number of events inserted before lookups get a turn.
    private static let turn = 256

    private struct Writer {
        var journal: JournalFile
        var generation: Int
        var isCompacting = false
        /// The earliest time to retry replacing a failed journal, in seconds since the system's start.
        var retryTime = 0
    }

    private let configuration: LocalUserStoreConfiguration
    private let folder: JournalFolder
    /// nil: released.
    private let folderLock: Lock<FolderLock?>
    /// Held while a change is written and applied, so that table and journal have the changes in the same order.
    private let writer: Lock<Writer>
    /// Held only briefly, because lookups wait for it.
    private let table: Lock<EventTable>
    private let queue = DispatchQueue(label: "genrec.users", qos: .utility)
    private let timer: any DispatchSourceTimer
    private let now: @Sendable () -> UInt32
    private let reportFailure: @Sendable (UserStoreError) -> Void
    /// What was read at startup.
    package let recovery: Recovery

    /// Opens the folder and reads its contents.
    ///
    /// - Parameters:
    ///   - now: seconds since the epoch.
    ///   - reportFailure: called with errors of background work.
    /// - Throws: `UserStoreError` if the folder cannot be used, another process uses it, or a snapshot is damaged.
    package init(
        _ configuration: LocalUserStoreConfiguration,
        now: @escaping @Sendable () -> UInt32 = { UInt32(truncatingIfNeeded: time(nil)) },
        reportFailure: @escaping @Sendable (UserStoreError) -> Void = { _ in }
    ) throws(UserStoreError) {
        self.configuration = configuration
        self.now = now
        self.reportFailure = reportFailure
        let folder = JournalFolder(configuration.directory, magic: UserRecord.magic, contents: "users")
        self.folder = folder
        let replay = EventReplay(EventTable(maxEvents: configuration.maxEvents))
        let opened: JournalFolder.Opened
        do throws(JournalError) {
            folderLock = Lock(try folder.lock())
            opened = try folder.open { UserRecord.apply(&$0, to: replay) }
            writer = Lock(Writer(journal: try folder.journal(opened), generation: opened.generation))
        } catch {
            throw UserStoreError(error)
        }
        let events = replay.finish()
        recovery = Recovery(users: events.userCount, cutBytes: opened.cutBytes)
        table = Lock(events)
        timer = DispatchSource.makeTimerSource(queue: queue)
        timer.schedule(deadline: .now() + .milliseconds(100), repeating: .milliseconds(100), leeway: .milliseconds(10))
        timer.setEventHandler { [weak self] in self?.syncInBackground() }
        timer.activate()
    }

    deinit {
        timer.cancel()
    }

    /// Whether a folder has a store's files.
    package static func isStore(_ directory: String) -> Bool {
        JournalFolder(directory, magic: UserRecord.magic, contents: "users").isInUse
    }

    // MARK: Reading

    package func events(
        of user: String,
        _ completion: @escaping @Sendable (Result<[UserEvent]?, UserStoreError>) -> Void
    ) {
        completion(.success(events(of: user)))
    }

    /// The events of a user, oldest first; nil if there is no such user.
    package func events(of user: String) -> [UserEvent]? {
        let oldest = oldestSeen
        return table.withLock { $0.events(of: user, seenSince: oldest) }
    }

    package func history(
        of user: String,
        _ numbers: some EventNumbers,
        _ completion: @escaping @Sendable (Result<UserHistory?, UserStoreError>) -> Void
    ) {
        completion(.success(history(of: user, numbers)))
    }

    /// The events of a user as a model reads them; nil if there is no such user.
    package func history(of user: String, _ numbers: some EventNumbers) -> UserHistory? {
        let oldest = oldestSeen
        return table.withLock { $0.history(of: user, seenSince: oldest, numbers, texts: self) }
    }

    func texts(ofItems numbers: [UInt32]) -> [String] { table.withLock { $0.itemTexts(numbers) } }

    /// The ids of all users, in no order.
    package var userIDs: [String] { table.withLock { $0.userIDs } }

    /// Users last seen before this time are deleted.
    private var oldestSeen: UInt32 {
        guard let lifetime = configuration.lifetime else { return 0 }
        let now = now()
        return now > lifetime ? now - lifetime : 0
    }

    // MARK: Writing

    package func append(
        _ events: [IncomingEvent],
        _ completion: @escaping @Sendable (Result<AppendOutcome, UserStoreError>) -> Void
    ) {
        do throws(UserStoreError) {
            completion(.success(try append(events)))
        } catch {
            completion(.failure(error))
        }
    }

    /// Stores events: all of them or, on an error, none.
    package func append(_ events: [IncomingEvent]) throws(UserStoreError) -> AppendOutcome {
        let seen = now()
        var record: [UInt8] = []
        record.reserveCapacity(events.count * 48)
        UserRecord.append(events, seen: seen, to: &record)
        var outcome = AppendOutcome()
        outcome.isPersisted = true
        guard !events.isEmpty else { return outcome }
        let (turn, oldest) = (Self.turn, oldestSeen)
        try write(record, sync: configuration.syncsAlways) {
            var start = 0
            while start < events.count {
                let end = min(start + turn, events.count)
                outcome.accepted += self.table.withLock { table in
                    events[start..<end].count { event in
                        // A user due for deletion starts over.
                        if let seen = table.lastSeen(event.user), seen < oldest { table.delete(event.user) }
                        return table.append(event.event, of: event.user, seen: seen)
                    }
                }
                start = end
            }
        }
        outcome.duplicates = events.count - outcome.accepted
        return outcome
    }

    package func delete(
        _ user: String,
        _ completion: @escaping @Sendable (Result<Void, UserStoreError>) -> Void
    ) {
        do throws(UserStoreError) {
            completion(.success(try delete(user)))
        } catch {
            completion(.failure(error))
        }
    }

    /// Deletes a user; the deletion is on disk when this returns.
    package func delete(_ user: String) throws(UserStoreError) {
        var record: [UInt8] = []
        UserRecord.append(deletionOf: user, to: &record)
        try write(record, sync: true) { self.table.withLock { $0.delete(user) } }
    }

    /// Writes a record, then applies its change.
    private func write(_ record: [UInt8], sync: Bool, _ change: () -> Void) throws(UserStoreError) {
        let wantsSnapshot = try writer.withLock { writer throws(UserStoreError) in
            do throws(JournalError) {
                if let failure = writer.journal.check() { try replaceJournal(&writer, failure) }
                try writer.journal.append(record, syncs: sync)
            } catch {
                throw UserStoreError(error)
            }
            change()
            guard writer.journal.byteCount > configuration.snapshotThreshold, !writer.isCompacting else { return false }
            writer.isCompacting = true
            return true
        }
        if wantsSnapshot { queue.async { [weak self] in self?.compactInBackground() } }
    }

    /// Flushes written records to disk; after a failure, tries to recover.
    func syncInBackground() {
        let descriptor: Int32? = writer.withLock { writer in
            guard let failure = writer.journal.failure else { return writer.journal.takeUnsynced() }
            // Acknowledged events are only in memory. The failure has been reported once; retries stay silent.
            if Self.uptime > writer.retryTime { try? replaceJournal(&writer, failure) }
            return nil
        }
        guard let descriptor else { return }
        // Without the lock, so that nobody waits for the disk.
        let isSynced = fdatasync(descriptor) == 0
        let code = errno
        Glibc.close(descriptor)
        guard !isSynced else { return }
        reportFailure(UserStoreError(writer.withLock { $0.journal.syncFailed(code) }))
    }

    /// Replaces a failed journal with a snapshot and a new journal: acknowledged events are only in memory and must be
    /// on disk before more are accepted.
    private func replaceJournal(_ writer: inout Writer, _ failure: JournalError) throws(JournalError) {
        let start = Self.uptime
        guard start >= writer.retryTime else { throw failure }
        let oldest = oldestSeen
        var number: UInt32 = 0
        do throws(JournalError) {
            writer.journal = try folder.renew(writer.journal, writer.generation + 1) {
                number += 1
                return self.snapshotRecord(ofUser: number, oldest)
            }.journal
        } catch {
            // A large snapshot that does not fit must not be retried for each event.
            writer.retryTime = start + 10 * (Self.uptime - start)
            throw error
        }
        writer.generation += 1
    }

    private static var uptime: Int { Int(DispatchTime.now().uptimeNanoseconds / 1_000_000_000) }

    // MARK: Snapshots

    private func compactInBackground() {
        do throws(UserStoreError) {
            try compact()
        } catch {
            reportFailure(error)
        }
    }

    /// Writes a snapshot and removes the files it replaces. Events are accepted and users looked up meanwhile.
    package func compact() throws(UserStoreError) {
        defer { writer.withLock { $0.isCompacting = false } }
        do throws(JournalError) {
            let generation = try beginJournal()
            let oldest = oldestSeen
            var number: UInt32 = 0
            _ = try folder.writeSnapshot(generation) {
                number += 1
                return self.snapshotRecord(ofUser: number, oldest)
            }
            folder.removeFiles(before: generation)
        } catch {
            throw UserStoreError(error)
        }
    }

    /// Starts the journal that follows the next snapshot.
    private func beginJournal() throws(JournalError) -> Int {
        try writer.withLock { writer throws(JournalError) in
            writer.isCompacting = true
            let next = writer.generation + 1
            try writer.journal.sync()
            writer.journal = try folder.makeJournal(next)
            writer.generation = next
            return next
        }
    }

    /// All events of the user with a number; empty for a user last seen before `oldest`, who is deleted. Nil: there are
    /// no more users. Events that arrive meanwhile are in the new journal.
    private func snapshotRecord(ofUser number: UInt32, _ oldest: UInt32) -> [UInt8]? {
        // One user per turn, so that lookups wait no longer than that.
        table.withLock { table in
            guard number < table.endNumber else { return nil }
            guard let user = table.user(number) else { return [] }
            guard let seen = table.lastSeen(user), seen >= oldest, let events = table.events(of: user) else {
                table.delete(user)
                return []
            }
            var record: [UInt8] = []
            UserRecord.append(events.map { IncomingEvent(user: user, event: $0) }, seen: seen, to: &record)
            return record
        }
    }

    /// 1 while the disk has failed and nothing is accepted.
    package var openBreakers: Int { writer.withLock { $0.journal.failure == nil ? 0 : 1 } }

    package func close() {
        timer.cancel()
        // Wait for background work, so that another store may use the folder afterwards.
        queue.sync {}
        defer { folderLock.withLock { $0 = nil } }
        do throws(JournalError) {
            try writer.withLock { writer throws(JournalError) in try writer.journal.sync() }
        } catch {
            reportFailure(UserStoreError(error))
        }
    }
}
