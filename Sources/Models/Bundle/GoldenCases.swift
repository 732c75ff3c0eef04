// Golden cases: requests with the bundle's float32 answers, stored in the bundle as `golden.json`. A server runs them
// at load time on its device and in its dtype, which detects damaged weights, a catalogue of another version, or a
// device that computes wrongly.

package import Catalogue
package import Compute
package import Files
internal import Glibc
internal import JSON

/// The golden cases of a bundle, in catalogue rows.
package struct GoldenCases: Sendable, Equatable {
    /// A request and its answer.
    package struct Case: Sendable, Equatable {
        /// Oldest first; known items only, at least one.
        package var history: [Int32]
        /// Seconds since the epoch, one per item, never decreasing.
        package var timestamps: [Int64]
        package var requestTime: Int64
        /// Best first; as many as the request asks for.
        package var items: [ScoredRow]

        package init(history: [Int32], timestamps: [Int64], requestTime: Int64, items: [ScoredRow]) {
            self.history = history
            self.timestamps = timestamps
            self.requestTime = requestTime
            self.items = items
        }
    }

    package static let fileName = "golden.json"
    package static let countRange = 1...4_096
    private static let byteLimit = 256 << 20
    fileprivate static let maxEvents = 1_000_000
    fileprivate static let maxItems = 100_000
    private static let formatVersion = 1

    package var cases: [Case]
    /// The SHA-256 of `model.safetensors`. It catches damage that a few requests cannot show, such as a flipped bit in
    /// a row that none of them reads.
    package var weights: SHA256Digest

    package init(cases: [Case], weights: SHA256Digest) {
        self.cases = cases
        self.weights = weights
    }

    package static func == (left: GoldenCases, right: GoldenCases) -> Bool {
        left.cases == right.cases && left.weights.bytes == right.weights.bytes
    }
}

// MARK: - The file

extension GoldenCases {
    /// Reads the golden cases of a bundle.
    ///
    /// - Returns: nil if the bundle has none.
    /// - Throws: `FileError` naming the file and the case.
    package static func load(directory: String, catalogue: Catalogue) throws(FileError) -> GoldenCases? {
        let path = directory + "/" + fileName
        guard access(path, F_OK) == 0 else { return nil }
        let content = try InputFile.contents(of: path, atMost: byteLimit)
        do throws(JSONError) {
            let value = try content.withBytes { bytes throws(JSONError) in try JSONValue(parsing: bytes) }
            return try GoldenCases(value, catalogue)
        } catch {
            throw FileError(.malformed, "\(path): \(error.description)")
        }
    }

    /// - Throws: `FileError` if the cases are of other weights.
    func check(_ weights: SafetensorsFile, _ directory: String) throws(FileError) {
        guard try weights.sha256().isEqual(to: self.weights) else {
            throw FileError(
                .mismatched,
                "\(directory)/\(Self.fileName): recorded with other weights: the SHA-256 of \(weights.path) differs"
            )
        }
    }

    private init(_ value: JSONValue, _ catalogue: Catalogue) throws(JSONError) {
        var fields = try JSONFields(value)
        _ = try fields.integer("format_version", in: Self.formatVersion...Self.formatVersion)
        guard let weights = SHA256Digest(hexadecimal: try fields.string("weights_sha256")) else {
            throw JSONError("weights_sha256 must be 64 hexadecimal digits")
        }
        guard case .array(let entries) = try fields.value("cases"), Self.countRange.contains(entries.count) else {
            throw JSONError("cases must be an array of \(Self.countRange.lowerBound) to \(Self.countRange.upperBound)")
        }
        try fields.end()
        var cases: [Case] = []
        for (index, entry) in entries.enumerated() {
            cases.append(try Case(entry, path: "cases[\(index)]", catalogue))
        }
        self.init(cases: cases, weights: weights)
    }

    /// The file's text: requests as `POST /recommend` takes them, each with its answer.
    package func text(_ catalogue: Catalogue) -> String {
        var writer = JSONWriter(capacity: 1 << 16)
        writer.beginObject()
        writer.member("format_version", Self.formatVersion)
        writer.member("weights_sha256", weights.hexadecimal)
        writer.beginArray("cases")
        for one in cases {
            writer.beginObject()
            writer.beginObject("request")
            writer.beginObject("history")
            writer.beginArray("items")
            for row in one.history { catalogue.withIDJSON(row) { id in writer.value { $0 += id } } }
            writer.endArray()
            writer.beginArray("timestamps")
            for time in one.timestamps { writer.integer(Int(time)) }
            writer.endArray()
            writer.endObject()
            writer.member("request_time", Int(one.requestTime))
            writer.member("k", one.items.count)
            writer.endObject()
            writer.beginArray("items")
            for item in one.items {
                writer.beginObject()
                writer.key("item")
                catalogue.withIDJSON(item.row) { id in writer.value { $0 += id } }
                writer.key("score")
                writer.numberOrNull(Double(item.score))
                writer.endObject()
            }
            writer.endArray()
            writer.endObject()
        }
        writer.endArray()
        writer.endObject()
        writer.endLine()
        return String(decoding: writer.bytes, as: UTF8.self)
    }
}

