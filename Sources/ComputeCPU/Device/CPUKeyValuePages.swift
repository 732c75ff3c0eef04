// A pool of key and value pages on the CPU, and their layout in memory.

internal import CKernels
package import Compute

/// Pages of `gk_page_rows` rows. A page holds one layer after the other, and a layer one key head after the other. A
/// head holds the keys as (keyColumns, gk_page_rows), so that keys are the lanes of a vector, then the values as
/// (gk_page_rows, valueColumns). If attention is in bfloat16, keys are pairs of columns and values pairs of rows, as
/// the kernel `bf16_page` packs them, in half the bytes.
package final class CPUKeyValuePages: KeyValuePages, DeviceOwned {
    package let shape: KeyValueShape
    package let pageCount: Int
    package var pageRows: Int { gk_page_rows }
    package var pageByteCount: Int { pageFloats * MemoryLayout<Float>.stride }

    package let device: DeviceIdentity
    let memory: PageMemory
    let dtype: gk_dtype
    /// 4-byte words (a float or two bfloat16) of a page, and of one head of one layer in it.
    let pageFloats: Int
    let headFloats: Int

    init(
        _ shape: KeyValueShape,
        byteCount: Int,
        dtype: gk_dtype,
        device: DeviceIdentity,
        account: MemoryAccount
    ) throws(ComputeError) {
        guard let size = Self.size(shape, dtype), byteCount / MemoryLayout<Float>.stride >= size.page else {
            throw ComputeError(
                .invalidArgument,
                "\(byteCount) bytes do not hold one page of \(gk_page_rows) rows of \(shape)"
            )
        }
        self.shape = shape
        self.device = device
        self.dtype = dtype
        pageFloats = size.page
        headFloats = size.head
        // Page numbers are Int32.
        let count = min(byteCount / (pageFloats * MemoryLayout<Float>.stride), Int(Int32.max))
        pageCount = count
        memory = try PageMemory(byteCount: count * pageFloats * MemoryLayout<Float>.stride, account: account)
    }

    /// Words of one head and of a page; nil for a shape that no page can have.
    private static func size(_ shape: KeyValueShape, _ dtype: gk_dtype) -> (head: Int, page: Int)? {
        guard shape.layers > 0, shape.heads > 0, shape.keyColumns > 0, shape.valueColumns > 0 else { return nil }
        let (columns, tooWide) = shape.keyColumns.addingReportingOverflow(shape.valueColumns)
        let (floats, tooLong) = columns.multipliedReportingOverflow(by: gk_page_rows)
        guard !tooWide, !tooLong else { return nil }
        let head = dtype == .bfloat16 ? gk_page_words(shape.keyColumns, shape.valueColumns) : floats
        let (layer, tooManyHeads) = head.multipliedReportingOverflow(by: shape.heads)
        let (page, tooManyLayers) = layer.multipliedReportingOverflow(by: shape.layers)
        let (_, overflow) = page.multipliedReportingOverflow(by: MemoryLayout<Float>.stride)
        guard !tooManyHeads, !tooManyLayers, !overflow else { return nil }
        return (head, page)
    }

    package var takesMemoryWhenWritten: Bool { true }

    package func release(_ pages: [Int32]) {
        var run = 0..<0
        for page in pages.sorted().map(Int.init) {
            if page != run.upperBound {
                memory.release(run.lowerBound * pageByteCount..<run.upperBound * pageByteCount)
                run = page..<page
            }
            run = run.lowerBound..<page + 1
        }
        memory.release(run.lowerBound * pageByteCount..<run.upperBound * pageByteCount)
    }

    /// The start of a layer in the first page.
    func floats(layer: Int) -> UnsafeMutablePointer<Float> { memory.floats + layer * shape.heads * headFloats }
}

extension CPUDevice {
    package func makeKeyValuePages(
        _ shape: KeyValueShape,
        byteCount: Int
    ) throws(ComputeError) -> any KeyValuePages {
        try CPUKeyValuePages(shape, byteCount: byteCount, dtype: attentionDtype, device: identity, account: account)
    }
}
