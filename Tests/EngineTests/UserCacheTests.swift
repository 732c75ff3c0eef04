// The cache over pages that remember their content: every row that a lease calls cached must be present, for exactly
// this history, whoever else reads and writes meanwhile.

import Random
import Testing

@testable import Engine

/// A pool whose pages store, for each row, everything that the row depends on.
private struct PagedRows {
    private struct Row: Equatable {
        var items: [Int32]
        var timestamps: [Int64]?
        var next: Int64?
    }

    private var rows: [[Row?]]
    let dependsOnNextTime: Bool

    init(_ cache: UserCache) {
        rows = Array(repeating: Array(repeating: nil, count: cache.pageRows), count: cache.table.pageCount)
        dependsOnNextTime = cache.dependsOnNextTime
    }

    private func row(_ history: UsedHistory, _ index: Int) -> Row {
        Row(
            items: Array(history.items[...index]),
            timestamps: history.timestamps.map { Array($0[...index]) },
            next: dependsOnNextTime && history.timestamps != nil ? history.time(after: index + 1) : nil
        )
    }

    mutating func write(_ history: UsedHistory, _ range: Range<Int>, _ lease: UserCache.Lease) {
        for index in range {
            rows[Int(lease.pages[index / rows[0].count])][index % rows[0].count] = row(history, index)
        }
    }

    func holds(_ history: UsedHistory, _ count: Int, _ lease: UserCache.Lease) -> Bool {
        (0..<count).allSatisfy { index in
            rows[Int(lease.pages[index / rows[0].count])][index % rows[0].count] == row(history, index)
        }
    }
}

private func history(
    _ items: [Int32],
    times: [Int64]? = nil,
    actions: [UInt64] = [],
    start: Int = 0,
    at time: Int64 = 1_000
) -> UsedHistory {
    UsedHistory(start: start, items: items, timestamps: times, actions: actions, followingTime: time)
}

extension UserCache {
    fileprivate mutating func take(_ history: UsedHistory, of owner: String?) throws -> Lease {
        let lease = checkOut(history, owner: owner, hashes: PrefixHashes(history))
        return try #require(lease)
    }
}

@Suite struct UserCacheTests {
    private func cache(pages: Int = 64, dependsOnNextTime: Bool = true) -> UserCache {
        UserCache(pageRows: 4, pageCount: pages, pageByteCount: 100, dependsOnNextTime: dependsOnNextTime)
    }

    /// Computes a complete history and checks it in.
    @discardableResult
    private func keep(_ history: UsedHistory, of owner: String?, in cache: inout UserCache) throws -> Int {
        let lease = try cache.take(history, of: owner)
        cache.checkIn(lease, rows: history.count)
        return lease.rows
    }

    @Test(arguments: ["u", nil]) func anAppendedEvent_IsAllThatIsComputed(owner: String?) throws {
        var cache = cache()
        let times: [Int64] = [10, 20, 30, 40, 50, 60]
        #expect(try keep(history([1, 2, 3, 4, 5], times: Array(times[..<5]), at: 55), of: owner, in: &cache) == 0)
        // The time of the request followed row 4; now the new event follows it.
        #expect(try keep(history([1, 2, 3, 4, 5, 6], times: times, at: 70), of: owner, in: &cache) == 4)
        // Only the time of the request differs.
        #expect(try keep(history([1, 2, 3, 4, 5, 6], times: times, at: 80), of: owner, in: &cache) == 5)
        #expect(cache.statistics.hits == 2 && cache.statistics.misses == 1 && cache.statistics.entries == 1)
        #expect(cache.statistics.bytes == 200)
    }

    @Test func theLastRow_IsReused_WhereTheTimeAfterItIsTheSame() throws {
        var cache = cache()
        try keep(history([1, 2, 3], times: [1, 2, 3], at: 9), of: "u", in: &cache)
        #expect(try keep(history([1, 2, 3, 4], times: [1, 2, 3, 9], at: 9), of: "u", in: &cache) == 3)
    }

    @Test func theLastRow_IsReused_WhereNothingDependsOnTheTimeAfterIt() throws {
        var cache = cache(dependsOnNextTime: false)
        try keep(history([1, 2, 3], times: [1, 2, 3], at: 9), of: "u", in: &cache)
        #expect(try keep(history([1, 2, 3, 4], times: [1, 2, 3, 5], at: 9), of: "u", in: &cache) == 3)
    }

