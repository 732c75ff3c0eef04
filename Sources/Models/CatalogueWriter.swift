// Writes `catalogue.jsonl` in its normal form: by row, keys in one order, only what is known.

extension Catalogue {
    /// Writes the catalogue.
    ///
    /// - Throws: `BundleError.unwritable`.
    package func write(path: String) throws(BundleError) {
        let tagsByRow = self.tagsByRow()
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
            let tags = tagsByRow.tags[tagsByRow.starts[Int(row)]..<tagsByRow.starts[Int(row) + 1]]
            if !tags.isEmpty {
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

    /// Tags grouped by row: the start of each row's group and one end more, and the tags.
    private func tagsByRow() -> (starts: [Int], tags: [Int32]) {
        var starts = Array(repeating: 0, count: rowCount + 1)
        for tag in 0..<Int32(tagCount) {
            for row in rows(withTag: tag) { starts[Int(row) + 1] += 1 }
        }
        for row in 0..<rowCount { starts[row + 1] += starts[row] }
        var next = starts
        var tags = Array(repeating: Int32(0), count: starts[rowCount])
        for tag in 0..<Int32(tagCount) {
            for row in rows(withTag: tag) {
                tags[next[Int(row)]] = tag
                next[Int(row)] += 1
            }
        }
        return (starts, tags)
    }
}
