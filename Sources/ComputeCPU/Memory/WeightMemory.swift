// Memory for weights: small blocks are packed into slabs of huge pages.

internal import Compute
internal import Glibc
internal import Locking

/// Allocates blocks for weights from slabs of huge pages, in the order of requests.
///
/// A batch of a single row reads all weights once, and most matrices are smaller than a huge page. With pages of four
/// kilobytes, half of the time would go to address translation.
final class WeightSpace: Sendable {
    /// Much larger than its blocks. Unwritten memory is not resident.
    private static let slabBytes = 16 * AlignedMemory.hugePage
    /// Larger blocks get huge pages of their own.
    private static let largestShare = 2 * AlignedMemory.hugePage

    private let account: MemoryAccount
    private let current = Lock(Current())

    /// The slab that blocks are allocated from. It lives as long as its blocks.
    private struct Current {
        weak var slab: WeightSlab?
        var used = 0
    }

    init(account: MemoryAccount) { self.account = account }

    /// A block of `count` floats, all 0. May be called on any thread.
    ///
    /// - Parameter purpose: used in the error if there is no memory, as in "256 bytes of `purpose`".
    func block(zeroedFloats count: Int, for purpose: String) throws(ComputeError) -> WeightMemory {
        let (byteCount, overflow) = count.multipliedReportingOverflow(by: MemoryLayout<Float>.stride)
        guard count >= 0, !overflow else {
            throw ComputeError(.outOfMemory, "there is not enough memory for \(count) numbers of \(purpose)")
        }
        let place = try place(byteCount: byteCount, for: purpose)
        memset(place.base, 0, byteCount)
        return WeightMemory(place, byteCount: byteCount, account: account)
    }

    private func place(byteCount: Int, for purpose: String) throws(ComputeError) -> WeightPlace {
        guard byteCount <= Self.largestShare else {
            return WeightPlace(slab: WeightSlab(try AlignedMemory(byteCount: byteCount, for: purpose)), offset: 0)
        }
        let unit = AlignedMemory.alignment
        let taken = (max(byteCount, 1) + unit - 1) / unit * unit
        return try current.withLock { (current) throws(ComputeError) in
            if let slab = current.slab, current.used + taken <= Self.slabBytes {
                defer { current.used += taken }
                return WeightPlace(slab: slab, offset: current.used)
            }
            let slab = WeightSlab(try AlignedMemory(byteCount: Self.slabBytes, for: purpose))
            current = Current(slab: slab, used: taken)
            return WeightPlace(slab: slab, offset: 0)
        }
    }
}

/// Memory for several blocks, freed with the last of them.
///
/// `@unchecked Sendable`: only the content of the memory changes, and each block of it has one owner.
private final class WeightSlab: @unchecked Sendable {
    let memory: AlignedMemory

    init(_ memory: consuming AlignedMemory) { self.memory = memory }
}

/// The place of a block.
private struct WeightPlace {
    let slab: WeightSlab
    let offset: Int

    var base: UnsafeMutableRawPointer { slab.memory.base + offset }
}

/// A block of weights that adds itself to its device's memory account.
final class WeightMemory {
    let base: UnsafeMutableRawPointer
    let byteCount: Int
    private let slab: WeightSlab
    private let account: MemoryAccount

    fileprivate init(_ place: WeightPlace, byteCount: Int, account: MemoryAccount) {
        base = place.base
        self.byteCount = byteCount
        slab = place.slab
        self.account = account
        account.addWeights(byteCount)
    }

    deinit {
        account.addWeights(-byteCount)
        // Returns the block's pages to the system now, because the slab may live on with another model's weights.
        let page = UInt(getpagesize())
        let first = (UInt(bitPattern: base) + page - 1) / page * page
        let end = (UInt(bitPattern: base) + UInt(byteCount)) / page * page
        if first < end, let pages = UnsafeMutableRawPointer(bitPattern: first) {
            madvise(pages, Int(end - first), MADV_DONTNEED)
        }
    }

    /// The block as floats. It must not be accessed as another type meanwhile.
    var floats: UnsafeMutablePointer<Float> { base.assumingMemoryBound(to: Float.self) }
}
