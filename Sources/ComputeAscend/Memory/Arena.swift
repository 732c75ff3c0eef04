// The working memory of a stream: one piece of device memory that holds a whole batch and is reused for the next.

internal import Compute

struct Arena {
    private static let leastChunk = 1 << 20

    private let context: AscendContext
    private var plan = BumpPlan()
    private var blocks: [DeviceBlock] = []

    init(context: AscendContext) { self.context = context }

    var mark: BumpPlan.Place { plan.next }

    mutating func release(to mark: BumpPlan.Place) { plan.release(to: mark) }

    /// Device memory for `byteCount` bytes, aligned and padded as `Alignment` requires.
    mutating func allocate(byteCount: Int) throws(ComputeError) -> DeviceAddress {
        if let place = plan.take(byteCount) { return blocks[place.chunk].address.advanced(byBytes: place.offset) }
        guard let missing = plan.missing(byteCount, atLeast: Self.leastChunk) else {
            throw ComputeError(.outOfMemory, "there is not enough memory for \(byteCount) bytes")
        }
        let block: DeviceBlock
        do throws(ComputeError) {
            block = try makeBlock(byteCount: missing)
        } catch {
            // `missing` may be more than is needed; there may still be memory for that.
            guard error.code == .outOfMemory, let needed = Alignment.reserved(byteCount), needed < missing else {
                throw error
            }
            block = try makeBlock(byteCount: needed)
        }
        blocks.append(block)
        plan.append(byteCount: block.byteCount)
        guard let place = plan.take(byteCount) else {
            preconditionFailure("a chunk that was made for a tensor has room for it")
        }
        return block.address.advanced(byBytes: place.offset)
    }

    private func makeBlock(byteCount: Int) throws(ComputeError) -> DeviceBlock {
        try DeviceBlock(byteCount: byteCount, use: .workspace, context: context, for: "working memory")
    }

    /// Frees everything and merges several blocks into one. Only while nothing on the device uses them.
    mutating func reset() {
        guard plan.reset() else { return }
        let wanted = plan.reservedBytes
        blocks = []
        plan.forgetChunks()
        // If there is no memory for one piece, the next allocation requests what it needs and reports the failure.
        guard let block = try? makeBlock(byteCount: wanted) else { return }
        blocks = [block]
        plan.append(byteCount: wanted)
    }
}
