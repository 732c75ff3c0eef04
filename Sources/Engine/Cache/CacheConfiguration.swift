// The capacity of the user cache, and the cache that a device allows.

/// The settings of the user cache.
package struct CacheConfiguration: Sendable, Equatable {
    /// Device memory for keys and values. 0: nothing is cached, and every request computes its whole history.
    package var byteCount: Int
    /// As in `HistoryWindow`; 0: the window moves with every event.
    package var windowStride: Int

    package init(byteCount: Int = 256 << 20, windowStride: Int = 0) {
        self.byteCount = byteCount
        self.windowStride = windowStride
    }
}

/// What an engine's user cache reuses.
package enum PrefixCacheDescription: Sendable, Equatable {
    /// Nothing. The reason is a clause that completes "not reused: …".
    case none(reason: String)
    /// Reused rows equal recomputed ones bit for bit.
    case exact(Pool)

    /// The pages that hold the rows.
    package struct Pool: Sendable, Equatable {
        package var pageRows: Int
        package var pageCount: Int
        package var pageByteCount: Int
        /// As in `PrefixReuse`.
        package var dependsOnNextTime: Bool
        /// False: the pages are only working memory, and nothing stays there from one request to the next.
        package var keepsRows = true
        /// As in `KeyValuePages`.
        package var takesMemoryWhenWritten = false

        package var byteCount: Int { pageCount * pageByteCount }
        package var bytesPerEvent: Int { pageByteCount / pageRows }
    }
}

extension UserCache {
    /// An empty cache for a device's pages.
    init(_ pool: PrefixCacheDescription.Pool) {
        self.init(
            pageRows: pool.pageRows,
            pageCount: pool.pageCount,
            pageByteCount: pool.pageByteCount,
            dependsOnNextTime: pool.dependsOnNextTime,
            keepsRows: pool.keepsRows,
            isShared: pool.keepsRows && pool.takesMemoryWhenWritten
        )
    }
}
