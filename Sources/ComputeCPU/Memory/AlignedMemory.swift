// Memory for kernels: aligned to cache lines, freed with its owner.

internal import Compute
internal import Glibc

/// A block of memory aligned to 64 bytes. Its content is undefined at first.
///
/// Blocks of megabytes request huge pages, so that kernels that stream through them spend less time on address
/// translation (a plain read of 64 MiB: 29 GB/s instead of 15). The system may refuse.
struct AlignedMemory: ~Copyable {
    static let alignment = 64
    /// The size of a huge page, on every architecture with kernels.
    static let hugePage = 2 << 20
    /// The smallest block that requests huge pages. The rest after its last huge page stays in small pages.
    static let leastHuge = hugePage
    /// More than the address space of a process holds.
    private static let tooManyBytes = 1 << 47

    let base: UnsafeMutableRawPointer
    let byteCount: Int

    /// - Parameter purpose: used in the error if there is no memory, as in "256 bytes of `purpose`".
    init(byteCount: Int, for purpose: String) throws(ComputeError) {
        let alignment = byteCount >= Self.leastHuge ? Self.hugePage : Self.alignment
        let rounded = (max(byteCount, 1) &+ Self.alignment &- 1) / Self.alignment &* Self.alignment
        var memory: UnsafeMutableRawPointer?
        // Not aligned_alloc, which requires a multiple of the alignment; the sanitizers refuse anything else.
        guard byteCount < Self.tooManyBytes, posix_memalign(&memory, alignment, rounded) == 0, let base = memory else {
            throw ComputeError(.outOfMemory, "there is not enough memory for \(byteCount) bytes of \(purpose)")
        }
        if byteCount >= Self.leastHuge { madvise(base, rounded / Self.hugePage * Self.hugePage, MADV_HUGEPAGE) }
        self.base = base
        self.byteCount = byteCount
    }

    /// A block of `count` floats, all 0.
    init(zeroedFloats count: Int, for purpose: String) throws(ComputeError) {
        let (byteCount, overflow) = count.multipliedReportingOverflow(by: MemoryLayout<Float>.stride)
        guard count >= 0, !overflow else {
            throw ComputeError(.outOfMemory, "there is not enough memory for \(count) numbers of \(purpose)")
        }
        try self.init(byteCount: byteCount, for: purpose)
        memset(base, 0, byteCount)
    }

    deinit { free(base) }

    /// The block as floats. It must not be accessed as another type meanwhile.
    var floats: UnsafeMutablePointer<Float> { base.assumingMemoryBound(to: Float.self) }
}
