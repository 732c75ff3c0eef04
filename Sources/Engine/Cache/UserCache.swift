// Which users' keys and values are cached, in which pages, and who may use them. A pure value protected by the engine's
// lock: it sees histories and page numbers, never a device. A request reuses rows only after comparing the entry's
// history event by event. This file has the path of a request, from lookup to check-in; UserCache+Lookup has the
// search.

internal import HeapModule

/// The rows of users' histories that a device keeps.
///
/// An entry is the rows of one history. It is either idle, and may be evicted, or checked out by the one request that
/// computes on it. A user's entries serve only that user; entries without a user serve requests without one.
package struct UserCache: Sendable {
    /// The rows that a request computes on, held from `checkOut` to `checkIn` or `discard`.
    package struct Lease: Sendable, Equatable {
        let id: UInt64
        /// Cached rows; fewer than the history has events.
        package var rows: Int
        /// The pages of the cached rows and, if there was room, of the others.
        package fileprivate(set) var pages: [Int32]
        /// Whether all rows of the history fit the pages, so that computed rows can be stored.
        package fileprivate(set) var storesRows: Bool
        /// Pages of the reserved rows, in addition to the history's.
        package fileprivate(set) var reservedPages: [Int32] = []
    }

    /// What forgetting a user dropped.
    package struct Dropped: Sendable, Equatable {
        package var entries = 0
        /// Cached rows of the entries.
        package var events = 0
        /// Bytes of pages that became free.
        package var bytes = 0
        /// Requests that wait or are being computed: they are answered, but not cached.
        package var inFlight = 0

        static func += (left: inout Dropped, right: Dropped) {
            left.entries += right.entries
            left.events += right.events
            left.bytes += right.bytes
            left.inFlight += right.inFlight
        }
    }

    /// Counts since the cache was made, and what it holds now.
    package struct Statistics: Sendable, Equatable {
        /// All rows of an entry, except at most the newest, were reused: the history equals or continues the cached
        /// one.
        package var hits: UInt64 = 0
        /// Some rows were reused and others were not, or the entry was in use and only its full pages could be shared.
        package var partialHits: UInt64 = 0
        /// No row was reused.
        package var misses: UInt64 = 0
        /// Entries that made room for others.
        package var evictions: UInt64 = 0
        /// Idle entries.
        package var entries = 0
        /// Bytes of the pages held by idle entries and by requests.
        package var bytes = 0

        package init() {}

        static func + (left: Statistics, right: Statistics) -> Statistics {
            var sum = left
            sum.hits += right.hits
            sum.partialHits += right.partialHits
            sum.misses += right.misses
            sum.evictions += right.evictions
            sum.entries += right.entries
            sum.bytes += right.bytes
            return sum
        }
    }

    struct Entry: Sendable {
        /// The user; nil: found by hash.
        let owner: String?
        /// Its first `rows` events belong to the rows. An idle entry has no further events.
        var history: UsedHistory
        let hashes: PrefixHashes?
        /// The prefix lengths under which the entry can be found by hash, ascending.
        var lengths: [Int] = []
        /// Complete rows. While the entry is checked out, those that were complete before and stay unchanged.
        var rows: Int
        var pages: [Int32]
        /// Order of the check-outs.
        var serial: UInt64
        /// When it last became idle.
        var stamp: UInt64 = 0
        var isLeased = true
        /// Whether it stays in the cache after its request.
        var keeps: Bool
        /// How many of its pages are reserved, not the history's; only while it is checked out.
        var reservedPages = 0
    }

    /// A position in the eviction order. Stale positions of entries used since then stay in the heap until they reach
    /// its top.
    private struct Place: Comparable {
        let stamp: UInt64
        let id: UInt64

        static func < (left: Place, right: Place) -> Bool { left.stamp < right.stamp }
    }

    /// Rows of a page.
    package let pageRows: Int
    let pageByteCount: Int
    let dependsOnNextTime: Bool
    /// Whether anything is cached between requests.
    private let keepsRows: Bool
    /// Whether its pages take memory only while they are held, so that models can share the memory.
    let isShared: Bool
    private(set) var table: PageTable
    private(set) var entries: [UInt64: Entry] = [:]
    /// Entries of each user: at most one idle entry, and those that are checked out.
    private(set) var users: [String: [UInt64]] = [:]
    /// Entries without a user, by the hash of a prefix; the latest of several.
    private(set) var index: [UInt64: UInt64] = [:]
    private var order = Heap<Place>()
    /// The logical clock of stamps. `JobTable` gives the caches of all models the same one.
    var clock: UInt64 = 0
    /// Pages of checked-out entries; a shared page counts once for each entry.
    private var leasedPages = 0
    private var counts = Statistics()

    /// - Parameters:
    ///   - pageRows, pageCount, pageByteCount: as in the device's pool.
    ///   - dependsOnNextTime: as in `PrefixReuse`.
    ///   - keepsRows: false: the pages are only working memory.
    ///   - isShared: whether it shares the memory of its pages with the caches of other models (`JobTable`).
    package init(
        pageRows: Int,
        pageCount: Int,
        pageByteCount: Int,
        dependsOnNextTime: Bool,
        keepsRows: Bool = true,
        isShared: Bool = false
    ) {
        self.keepsRows = keepsRows
        self.isShared = isShared
        self.pageRows = pageRows
        self.pageByteCount = pageByteCount
        self.dependsOnNextTime = dependsOnNextTime
        table = PageTable(pageCount: pageCount)
    }

    package var statistics: Statistics {
        var statistics = counts
        statistics.bytes = usedBytes
        return statistics
    }

    /// Bytes of held pages.
    var usedBytes: Int { table.usedCount * pageByteCount }
    /// Bytes of the whole pool.
    var poolBytes: Int { table.pageCount * pageByteCount }

    // MARK: - The path of a request

    /// Checks out the cached rows of a history, and pages for the rest of it.
    ///
    /// - Parameters:
    ///   - owner: the user; nil: the history is looked up by `hashes`.
    ///   - keeps: false: nothing is looked up, and nothing is cached afterwards. Such a lease is only working memory.
    ///   - reserved: rows needed in addition to the history's, on separate pages, until the lease is returned.
    /// - Returns: nil if there is nothing to reuse and no room for the history, which is then computed without a lease.
    package mutating func checkOut(
        _ history: UsedHistory,
        owner: String?,
        hashes: PrefixHashes?,
        keeps: Bool = true,
        reserving reserved: Int = 0
    ) -> Lease? {
        // All or nothing: no entry is evicted for a reservation that does not fit.
        guard reserved == 0 || hasRoom(for: history.count, reserving: reserved) else { return nil }
        let keeps = keeps && keepsRows
        clock += 1
        var entry = Entry(
            owner: owner,
            history: history,
            hashes: hashes,
            rows: 0,
            pages: [],
            serial: clock,
            keeps: keeps
        )
        var id = clock
        var isWhole = false
        if keeps, let found = find(history, owner: owner, hashes: hashes) {
            if found.takesOver {
                id = found.id
                isWhole = takeOver(id, rows: found.rows, into: &entry)
            } else if let source = entries[found.id] {
                entry.rows = found.rows / pageRows * pageRows
                entry.pages = Array(source.pages[..<(entry.rows / pageRows)])
                table.retain(entry.pages)
            }
        }
        if keeps {
            if entry.rows == 0 {
                counts.misses += 1
            } else if isWhole {
                counts.hits += 1
            } else {
                counts.partialHits += 1
            }
        }
        leasedPages += entry.pages.count
        insert(entry, id)
        let reservedPages = pages(reserved)
        entries[id]?.reservedPages = reservedPages
        let storesRows = grow(id, to: (pages(history.count) + reservedPages) * pageRows)
        guard storesRows || entry.rows > 0 else {
            remove(id)
            return nil
        }
        return lease(id)
    }

    private func pages(_ rows: Int) -> Int { (rows + pageRows - 1) / pageRows }

    /// Whether a history and this many additional rows would get pages now.
    package func hasRoom(for rows: Int, reserving reserved: Int) -> Bool {
        pages(rows) + pages(reserved) <= table.pageCount - leasedPages
    }

    /// Whether they would get pages if no other request held any.
    package func fits(_ rows: Int, reserving reserved: Int) -> Bool {
        pages(rows) + pages(reserved) <= table.pageCount
    }

    /// Extends a lease to this many rows, as a generated sequence grows.
    ///
    /// - Returns: whether there were enough pages; if not, the lease no longer stores rows.
    package mutating func extend(_ lease: inout Lease, to rows: Int) -> Bool {
        let isEnough = grow(lease.id, to: rows)
        lease.pages = entries[lease.id]?.pages ?? []
        lease.storesRows = isEnough && lease.storesRows
        return lease.storesRows
    }

    /// Returns a lease: its entry becomes idle, unless it must not stay in the cache.
    ///
    /// Of several entries of a user, only the one checked out last stays.
    ///
    /// - Parameter rows: how many of its history's rows are complete. Rows beyond the history (generated items) are not
    ///   cached: those events did not happen.
    /// - Returns: whether the rows stay in the cache.
    @discardableResult
    package mutating func checkIn(_ lease: Lease, rows: Int) -> Bool {
        guard var entry = entries[lease.id], entry.isLeased else { return false }
        let rows = min(rows, entry.history.count)
        let rivals = rivals(of: lease.id, entry, rows: rows)
        let isNewest = rivals.allSatisfy { entries[$0].map { $0.serial < entry.serial } ?? true }
        guard entry.keeps, rows > 0, isNewest else {
            remove(lease.id)
            return false
        }
        for rival in rivals { remove(rival) }
        leasedPages -= entry.pages.count
        let kept = (rows + pageRows - 1) / pageRows
        table.release(entry.pages[min(kept, entry.pages.count)...])
        entry.pages.removeLast(max(0, entry.pages.count - kept))
        entry.history = entry.history.prefix(rows)
        entry.rows = rows
        entry.isLeased = false
        entry.reservedPages = 0
        clock += 1
        entry.stamp = clock
        entries[lease.id] = entry
        counts.entries += 1
        register(lease.id)
        order.insert(Place(stamp: clock, id: lease.id))
        if order.count > 2 * entries.count + 64 { order = Heap(order.unordered.filter(isCurrent)) }
        return true
    }

    /// Returns a lease whose rows cannot be trusted, because the device failed.
    package mutating func discard(_ lease: Lease) {
        if entries[lease.id]?.isLeased == true { remove(lease.id) }
    }

    /// Drops a user: removes idle entries and makes checked-out ones leave the cache after their requests.
    package mutating func forget(_ owner: String) -> Dropped {
        var dropped = Dropped()
        for id in users[owner] ?? [] {
            guard let entry = entries[id] else { continue }
            if entry.isLeased {
                // It can no longer be found; its request continues.
                if entry.keeps { dropped.inFlight += 1 }
                entries[id]?.keeps = false
            } else {
                dropped.entries += 1
                dropped.events += entry.rows
                dropped.bytes += remove(id) * pageByteCount
            }
        }
        return dropped
    }

    // MARK: - Entries

    /// Checks out an idle entry for a history that shares its first `rows` rows. The rest of the entry is dropped.
    ///
    /// - Returns: whether no more than the entry's newest row was dropped.
    private mutating func takeOver(_ id: UInt64, rows: Int, into entry: inout Entry) -> Bool {
        guard let found = entries[id] else { return false }
        counts.entries -= 1
        var rows = rows
        // The page for the next row must not be written if it is shared.
        if rows % pageRows != 0, table.holderCount(of: found.pages[rows / pageRows]) > 1 {
            rows = rows / pageRows * pageRows
        }
        let kept = (rows + pageRows - 1) / pageRows
        entry.rows = rows
        entry.pages = Array(found.pages[..<kept])
        unregister(id, beyond: rows)
        entry.lengths = found.lengths.filter { isKept($0, within: rows) }
        table.release(found.pages[kept...])
        unlink(id)
        return rows >= found.rows - 1
    }

    private mutating func insert(_ entry: Entry, _ id: UInt64) {
        entries[id] = entry
        if let owner = entry.owner { users[owner, default: []].append(id) }
    }

    /// Takes an entry out of the table, without its pages.
    private mutating func unlink(_ id: UInt64) {
        guard let entry = entries.removeValue(forKey: id), let owner = entry.owner else { return }
        users[owner]?.removeAll { $0 == id }
        if users[owner]?.isEmpty == true { users[owner] = nil }
    }

    /// Drops an entry.
    ///
    /// - Returns: pages that became free.
    @discardableResult
    private mutating func remove(_ id: UInt64) -> Int {
        guard let entry = entries[id] else { return 0 }
        unregister(id, beyond: 0)
        unlink(id)
        if entry.isLeased { leasedPages -= entry.pages.count } else { counts.entries -= 1 }
        return table.release(entry.pages)
    }

    /// Extends a checked-out entry to this many rows, evicting the least recently used entries. If there cannot be
    /// enough pages, returns false and evicts nothing.
    private mutating func grow(_ id: UInt64, to rows: Int) -> Bool {
        guard let entry = entries[id] else { return false }
        let missing = (rows + pageRows - 1) / pageRows - entry.pages.count
        guard missing > 0 else { return true }
        guard missing <= table.pageCount - leasedPages else { return false }
        while table.freeCount < missing, let place = order.popMin() {
            guard isCurrent(place) else { continue }
            remove(place.id)
            counts.evictions += 1
        }
        guard let pages = table.allocate(missing) else { return false }
        leasedPages += missing
        entries[id]?.pages += pages
        return true
    }

    /// The stamp of the entry that has been idle longest; nil if none is idle.
    mutating func oldestStamp() -> UInt64? {
        while let place = order.min {
            if isCurrent(place) { return place.stamp }
            _ = order.popMin()
        }
        return nil
    }

    /// Drops the entry that has been idle longest, to make room for another model.
    ///
    /// - Returns: the pages left without holders.
    mutating func evictOldest() -> [Int32] {
        guard oldestStamp() != nil, let place = order.popMin(), let pages = entries[place.id]?.pages else { return [] }
        remove(place.id)
        counts.evictions += 1
        return pages.filter { table.holderCount(of: $0) == 0 }
    }

    private func isCurrent(_ place: Place) -> Bool {
        guard let entry = entries[place.id] else { return false }
        return !entry.isLeased && entry.stamp == place.stamp
    }

    private func lease(_ id: UInt64) -> Lease? {
        entries[id].map { entry in
            Lease(
                id: id,
                rows: entry.rows,
                pages: Array(entry.pages.dropLast(entry.reservedPages)),
                storesRows: entry.pages.count * pageRows >= entry.history.count,
                reservedPages: entry.pages.suffix(entry.reservedPages)
            )
        }
    }

    // MARK: - Finding by hash

    /// Indexes an idle entry by the hashes of its whole history and of its full pages.
    private mutating func register(_ id: UInt64) {
        guard var entry = entries[id], entry.owner == nil, let hashes = entry.hashes else { return }
        // Remaining lengths are multiples of the page size (`isKept`).
        var length = (entry.lengths.last ?? 0) + pageRows
        while length <= entry.rows {
            entry.lengths.append(length)
            length += pageRows
        }
        if entry.rows % pageRows != 0 { entry.lengths.append(entry.rows) }
        for length in entry.lengths { index[hashes[length]] = id }
        entries[id] = entry
    }

    /// Removes an entry from the index except for the full pages of its first `rows` events.
    private mutating func unregister(_ id: UInt64, beyond rows: Int) {
        guard let entry = entries[id], let hashes = entry.hashes else { return }
        for length in entry.lengths where !isKept(length, within: rows) && index[hashes[length]] == id {
            index[hashes[length]] = nil
        }
    }

    private func isKept(_ length: Int, within rows: Int) -> Bool { length <= rows && length % pageRows == 0 }
}
