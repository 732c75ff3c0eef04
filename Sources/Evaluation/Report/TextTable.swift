// A table, for the terminal and for HTML.

internal import Foundation

/// A title, a header, and rows with as many cells as the header.
struct TextTable: Sendable, Equatable {
    var title: String
    var header: [String]
    var rows: [[String]] = []

    init(title: String, header: [String]) {
        self.title = title
        self.header = header
    }

    /// Four decimals.
    static func fixed(_ value: Double) -> String { String(format: "%.4f", value) }
    /// Four decimals with a sign.
    static func signed(_ value: Double) -> String { String(format: "%+.4f", value) }

    /// The table as aligned text: the first column to the left, the others to the right.
    var text: String {
        let widths = header.indices.map { column in
            ([header] + rows).map { $0[column].count }.max() ?? 0
        }
        let lines = ([header] + rows).map { row in
            zip(row, widths).enumerated().map { column, cell in
                let padding = String(repeating: " ", count: cell.1 - cell.0.count)
                return column == 0 ? cell.0 + padding : padding + cell.0
            }.joined(separator: "  ")
        }
        return ([title] + lines).joined(separator: "\n")
    }
}
