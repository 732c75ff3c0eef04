// Pages under random holders: every page is free or held, and the counts equal the number of holders.

import Random
import Testing

@testable import Engine

@Suite struct PageTableTests {
    @Test func handsOutNoMoreThanItHas_AndChangesNothingThen() {
        var table = PageTable(pageCount: 3)
        #expect(table.allocate(2) == [0, 1])
        let before = table
        #expect(table.allocate(2) == nil)
        #expect(table == before)
        #expect(table.allocate(1) == [2])
        #expect(table.allocate(0) == [])
        #expect(table.freeCount == 0 && table.usedCount == 3)
    }

    @Test func aSharedPage_IsFreeOnlyWhenItsLastHolderIsGone() {
        var table = PageTable(pageCount: 2)
        let pages = table.allocate(2) ?? []
        table.retain([pages[0]])
        #expect(table.holderCount(of: pages[0]) == 2)
        #expect(table.release(pages) == 1)
        #expect(table.allocate(2) == nil)
        #expect(table.release([pages[0]]) == 1)
        #expect(table.freeCount == 2)
    }

    @Test(arguments: [1, 2, 3] as [UInt64]) func losesAndSharesNoPage_AmongRandomHolders(seed: UInt64) {
        var random = SplitMix64(seed: seed)
        var table = PageTable(pageCount: 40)
        var holders: [[Int32]] = []
        for _ in 0..<5_000 {
            switch random.below(4) {
            case 0, 1:
                let count = Int(random.below(9))
                let free = table.freeCount
                let pages = table.allocate(count)
                #expect((pages != nil) == (count <= free))
                if let pages { holders.append(pages) }
            case 2:
                guard let some = holders.randomElement(using: &random) else { continue }
                let shared = Array(some.prefix(Int(random.below(UInt64(some.count + 1)))))
                table.retain(shared)
                holders.append(shared)
            default:
                guard !holders.isEmpty else { continue }
                table.release(holders.remove(at: Int(random.below(UInt64(holders.count)))))
            }
            var counts = [Int](repeating: 0, count: 40)
            for pages in holders { for page in pages { counts[Int(page)] += 1 } }
            for page in 0..<40 { #expect(table.holderCount(of: Int32(page)) == counts[page]) }
            #expect(table.usedCount == counts.count { $0 > 0 })
        }
        for pages in holders { table.release(pages) }
        #expect(table.freeCount == 40)
    }
}
