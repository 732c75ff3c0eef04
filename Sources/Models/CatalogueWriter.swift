// Writes `catalogue.jsonl` in its normal form: by row, keys in one order, only what is known.

extension Catalogue {
    /// Writes the catalogue.
    ///
    /// - Throws: `BundleError.unwritable`.
    package func write(path: String) throws(BundleError) {
        var tagsByRow: [Int32: [Int32]] = [:]
        for tag in 0..<Int32(tagCount) {
            for row in rows(withTag: tag) { tagsByRow[row, default: []].append(tag) }
        }
        var file = try FileWriter(path: path)
        var line: [UInt8] = []
        for row in 1..<Int32(rowCount) where contains(row) {
            line.removeAll(keepingCapacity: true)
            line.append(contentsOf: "{\"index\":\(row),\"id\":".utf8)
            withIDJSON(row) { line.append(contentsOf: $0) }
            if let title = title(row) {
                line.append(contentsOf: ",\"title\":".utf8)
                appendJSONString(title.utf8, to: &line)
            }
            if let tags = tagsByRow[row] {
                line.append(contentsOf: ",\"tags\":".utf8)
                for (index, tag) in tags.enumerated() {
                    line.append(UInt8(ascii: index == 0 ? "[" : ","))
                    appendJSONString(tagNames[Int(tag)].utf8, to: &line)
                }
                line.append(UInt8(ascii: "]"))
            }
            if hasPopularity {
                let value = popularity(row)
                let text = Int64(exactly: value).map(\.description) ?? value.description
                line.append(contentsOf: ",\"popularity\":\(text)".utf8)
            }
            line.append(contentsOf: "}\n".utf8)
            try file.append(line)
        }
        try file.commit()
    }
}
