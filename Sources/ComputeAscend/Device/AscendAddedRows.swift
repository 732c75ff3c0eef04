// Rows added to a table or a catalogue in use, in pages that never move. Each page is twice as long as the previous
// one, so that a batch reads few of them.

package import Compute

/// Rows in half precision, in pages. They change only between batches.
struct AscendAddedRows {
    /// Rows of the first page.
    private static let firstPage = 1_024

    /// The number of the first row.
    let first: Int
    private(set) var count = 0
    private let columns: Int
    private let dtype: DType
    private var pages: [DeviceBlock] = []

    init(behind rows: Int, columns: Int, _ dtype: DType) {
        first = AddedRows.first(behind: rows)
        self.columns = columns
        self.dtype = dtype
    }

    /// The number of rows before a page.
    private static func start(_ page: Int) -> Int { firstPage * ((1 << page) - 1) }

    /// The first `count` rows, as a (rows, columns) view of each page that has any of them.
    func views(_ count: Int) -> [View] {
        pages.indices.compactMap { page in
            let rows = min(count - Self.start(page), Self.firstPage << page)
            return rows > 0 ? View(pages[page].address, dtype, [rows, columns]) : nil
        }
    }

    /// The page of a row, and its offset there.
    func place(of row: Int) -> (page: Int, place: Int) {
        var page = 0
        while row - first >= Self.start(page + 1) { page += 1 }
        return (page, row - first - Self.start(page))
    }

    /// Adds rows, each of `columns` numbers.
    mutating func append(_ rows: [[Float]], context: AscendContext) throws(ComputeError) {
        let rounding = HalfRounding(dtype: dtype)
        let rowBytes = columns * MemoryLayout<UInt16>.stride
        var next = 0
        while next < rows.count {
            let (page, place) = place(of: first + count)
            let capacity = Self.firstPage << page
            if page == pages.count {
                // Kernels may read past the end.
                pages.append(
                    try DeviceBlock(
                        byteCount: capacity * rowBytes + Alignment.start,
                        use: .weights,
                        context: context,
                        for: "added rows"
                    )
                )
            }
            let taken = min(rows.count - next, capacity - place)
            let bits = rows[next..<next + taken].flatMap { row in row.map { rounding.bits($0) } }
            try pages[page].fill(bits, at: place * rowBytes)
            count += taken
            next += taken
        }
    }
}

extension AscendDevice {
    package func append(_ rows: [[Float]], to table: any EmbeddingTable) throws(ComputeError) {
        let table = try own(table, as: AscendTable.self, in: "append rows")
        try AddedRows.check(rows, columns: table.columns)
        try table.added.append(rows, context: context)
    }

    package func append(_ rows: [[Float]], to catalogue: any CatalogueWeights) throws(ComputeError) {
        let catalogue = try own(catalogue, as: AscendCatalogue.self, in: "append rows")
        try AddedRows.check(rows, columns: catalogue.columns)
        let normalized = rows.map { row in
            var row = row
            catalogue.norm?.apply(to: &row)
            return row
        }
        try catalogue.added.append(normalized, context: context)
    }
}
