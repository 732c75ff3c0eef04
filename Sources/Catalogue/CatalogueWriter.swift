// Writes `catalogue.jsonl` in normal form: by row, keys in a fixed order, only known values.

package import Files
internal import JSON

extension Catalogue {
    /// Writes the catalogue.
    ///
    /// - Throws: `FileError.unwritable`.
    package func write(path: String) throws(FileError) {
        var file = try FileWriter(path: path)
        var line = JSONWriter()
        for row in 1..<Int32(rowCount) where contains(row) {
            line.removeAll()
            line.beginObject()
            line.key("index")
            line.integer(Int(row))
            line.key("id")
            withIDJSON(row) { id in line.value { $0.append(contentsOf: id) } }
            if levels > 0 {
                line.key("tokens")
                line.beginArray()
                for token in self.path(row) { line.integer(Int(token)) }
                line.endArray()
            }
            if let title = title(row) {
                line.key("title")
                line.string(title)
            }
            let tags = tags(row)
            if !tags.isEmpty {
                line.key("tags")
                line.beginArray()
                for tag in tags { line.string(tagNames[Int(tag)]) }
                line.endArray()
            }
            if hasPopularity {
                line.key("popularity")
                let value = popularity(row)
                if let whole = Int(exactly: value) { line.integer(whole) } else { line.numberOrNull(value) }
            }
            line.endObject()
            line.endLine()
            try file.append(line.bytes)
        }
        try file.commit()
    }
}
