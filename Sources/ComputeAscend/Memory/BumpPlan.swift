// A bump allocator over chunks, as plain numbers, for the arena and the staging memory of a stream.

internal import Compute

/// Allocates offsets in a list of chunks until it is reset as a whole. It owns no memory; its owner appends chunks when
/// there are too few.
struct BumpPlan {
    /// A location: a chunk and an offset in it.
    struct Place: Equatable {
        var chunk: Int
        var offset: Int
    }

    /// Bytes of each chunk.
    private(set) var chunks: [Int] = []
    /// The next free location.
    private(set) var next = Place(chunk: 0, offset: 0)

    var reservedBytes: Int { chunks.reduce(0, +) }

    /// Room for a tensor of `byteCount` bytes; nil if a chunk of `missing(byteCount)` bytes must be appended first.
    mutating func take(_ byteCount: Int) -> Place? {
        guard let size = Alignment.reserved(byteCount) else { return nil }
        var place = next
        while place.chunk < chunks.count {
            if size <= chunks[place.chunk] - place.offset {
                next = Place(chunk: place.chunk, offset: place.offset + size)
                return place
            }
            place = Place(chunk: place.chunk + 1, offset: 0)
        }
        return nil
    }

    /// Bytes of the chunk to append for a tensor that `take` has no room for: at least as large as all previous chunks
    /// together, so that a growing batch needs few. nil if the size overflows.
    func missing(_ byteCount: Int, atLeast least: Int) -> Int? {
        Alignment.reserved(byteCount).map { max($0, reservedBytes, least) }
    }

    mutating func append(byteCount: Int) { chunks.append(byteCount) }

    /// Frees everything allocated since the place.
    mutating func release(to place: Place) { next = place }

    /// Frees everything. True if there are several chunks, which the owner should replace by one of their total size.
    mutating func reset() -> Bool {
        next = Place(chunk: 0, offset: 0)
        return chunks.count > 1
    }

    mutating func forgetChunks() { chunks = [] }
}
