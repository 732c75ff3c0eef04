// The inputs of a batch, packed into pinned host memory with device memory of the same layout, so that one copy
// transfers them all.

internal import CAscend
internal import Compute

struct Staging {
    private static let leastChunk = 1 << 16

    private struct Pair {
        let host: PinnedBlock
        let device: DeviceBlock
        /// Bytes that have been packed, and bytes that have been copied already.
        var used = 0
        var copied = 0
    }

    private let context: AscendContext
    private var plan = BumpPlan()
    private var pairs: [Pair] = []

    init(context: AscendContext) { self.context = context }

    /// Room for an input: the host's address for writing and the device's for reading.
    mutating func allocate(
        byteCount: Int
    ) throws(ComputeError) -> (host: UnsafeMutableRawPointer, device: DeviceAddress) {
        var place = plan.take(byteCount)
        if place == nil {
            guard let missing = plan.missing(byteCount, atLeast: Self.leastChunk) else {
                throw ComputeError(.outOfMemory, "there is not enough memory for an input of \(byteCount) bytes")
            }
            try append(byteCount: missing)
            place = plan.take(byteCount)
        }
        guard let place else { preconditionFailure("a chunk that was made for an input has room for it") }
        pairs[place.chunk].used = plan.next.offset
        return (
            pairs[place.chunk].host.base + place.offset,
            pairs[place.chunk].device.address.advanced(byBytes: place.offset)
        )
    }

    private mutating func append(byteCount: Int) throws(ComputeError) {
        let host = try PinnedBlock(byteCount: byteCount, context: context)
        let device = try DeviceBlock(byteCount: byteCount, use: .workspace, context: context, for: "inputs")
        pairs.append(Pair(host: host, device: device))
        plan.append(byteCount: byteCount)
    }

    /// The packed values at a device address; nil if it is not an input of this batch.
    func host(of address: DeviceAddress, byteCount: Int) -> UnsafeRawPointer? {
        for pair in pairs where address.bits >= pair.device.address.bits {
            let offset = Int(address.bits - pair.device.address.bits)
            if offset <= pair.used, byteCount <= pair.used - offset { return UnsafeRawPointer(pair.host.base + offset) }
        }
        return nil
    }

    /// Enqueues the copies of inputs not copied yet: one copy, unless the batch has outgrown its memory.
    ///
    /// - Returns: whether there was anything.
    mutating func copy(on stream: UnsafeMutableRawPointer) throws(ComputeError) -> Bool {
        var isAny = false
        for index in pairs.indices where pairs[index].copied < pairs[index].used {
            let pair = pairs[index]
            let (begin, count) = (pair.copied, pair.used - pair.copied)
            let status = context.runtime.aclrtMemcpyAsync(
                pair.device.pointer.map { $0 + begin },
                pair.device.byteCount - begin,
                pair.host.base + begin,
                count,
                ACL_MEMCPY_HOST_TO_DEVICE,
                stream
            )
            try context.check(status, "aclrtMemcpyAsync")
            pairs[index].copied = pair.used
            isAny = true
        }
        return isAny
    }

    /// Frees everything and merges several blocks into one. Only while no copy is running.
    mutating func reset() {
        let isSplit = plan.reset()
        if isSplit {
            let wanted = plan.reservedBytes
            pairs = []
            plan.forgetChunks()
            // If there is no memory for one piece, the next input requests what it needs and reports the failure.
            try? append(byteCount: wanted)
        }
        for index in pairs.indices {
            pairs[index].used = 0
            pairs[index].copied = 0
        }
    }
}
