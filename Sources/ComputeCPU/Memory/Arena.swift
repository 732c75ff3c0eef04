// A stream's working memory: a bump allocator that is emptied between batches. It keeps room for the largest batch so
// far, so that a stream in its steady state allocates nothing.

internal import Compute

/// Allocates 64-byte aligned memory until it is reset as a whole.
struct Arena: ~Copyable {
    /// A position to release memory back to.
    struct Mark {
        fileprivate let chunk: Int
        fileprivate let used: Int
    }

    /// The least number of bytes requested from the system at a time.
    private static let leastChunk = 1 << 20

    private var chunks = ChunkList()
    private var current = 0
    /// Bytes used of the current chunk.
    private var used = 0

    /// Bytes allocated from the system.
    private(set) var reservedBytes = 0

    /// Memory for `byteCount` bytes.
    mutating func allocate(byteCount: Int) throws(ComputeError) -> UnsafeMutableRawPointer {
        let (padded, overflow) = max(byteCount, 1).addingReportingOverflow(AlignedMemory.alignment - 1)
        guard !overflow else { throw ComputeError(.outOfMemory, "there is not enough memory for \(byteCount) bytes") }
        let size = padded / AlignedMemory.alignment * AlignedMemory.alignment
        while current < chunks.count {
            if size <= chunks.byteCount(of: current) - used {
                let address = chunks.base(of: current) + used
                used += size
                return address
            }
            current += 1
            used = 0
        }
        // Each chunk is at least as large as all previous ones together, so that a growing batch needs few of them.
        try chunks.append(byteCount: max(size, max(reservedBytes, Self.leastChunk)))
        reservedBytes += chunks.byteCount(of: current)
        used = size
        return chunks.base(of: current)
    }

    /// The present position. Releasing to it frees everything allocated from now on.
    var mark: Mark { Mark(chunk: current, used: used) }

    /// Frees everything allocated since the mark.
    mutating func release(to mark: Mark) {
        current = mark.chunk
        used = mark.used
    }

    /// Whether an address is in allocated memory.
    func holds(_ address: DeviceAddress) -> Bool {
        (0...current).contains { index in
            guard index < chunks.count else { return false }
            let first = UInt(bitPattern: chunks.base(of: index))
            let byteCount = index == current ? used : chunks.byteCount(of: index)
            return address.bits >= first && address.bits - first < UInt(byteCount)
        }
    }

    /// Frees everything. Merges several chunks into one, so that the next batch has its memory in one piece.
    mutating func reset() {
        current = 0
        used = 0
        guard chunks.count > 1 else { return }
        let wanted = reservedBytes
        chunks = ChunkList()
        reservedBytes = 0
        // If there is no memory for one piece, the next allocation requests what it needs and reports the failure.
        if (try? chunks.append(byteCount: wanted)) != nil { reservedBytes = wanted }
    }
}

/// The blocks of an arena. They live in boxes, because an array cannot hold noncopyable values.
private struct ChunkList {
    private final class Box {
        let memory: AlignedMemory
        init(memory: consuming AlignedMemory) { self.memory = memory }
    }

    private var boxes: [Box] = []

    var count: Int { boxes.count }
    func byteCount(of index: Int) -> Int { boxes[index].memory.byteCount }
    func base(of index: Int) -> UnsafeMutableRawPointer { boxes[index].memory.base }

    mutating func append(byteCount: Int) throws(ComputeError) {
        boxes.append(Box(memory: try AlignedMemory(byteCount: byteCount, for: "working memory")))
    }
}
