// Replays records at startup on two threads: one reads and assigns numbers to texts, the other extends users' lists.
// Both wait for memory nearly all the time.

internal import Dispatch

/// Records being added to a table.
///
/// `@unchecked Sendable`: `lists` is used only on `queue`, everything else only by the reading thread.
final class EventReplay: @unchecked Sendable {
    /// The most events handed to the other thread at once.
    private static let chunk = 4_096

    private var table: EventTable
    private var lists: UserLists
    private var pending: [UserLists.UserEvent] = []
    private let queue = DispatchQueue(label: "genrec.users.replay")
    /// Limits waiting chunks, so that reading does not get too far ahead of the lists.
    private let room = DispatchSemaphore(value: 8)

    init(_ table: consuming EventTable) {
        self.table = table
        lists = self.table.takeLists()
        pending.reserveCapacity(Self.chunk + EventTable.batch)
    }

    /// Appends the events of a record.
    ///
    /// - Parameter user: the number of the previous event's user; set to that of the last one.
    func append(_ events: [EventTable.EventBytes], seen: UInt32, after user: inout UInt32) {
        table.number(events, seen: seen, after: &user, &pending)
        if pending.count >= Self.chunk { handOn() }
    }

    /// Deletes a user.
    func delete(_ user: String) {
        guard let number = table.removeName(user) else { return }
        // Events so far are this user's; later events under this number may be another user's.
        handOn()
        queue.async { [self] in lists.clear(number) }
    }

    private func handOn() {
        let events = pending
        pending = []
        pending.reserveCapacity(Self.chunk + EventTable.batch)
        let end = table.endNumber
        room.wait()
        queue.async { [self] in
            lists.grow(to: end)
            lists.append(events)
            room.signal()
        }
    }

    /// The table with everything that was read; nothing may be appended afterwards.
    func finish() -> EventTable {
        handOn()
        return queue.sync {
            var table = table
            table.put(lists)
            lists = UserLists(maxEvents: 1)
            return table
        }
    }
}
