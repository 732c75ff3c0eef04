// The free pages of a pool, and the number of holders of each other page. A pure value: page numbers in, page numbers
// out. The device knows the pages' contents.

/// Free pages and reference counts of a pool.
///
/// A page is free or has at least one holder. Several holders of a page may read it; only a sole holder may write to
/// it.
package struct PageTable: Sendable, Equatable {
    /// Holders of each page; 0 if it is free.
    private var holders: [Int32]
    /// The free pages. The last one is allocated first, so that touched memory is reused.
    private var free: [Int32]

    /// - Parameter pageCount: pages of the pool, numbered from 0; all of them are free at first.
    package init(pageCount: Int) {
        holders = Array(repeating: 0, count: pageCount)
        free = (0..<Int32(pageCount)).reversed()
    }

    package var pageCount: Int { holders.count }
    package var freeCount: Int { free.count }
    /// Pages with at least one holder, each counted once.
    package var usedCount: Int { holders.count - free.count }

    /// Allocates this many pages, with one holder each. If fewer are free, returns nil and changes nothing.
    package mutating func allocate(_ count: Int) -> [Int32]? {
        guard count <= free.count else { return nil }
        let pages = Array(free.suffix(count).reversed())
        free.removeLast(count)
        for page in pages { holders[Int(page)] = 1 }
        return pages
    }

    /// Adds a holder to pages that are held already.
    package mutating func retain(_ pages: some Sequence<Int32>) {
        for page in pages {
            precondition(holders[Int(page)] > 0, "a free page is not shared")
            holders[Int(page)] += 1
        }
    }

    /// Removes a holder from each page; a page without holders is free.
    ///
    /// - Returns: how many of them became free.
    @discardableResult
    package mutating func release(_ pages: some Sequence<Int32>) -> Int {
        var freed = 0
        for page in pages {
            precondition(holders[Int(page)] > 0, "a page is released by whoever holds it")
            holders[Int(page)] -= 1
            guard holders[Int(page)] == 0 else { continue }
            free.append(page)
            freed += 1
        }
        return freed
    }

    /// The number of holders of a page.
    package func holderCount(of page: Int32) -> Int { Int(holders[Int(page)]) }
}
