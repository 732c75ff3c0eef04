// Memory for a pool of key and value pages, reserved as a whole and allocated by the system when first written.

internal import Compute
internal import Glibc

/// A zeroed block, resident only where it has been written. Adds itself to its device's memory account.
final class PageMemory {
    /// More than the address space of a process holds.
    private static let tooManyBytes = 1 << 47

    private let base: UnsafeMutableRawPointer
    private let byteCount: Int
    private let account: MemoryAccount

    init(byteCount: Int, account: MemoryAccount) throws(ComputeError) {
        // Reserves no swap, because memory that is never written must cost nothing under any overcommit policy.
        let flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE
        guard byteCount < Self.tooManyBytes,
            let base = mmap(nil, byteCount, PROT_READ | PROT_WRITE, flags, -1, 0),
            base != MAP_FAILED
        else {
            throw ComputeError(.outOfMemory, "there is not enough memory for \(byteCount) bytes of key and value pages")
        }
        // As in AlignedMemory. Resident memory then grows by two megabytes at a time.
        if byteCount >= AlignedMemory.leastHuge { madvise(base, byteCount, MADV_HUGEPAGE) }
        self.base = base
        self.byteCount = byteCount
        self.account = account
        account.addPages(byteCount)
    }

    deinit {
        munmap(base, byteCount)
        account.addPages(-byteCount)
    }

    /// Frees the memory of these bytes, in whole system pages. They then read as zeros.
    func release(_ bytes: Range<Int>) {
        let unit = Int(getpagesize())
        let (first, end) = ((bytes.lowerBound + unit - 1) / unit * unit, bytes.upperBound / unit * unit)
        if first < end { madvise(base + first, end - first, MADV_DONTNEED) }
    }

    /// The block as floats. It must not be accessed as another type meanwhile.
    var floats: UnsafeMutablePointer<Float> { base.assumingMemoryBound(to: Float.self) }
}
