// Stores keys and values: copies the batch's own rows of one layer to pages for later batches.

internal import CKernels
package import Compute

extension CPUStream {
    package func store(_ operation: StoreOperation) throws(ComputeError) {
        let layout = operation.layout
        let pages = try own(operation.prefix.cached.pages, as: CPUKeyValuePages.self, in: "store")
        let prefix = try operation.checkedPrefix(pages)
        let shape = pages.shape

        let mark = arena.mark
        defer { arena.release(to: mark) }
        let parts = try storedParts(prefix, layout)
        guard !parts.isEmpty else { return }
        let copies = try allocate(byteCount: parts.count * MemoryLayout<gk_page_copy>.stride)
            .assumingMemoryBound(to: gk_page_copy.self)
        for (index, part) in parts.enumerated() { copies[index] = part }
        var job = gk_page_copies()
        job.kernels = device.kernels
        job.dtype = prefix.pages.dtype
        if job.dtype == .bfloat16 {
            let scratch = try allocateScratch(floats: gk_lanes * ((shape.keyColumns + 15) / 16 * 16))
            job.scratch = scratch.base
            job.scratch_stride = scratch.stride
        }
        job.parts = UnsafePointer(copies)
        job.key = UnsafePointer(operation.key.floats)
        job.key_stride = operation.key.rowStride
        job.value = UnsafePointer(operation.value.floats)
        job.value_stride = operation.value.rowStride
        job.pages = prefix.pages.floats(layer: prefix.layer)
        job.page_floats = prefix.pages.pageFloats
        job.heads = shape.heads
        job.key_columns = shape.keyColumns
        job.value_columns = shape.valueColumns
        withExtendedLifetime(prefix.pages) {
            pool.run(gk_page_copies_run, job: &job, count: parts.count)
        }
    }

    /// The rows to store, page by page. Throws if two sequences write to one page.
    private func storedParts(
        _ prefix: CheckedPrefix<CPUKeyValuePages>,
        _ layout: Jagged
    ) throws(ComputeError) -> [gk_page_copy] {
        var parts: [gk_page_copy] = []
        for (number, sequence) in prefix.sequences.enumerated() where sequence.storesRows {
            var row = Int(layout.offsets[number])
            var slot = sequence.rows
            while row < Int(layout.offsets[number + 1]) {
                let first = slot % prefix.pages.pageRows
                let count = min(prefix.pages.pageRows - first, Int(layout.offsets[number + 1]) - row)
                parts.append(
                    gk_page_copy(
                        page: sequence.pages[slot / prefix.pages.pageRows],
                        first: UInt32(first),
                        count: UInt32(count),
                        row: UInt32(row)
                    )
                )
                row += count
                slot += count
            }
        }
        let written = parts.map(\.page).sorted()
        for (page, next) in zip(written, written.dropFirst()) where page == next {
            throw ComputeError(.invalidArgument, "store: page \(page) is to be written twice")
        }
        return parts
    }
}
