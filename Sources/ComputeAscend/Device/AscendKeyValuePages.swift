// A pool of key and value pages on the device.

package import Compute

/// For each layer, the keys of all pages and then the values of all pages, each a table of rows in half precision. Row
/// r of a page is row `page · pageRows + r` of the table, heads side by side, so that whole rows can be gathered and
/// scattered by number.
final class AscendKeyValuePages: KeyValuePages, DeviceOwned {
    let shape: KeyValueShape
    let pageCount: Int
    let pageRows = AscendKeyValuePages.rowsOfPage
    let pageByteCount: Int
    let device: DeviceIdentity
    private let block: DeviceBlock
    private let dtype: DType
    private let owner: AscendDevice

    private static let rowsOfPage = 32

    init(_ shape: KeyValueShape, byteCount: Int, device: AscendDevice) throws(ComputeError) {
        guard let size = Self.pageByteCount(shape), byteCount >= size else {
            throw ComputeError(
                .invalidArgument,
                "\(byteCount) bytes do not hold one page of \(Self.rowsOfPage) rows of \(shape)"
            )
        }
        self.shape = shape
        self.device = device.identity
        dtype = device.description.dtype
        pageByteCount = size
        // Row numbers are Int32.
        pageCount = min(byteCount / size, Int(Int32.max) / Self.rowsOfPage)
        block = try DeviceBlock(
            byteCount: pageCount * size,
            use: .pages,
            context: device.context,
            for: "key and value pages"
        )
        owner = device
        owner.poolCount += 1
    }

    deinit { owner.poolCount -= 1 }

    /// Bytes of a page; nil for a shape that no page can have. 32 rows of 2 bytes make every table start on 64 bytes.
    private static func pageByteCount(_ shape: KeyValueShape) -> Int? {
        guard shape.layers > 0, shape.heads > 0, shape.keyColumns > 0, shape.valueColumns > 0 else { return nil }
        let (columns, tooWide) = shape.keyColumns.addingReportingOverflow(shape.valueColumns)
        let (row, tooManyHeads) = columns.multipliedReportingOverflow(by: shape.heads)
        let (rows, tooManyLayers) = row.multipliedReportingOverflow(by: shape.layers)
        let (bytes, overflow) = rows.multipliedReportingOverflow(by: rowsOfPage * 2)
        return tooWide || tooManyHeads || tooManyLayers || overflow ? nil : bytes
    }

    /// (pageCount · pageRows, heads · keyColumns)
    func keys(layer: Int) -> View { table(layer, start: 0, width: shape.keyColumns) }
    /// (pageCount · pageRows, heads · valueColumns)
    func values(layer: Int) -> View { table(layer, start: shape.keyColumns, width: shape.valueColumns) }

    private func table(_ layer: Int, start: Int, width: Int) -> View {
        let rows = pageCount * pageRows
        let columns = layer * (shape.keyColumns + shape.valueColumns) + start
        let offset = columns * shape.heads * rows * dtype.byteCount
        return View(block.address.advanced(byBytes: offset), dtype, [rows, shape.heads * width])
    }
}

extension AscendDevice {
    package func makeKeyValuePages(
        _ shape: KeyValueShape,
        byteCount: Int
    ) throws(ComputeError) -> any KeyValuePages {
        guard supports(.store) else { throw ComputeError(.unsupported, missing(for: .store) ?? "store") }
        return try AscendKeyValuePages(shape, byteCount: byteCount, device: self)
    }
}

extension CheckedPrefix<AscendKeyValuePages> {
    /// The row of the pool that holds a row of a sequence.
    func poolRow(_ row: Int, of sequence: Int) -> Int32 {
        sequences[sequence].pages[row / pages.pageRows] * Int32(pages.pageRows) + Int32(row % pages.pageRows)
    }
}
