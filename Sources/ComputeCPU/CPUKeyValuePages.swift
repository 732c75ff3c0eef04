// A pool of key and value pages on the CPU: how they lie in memory, and the checks before they are followed.

internal import CKernels
package import Compute

/// Pages of `gk_page_rows` rows. Within a page lies layer after layer, in a layer key head after key head, and of a head
/// first the keys as (keyColumns, gk_page_rows), so that keys are the lanes of a vector, then the values as
/// (gk_page_rows, valueColumns). Where attention is in bfloat16 they are pairs of columns and then pairs of rows of it, as the
/// kernel `bf16_page` packs them: half the bytes.
package final class CPUKeyValuePages: KeyValuePages, CPUWeights {
    package let shape: KeyValueShape
    package let pageCount: Int
    package var pageRows: Int { gk_page_rows }
    package var pageByteCount: Int { pageFloats * MemoryLayout<Float>.stride }

    let device: DeviceIdentity
    let memory: PageMemory
    let dtype: gk_dtype
    /// Floats, or words of two bfloat16, of a page, and of one head of one layer in it.
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
        // Pages are numbered by Int32.
        let count = min(byteCount / (pageFloats * MemoryLayout<Float>.stride), Int(Int32.max))
        pageCount = count
        memory = try PageMemory(byteCount: count * pageFloats * MemoryLayout<Float>.stride, account: account)
    }

    /// Floats of one head and of a page; nil for a shape that no page can have.
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

    /// The first page's floats of a layer.
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

/// One layer of the pages that a batch's sequences have, checked against the batch's layout and the pool.
struct CheckedPrefix {
    let pages: CPUKeyValuePages
    let layer: Int
    let sequences: [PagedSequence]

    /// - Throws: `ComputeError.invalidArgument` where a row's page is missing or not in the pool, or heads do not fit.
    init(
        _ prefix: CachedPrefix,
        _ layout: Jagged,
        heads: Int,
        keyColumns: Int,
        valueColumns: Int,
        of device: CPUDevice,
        in operation: StaticString
    ) throws(ComputeError) {
        pages = try device.own(prefix.cached.pages, as: CPUKeyValuePages.self, in: operation)
        layer = prefix.layer
        sequences = prefix.cached.sequences
        let shape = pages.shape
        guard shape.heads == heads, shape.keyColumns == keyColumns, shape.valueColumns == valueColumns else {
            throw ComputeError(
                .invalidArgument,
                """
                \(operation): pages of \(shape.heads) heads of \(shape.keyColumns) and \(shape.valueColumns) columns \
                cannot hold \(heads) of \(keyColumns) and \(valueColumns)
                """
            )
        }
        guard layer >= 0, layer < shape.layers else {
            throw ComputeError(.invalidArgument, "\(operation): layer \(layer) of pages for \(shape.layers) layers")
        }
        guard sequences.count == layout.count else {
            throw ComputeError(
                .invalidArgument,
                "\(operation): pages are given for \(sequences.count) sequences, the batch has \(layout.count)"
            )
        }
        // Rows are numbered by Int32 in every layout.
        var total = 0
        for (number, sequence) in sequences.enumerated() {
            let own = layout.length(of: number)
            guard sequence.rows >= 0, sequence.rows <= Int(Int32.max) else {
                throw ComputeError(
                    .invalidArgument,
                    "\(operation): sequence \(number) has \(sequence.rows) cached rows"
                )
            }
            total += sequence.rows + own
            let rows = sequence.rows + (sequence.storesRows ? own : 0)
            guard (rows + pages.pageRows - 1) / pages.pageRows <= sequence.pages.count else {
                throw ComputeError(
                    .invalidArgument,
                    "\(operation): sequence \(number) has \(sequence.pages.count) pages for \(rows) rows"
                )
            }
            for page in sequence.pages where page < 0 || Int(page) >= pages.pageCount {
                throw ComputeError(
                    .invalidArgument,
                    "\(operation): sequence \(number) has page \(page) of a pool of \(pages.pageCount)"
                )
            }
            guard total <= Int(Int32.max) else {
                throw ComputeError(
                    .invalidArgument,
                    "\(operation): a batch has at most \(Int32.max) rows, cached ones included"
                )
            }
        }
    }
}
