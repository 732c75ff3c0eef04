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

/// An engine's user cache.
package enum PrefixCacheDescription: Sendable, Equatable {
    /// Nothing. The reason is a clause that completes "not reused: …".
    case none(reason: String)
    /// Rows that are used again are the same to the bit as if they had been computed.
    case exact(Pool)

    /// Where the rows are.
    package struct Pool: Sendable, Equatable {
        package var pageRows: Int
        package var pageCount: Int
        package var pageByteCount: Int
        /// As in `PrefixReuse`.
        package var dependsOnNextTime: Bool
        /// False: they are a place to compute in, and nothing stays there from one request to the next.
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