    @Test func nothingIsReused_OfAnotherUser_NorBetweenNamedAndUnnamed() throws {
        var cache = cache()
        let same = history([1, 2, 3, 4, 5, 6, 7, 8, 9])
        for owner in ["u", nil, "v"] { #expect(try keep(same, of: owner, in: &cache) == 0) }
        #expect(cache.statistics.entries == 3)
    }

    @Test func whatDiffers_IsComputedAgain() throws {
        let old = history([1, 2, 3, 4, 5], times: [1, 2, 3, 4, 5], actions: [7, 7, 7, 7, 7], at: 6)
        func reused(_ change: (inout UsedHistory) -> Void) throws -> Int {
            var cache = cache()
            try keep(old, of: "u", in: &cache)
            var new = old
            change(&new)
            return try keep(new, of: "u", in: &cache)
        }
        #expect(try reused { _ in } == 4)
        #expect(try reused { $0.items[2] = 9 } == 2)
        // Row 1 depends on the time of event 2.
        #expect(try reused { $0.timestamps?[2] = 2 } == 1)
        #expect(try reused { $0.actions[3] = 8 } == 3)
        #expect(try reused { $0.actions = [] } == 0)
        #expect(try reused { $0.timestamps = nil } == 0)
        #expect(try reused { $0.start = 1 } == 0)
        #expect(
            try reused {
                $0.items.removeLast(3)
                $0.timestamps?.removeLast(3)
                $0.actions.removeLast(3)
            } == 1
        )
    }

    @Test func aShortenedHistory_IsAPartialHit_AndDropsTheRest() throws {
        var cache = cache()
        try keep(history([1, 2, 3, 4, 5, 6, 7, 8, 9]), of: "u", in: &cache)
        #expect(try keep(history([1, 2, 3]), of: "u", in: &cache) == 2)
        #expect(cache.statistics.partialHits == 1)
        #expect(cache.statistics.bytes == 100)
    }

