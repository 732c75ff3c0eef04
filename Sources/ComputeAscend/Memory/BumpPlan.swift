// A bump allocator over chunks, as plain numbers: the arena and the staging memory of a stream both follow it.

internal import Compute

/// Allocates offsets in a list of chunks until it is reset as a whole. It owns no memory: its owner appends chunks when
/// it reports too few.
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

    /// Room for a tensor of `byteCount` bytes; nil: a chunk of `missing(byteCount)` bytes must be appended first.
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

    /// Bytes of the chunk to append for a tensor that `take` has no room for: as large as all before it together, so that
    /// a batch that grows needs few. nil: more than there can be.
    func missing(_ byteCount: Int, atLeast least: Int) -> Int? {
        Alignment.reserved(byteCount).map { max($0, reservedBytes, least) }
    }

    mutating func append(byteCount: Int) { chunks.append(byteCount) }

    /// Takes back everything since the place.
    mutating func release(to place: Place) { next = place }

    /// Takes back everything. True when there are several chunks: one of their sum would serve the next batch in one piece.
    mutating func reset() -> Bool {
        next = Place(chunk: 0, offset: 0)
        return chunks.count > 1
    }

    mutating func forgetChunks() { chunks = [] }
}