extension GoldenCases.Case {
    fileprivate init(_ value: JSONValue, path: String, _ catalogue: Catalogue) throws(JSONError) {
        var fields = try JSONFields(value, path: path)
        var request = try fields.object("request")
        var history = try request.object("history")
        let events = try Self.array(&history, "items", atMost: GoldenCases.maxEvents)
        let times = try Self.array(&history, "timestamps", atMost: GoldenCases.maxEvents)
        try history.end()
        let limits = Int(Int32.min)...Int(UInt32.max)
        let requestTime = try request.integer("request_time", in: limits)
        let count = try request.integer("k", in: 1...GoldenCases.maxItems)
        try request.end()
        let answers = try Self.array(&fields, "items", atMost: GoldenCases.maxItems)
        try fields.end()
        guard !events.isEmpty, events.count == times.count, answers.count == count else {
            throw JSONError("\(path) must have as many timestamps as events, at least one, and k items")
        }
        self.init(history: [], timestamps: [], requestTime: Int64(requestTime), items: [])
        for (event, time) in zip(events, times) {
            self.history.append(try Self.row(event, path, catalogue))
            guard case .integer(let time) = time, time >= timestamps.last ?? .min else {
                throw JSONError("\(path).request.history.timestamps must be integers in ascending order")
            }
            timestamps.append(time)
        }
        for (index, answer) in answers.enumerated() {
            var item = try JSONFields(answer, path: "\(path).items[\(index)]")
            let row = try Self.row(try item.value("item"), path, catalogue)
            let score: Double
            switch try item.value("score") {
            case .integer(let value): score = Double(value)
            case .real(let value): score = value
            default: throw JSONError("\(path).items[\(index)].score must be a number")
            }
            try item.end()
            items.append(ScoredRow(row: row, score: Float(score)))
        }
    }

    private static func array(
        _ fields: inout JSONFields,
        _ key: String,
        atMost limit: Int
    ) throws(JSONError) -> [JSONValue] {
        guard case .array(let elements) = try fields.value(key), elements.count <= limit else {
            throw JSONError("\(fields.path(key)) must be an array of at most \(limit)")
        }
        return elements
    }

    private static func row(_ id: JSONValue, _ path: String, _ catalogue: Catalogue) throws(JSONError) -> Int32 {
        let row: Int32?
        let text: String
        switch id {
        case .integer(let id): (row, text) = (catalogue.row(ofInteger: id), "\(id)")
        case .string(let id): (row, text) = (catalogue.row(of: id), quoted(id))
        default: throw JSONError("\(path): an item's id must be a string or an integer")
        }
        guard let row else { throw JSONError("\(path): the catalogue has no item \(text)") }
        return row
    }
}

// MARK: - Comparing

extension GoldenCases {
    /// Tolerance of float32 scores, relative to max(1, |score|): processors sum in different orders.
    package static let scoreTolerance: Float = 1e-4

    /// The required mean share of equal items in the top ten, by the dtype of the computation.
    package static func neededOverlap(_ dtype: DType) -> Double {
        switch dtype {
        case .float32: 1
        case .float16, .bfloat16: 0.98
        case .int8: 0.95
        default: 1
        }
    }

    /// The first way in which a device's answers in `dtype` are wrong; nil: they are right.
    ///
    /// In float32 the items must be equal, except that two whose scores are closer than the tolerance may swap places;
    /// in other types the mean overlap of the top ten items must reach `neededOverlap`.
    ///
    /// - Parameter answers: one per case, best first, as many items as the case has.
    package func fault(_ answers: [[ScoredRow]], dtype: DType, catalogue: Catalogue) -> String? {
        var overlap = 0.0
        var worst = (share: 2.0, index: 0)
        for (index, (one, answer)) in zip(cases, answers).enumerated() {
            if dtype == .float32, let fault = one.fault(answer, catalogue) {
                return "golden case \(index + 1): \(fault)"
            }
            let share = one.overlap(answer)
            overlap += share
            if share < worst.share { worst = (share, index) }
        }
        let mean = overlap / Double(max(cases.count, 1))
        guard dtype != .float32, mean < Self.neededOverlap(dtype) else { return nil }
        return "golden cases: in \(dtype.rawValue) \(Self.text(mean)) of the ten best items match those of float32, "
            + "but \(Self.text(Self.neededOverlap(dtype))) is needed; "
            + "lowest: \(Self.text(worst.share)) in case \(worst.index + 1)"
    }

    private static func text(_ share: Double) -> String { "\((share * 1_000).rounded() / 1_000)" }
}

extension GoldenCases.Case {
    /// The share of the expected ten best items that the answer has too.
    fileprivate func overlap(_ answer: [ScoredRow]) -> Double {
        let expected = Set(items.prefix(10).map(\.row))
        return Double(answer.prefix(10).count { expected.contains($0.row) }) / Double(max(expected.count, 1))
    }

    fileprivate func fault(_ answer: [ScoredRow], _ catalogue: Catalogue) -> String? {
        guard answer.count == items.count else { return "\(answer.count) items were returned, not \(items.count)" }
        for (place, (expected, found)) in zip(items, answer).enumerated() {
            let tolerance = GoldenCases.scoreTolerance * max(1, abs(expected.score))
            // Not `<=`: NaN is never close.
            guard abs(expected.score - found.score) <= tolerance else {
                return "item \(place + 1) has the score \(found.score), not \(expected.score)"
            }
            guard found.row == expected.row || contains(found, near: tolerance) else {
                return
                    "item \(place + 1) is \(catalogue.idDescription(found.row)), not \(catalogue.idDescription(expected.row))"
            }
        }
        return nil
    }

    /// Whether an item is expected with about the same score, or is as good as the last one, which it may then replace.
    private func contains(_ found: ScoredRow, near tolerance: Float) -> Bool {
        if let expected = items.first(where: { $0.row == found.row }) {
            return abs(expected.score - found.score) <= 2 * tolerance
        }
        return items.last.map { abs($0.score - found.score) <= 2 * tolerance } ?? false
    }
}