    @Test func aUserInUse_SharesFullPages_AndTheLatestStays() throws {
        var cache = cache()
        let long = history([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
        try keep(long, of: "u", in: &cache)
        let first = try cache.take(long, of: "u")
        let second = try cache.take(history(long.items + [11]), of: "u")
        #expect(first.rows == 9 && second.rows == 8)
        #expect(Array(first.pages[..<2]) == Array(second.pages[..<2]))
        #expect(first.pages[2] != second.pages[2])
        cache.checkIn(second, rows: 11)
        cache.checkIn(first, rows: 10)
        #expect(cache.statistics.entries == 1)
        #expect(cache.reusableRows(history(long.items + [11, 12]), owner: "u", hashes: nil) == 11)
    }

    @Test func unnamedHistories_FindTheirCommonBeginning_AndLeaveItToEachOther() throws {
        var cache = cache()
        let common = Array(Int32(1)...9)
        try keep(history(common + [10]), of: nil, in: &cache)
        #expect(try keep(history(common + [20]), of: nil, in: &cache) == 9)
        // The first entry was as useful as the second's own: it has all rows but the newest.
        let third = history(common + [20, 21])
        #expect(try keep(third, of: nil, in: &cache) == 10)
        #expect(try keep(history(Array(common[..<5]) + [30]), of: nil, in: &cache) == 4)
        #expect(cache.statistics.entries == 2)
        #expect(cache.reusableRows(third, owner: nil, hashes: PrefixHashes(third)) == 10)
    }

    @Test func equalHashesOfUnlikeHistories_AreNoHit() throws {
        var cache = cache()
        let old = history([1, 2, 3, 4, 5])
        try keep(old, of: nil, in: &cache)
        // As if the hashes of 6, 7, 8, 9, 10 were equal.
        #expect(cache.reusableRows(history([6, 7, 8, 9, 10]), owner: nil, hashes: PrefixHashes(old)) == 0)
    }

    @Test func makesRoom_ByEvictingWhatWasUsedLongestAgo_AndNothingInUse() throws {
        var cache = cache(pages: 4)
        for (number, owner) in ["a", "b", "c", "d"].enumerated() {
            try keep(history([Int32(number + 1), 1, 1]), of: owner, in: &cache)
        }
        let used = try cache.take(history([1, 1, 1]), of: "a")
        try keep(history([3, 1, 1, 2, 2, 2, 2, 2]), of: "c", in: &cache)
        #expect(cache.statistics.evictions == 1)
        #expect(cache.reusableRows(history([2, 1, 1]), owner: "b", hashes: nil) == 0)
        #expect(cache.reusableRows(history([4, 1, 1]), owner: "d", hashes: nil) == 2)
        // More pages than could ever be free while `a` is in use: no entry is evicted in vain.
        let tooLong = cache.checkOut(history(Array(repeating: 1, count: 13)), owner: "e", hashes: nil)
        #expect(tooLong == nil)
        #expect(cache.statistics.evictions == 1)
        cache.checkIn(used, rows: 3)
    }

    @Test func aPageThatSomebodyElseReads_IsNotWrittenTo() throws {
        var cache = cache(dependsOnNextTime: false)
        try keep(history(Array(1...8)), of: "u", in: &cache)
        let first = try cache.take(history(Array(1...9)), of: "u")
        let reader = try cache.take(history(Array(1...8) + [20]), of: "u")
        #expect(reader.rows == 8)
        cache.checkIn(first, rows: 9)
        // The second page is corrected while the reader still holds it: its first two rows are computed again in
        // another page.
        let corrected = try cache.take(history(Array(1...6) + [30, 31]), of: "u")
        #expect(corrected.rows == 4)
        #expect(corrected.pages[0] == reader.pages[0] && corrected.pages[1] != reader.pages[1])
    }

    @Test func whatWasUsedAgain_IsEvictedLater() throws {
        var cache = cache(pages: 3)
        for owner in ["a", "b", "c", "a"] { try keep(history([1, 1, 1]), of: owner, in: &cache) }
        try keep(history([1, 1, 1]), of: "d", in: &cache)
        let kept = ["a", "b", "c", "d"].map { cache.reusableRows(history([1, 1, 1]), owner: $0, hashes: nil) }
        #expect(kept == [2, 0, 2, 2])
    }

    @Test func withoutRoomForTheRest_TheBeginningIsStillReused() throws {
        var cache = cache(pages: 2)
        try keep(history(Array(1...8)), of: "u", in: &cache)
        let lease = try cache.take(history(Array(1...9)), of: "u")
        #expect(lease.rows == 8 && !lease.storesRows)
        cache.checkIn(lease, rows: 8)
        #expect(cache.reusableRows(history(Array(1...9)), owner: "u", hashes: nil) == 8)
    }

    @Test func forgetting_DropsWhatIsAtRest_AndKeepsNothingOfWhatIsInUse() throws {
        var cache = cache()
        let events = history(Array(1...9))
        try keep(events, of: "u", in: &cache)
        #expect(cache.forget("u") == .init(entries: 1, events: 9, bytes: 300))
        #expect(cache.forget("u") == .init())
        let lease = try cache.take(events, of: "u")
        #expect(lease.rows == 0)
        #expect(cache.forget("u") == .init(inFlight: 1))
        let next = try cache.take(events, of: "u")
        #expect(next.rows == 0)
        cache.checkIn(lease, rows: 9)
        #expect(cache.statistics.entries == 0)
        cache.checkIn(next, rows: 9)
        #expect(cache.statistics.entries == 1)
        // A forgotten entry is not shared, although it is still in use.
        let last = try cache.take(events, of: "u")
        #expect(last.rows == 8)
        #expect(cache.forget("u") == .init(inFlight: 1))
        #expect(cache.reusableRows(events, owner: "u", hashes: nil) == 0)
    }

    @Test func aDiscardedLease_LeavesNothing() throws {
        var cache = cache()
        try keep(history([1, 2, 3]), of: "u", in: &cache)
        cache.discard(try cache.take(history([1, 2, 3, 4]), of: "u"))
        #expect(cache.statistics.bytes == 0 && cache.statistics.entries == 0)
    }

    @Test func generatedRows_AreNotKept_AndALeaseGrowsWhileThereIsRoom() throws {
        var cache = cache(pages: 2)
        let events = history([1, 2, 3, 4])
        var lease = try cache.take(events, of: "u")
        let isExtended = [cache.extend(&lease, to: 5), cache.extend(&lease, to: 9)]
        #expect(isExtended == [true, false])
        #expect(lease.pages.count == 2 && !lease.storesRows)
        cache.checkIn(lease, rows: 7)
        #expect(cache.statistics.bytes == 100)
        #expect(cache.reusableRows(history([1, 2, 3, 4, 9, 9]), owner: "u", hashes: nil) == 4)
    }

    /// Users who append, correct, shorten, repeat, are forgotten, overlap and fail, in a pool too small for them.
    @Test(arguments: [1, 2, 3, 4, 5, 6] as [UInt64])
    func neverServesWhatWasNotComputedForTheVeryHistory_InRandomTraffic(seed: UInt64) {
        var random = SplitMix64(seed: seed)
        var cache = UserCache(
            pageRows: 4,
            pageCount: seed.isMultiple(of: 2) ? 40 : 400,
            pageByteCount: 1,
            dependsOnNextTime: seed % 3 != 0
        )
        var device = PagedRows(cache)
        struct Work {
            var history: UsedHistory
            var lease: UserCache.Lease
            var done: Int
        }
        var works: [Work] = []
        var known: [UsedHistory] = (0..<12).map { user in
            history([Int32(user % 3 + 1)], times: user.isMultiple(of: 4) ? nil : [Int64(user)], at: 100)
        }
        let rounds = UInt64(propertyRuns(default: 1_500))
        for round in 0..<rounds {
            let user = Int(random.below(12))
            let owner = user < 6 ? "user \(user)" : nil
            switch works.count < 7 ? random.below(10) : 7 {
            case 0..<4:
                change(&known[user], &random)
                let asked = known[user]
                let expected = cache.reusableRows(asked, owner: owner, hashes: PrefixHashes(asked))
                guard
                    let lease = cache.checkOut(asked, owner: owner, hashes: PrefixHashes(asked), keeps: round % 7 != 0)
                else { continue }
                #expect(lease.rows <= max(0, asked.count - 1))
                if round % 7 != 0 { #expect(lease.rows <= expected && lease.rows >= expected - 3) }
                #expect(device.holds(asked, lease.rows, lease))
                works.append(Work(history: asked, lease: lease, done: lease.rows))
            case 4..<7:
                guard let index = works.indices.randomElement(using: &random) else { continue }
                guard works[index].lease.storesRows else { continue }
                let count = min(works[index].history.count, works[index].done + 1 + Int(random.below(6)))
                device.write(works[index].history, works[index].done..<count, works[index].lease)
                works[index].done = count
            case 7, 8:
                guard let index = works.indices.randomElement(using: &random) else { continue }
                let work = works.remove(at: index)
                if random.below(8) == 0 {
                    cache.discard(work.lease)
                } else {
                    cache.checkIn(work.lease, rows: work.done)
                }
            default:
                if random.below(4) == 0, let owner { _ = cache.forget(owner) }
            }
            // Every running computation still finds its cached rows and the rows it has written since.
            for work in works { #expect(device.holds(work.history, work.done, work.lease)) }
            expectConsistent(cache)
        }
        for work in works { cache.checkIn(work.lease, rows: work.done) }
        expectConsistent(cache)
        for user in 0..<6 { _ = cache.forget("user \(user)") }
        #expect(cache.users.isEmpty)
        #expect(cache.statistics.hits > 0 && cache.statistics.partialHits > 0 && cache.statistics.misses > 0)
        #expect(cache.statistics.evictions > 0 || !seed.isMultiple(of: 2))
    }

    private func change(_ history: inout UsedHistory, _ random: inout SplitMix64) {
        switch random.below(10) {
        case 0: history.items[Int(random.below(UInt64(history.count)))] = Int32(random.below(3)) + 1
        case 1:
            let count = 1 + Int(random.below(UInt64(history.count)))
            history = history.prefix(count)
        case 2: history.followingTime += 1
        case 3: history.start = Int(random.below(2))
        default:
            for _ in 0...random.below(3) where history.count < 40 {
                history.items.append(Int32(random.below(3)) + 1)
                history.timestamps?.append(history.followingTime)
                history.followingTime += Int64(random.below(2))
            }
        }
    }

    /// Exactly the entries that list a page hold it; every index refers to an entry.
    private func expectConsistent(_ cache: UserCache) {
        var holders = [Int](repeating: 0, count: cache.table.pageCount)
        for entry in cache.entries.values { for page in entry.pages { holders[Int(page)] += 1 } }
        #expect(holders.indices.allSatisfy { cache.table.holderCount(of: Int32($0)) == holders[$0] })
        #expect(cache.index.values.allSatisfy { cache.entries[$0] != nil })
        #expect(cache.users.values.joined().allSatisfy { cache.entries[$0] != nil })
        #expect(cache.statistics.entries == cache.entries.values.count { !$0.isLeased })
    }
}
