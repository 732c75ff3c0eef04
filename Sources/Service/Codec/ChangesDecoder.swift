// The body of `PATCH /admin/catalogue/{model}`: `{"items": […]}`, or NDJSON with one change per line. A malformed
// change is an error of the whole body, so that a caller who fixes it can send the whole body again.

internal import Catalogue
internal import JSON

/// The fields of a change.
private enum ChangeField: UInt8, RequestField {
    case item, available, tags, popularity, reset, embedding, like, title

    init?(_ key: JSONString) {
        switch key {
        case "item": self = .item
        case "available": self = .available
        case "tags": self = .tags
        case "popularity": self = .popularity
        case "reset": self = .reset
        case "embedding": self = .embedding
        case "like": self = .like
        case "title": self = .title
        default: return nil
        }
    }
}

/// Decodes changes.
enum ChangesDecoder {
    /// Levels of nesting.
    private static let depthLimit = 8
    /// The most changes of a body.
    static let maximumCount = 1_000_000
    /// The limit on a body's bytes, enough for the most changes.
    static let maximumBytes = 256 << 20
    /// The most bytes of an item's id and of a tag.
    static let maximumTextBytes = 1_024
    /// The most tags of an item.
    static let maximumTags = 1_000
    /// The most elements of a new item's embedding.
    static let maximumWidth = 65_536
    /// The most items that a new item may be like.
    static let maximumLike = 1_000
    /// The most bytes of a new item's title.
    static let maximumTitleBytes = 65_535

    /// The changes of a JSON body.
    static func decode(_ body: UnsafeBufferPointer<UInt8>) throws(CallError) -> [CatalogueChange] {
        var changes: [CatalogueChange] = []
        do throws(JSONError) {
            var reader = JSONReader(body, depthLimit: depthLimit)
            guard try reader.peek() == .object else { throw JSONError("the body must be an object") }
            try reader.beginObject()
            var hasItems = false
            while let key = try reader.nextKey() {
                guard "items" ~= key else { throw JSONError("unknown field '\(String(key.string.prefix(64)))'") }
                guard !hasItems else { throw JSONError(.duplicateKey, at: key.offset, "the key 'items' is duplicated") }
                hasItems = true
                guard try reader.peek() == .array else { throw JSONError("items must be an array") }
                try reader.beginArray()
                while try reader.nextElement() {
                    let index = changes.count
                    try checkCount(index)
                    changes.append(try readChange(&reader) { "items[\(index)]\($0.isEmpty ? "" : ".\($0)")" })
                }
            }
            guard hasItems else { throw JSONError("items is missing") }
            try reader.finish()
        } catch {
            throw CallError(error, in: body, depthLimit: depthLimit)
        }
        return changes
    }

    /// The changes of an NDJSON body. Empty lines are skipped. A line that is not JSON is unusable (422), not a 400.
    static func decodeLines(_ body: UnsafeBufferPointer<UInt8>) throws(CallError) -> [CatalogueChange] {
        var changes: [CatalogueChange] = []
        var number = 0
        var start = body.startIndex
        while start < body.endIndex {
            let end = body[start...].firstIndex(of: UInt8(ascii: "\n")) ?? body.endIndex
            let line = body[start..<end]
            start = end + 1
            number += 1
            if line.allSatisfy({ $0 == 0x20 || $0 == 0x09 || $0 == 0x0D }) { continue }
            do throws(JSONError) {
                try checkCount(changes.count)
                var reader = JSONReader(UnsafeBufferPointer(rebasing: line), depthLimit: depthLimit)
                changes.append(try readChange(&reader) { $0.isEmpty ? "the change" : $0 })
                try reader.finish()
            } catch {
                throw CallError(.unusable, "line \(number): \(error)")
            }
        }
        return changes
    }

    private static func checkCount(_ count: Int) throws(JSONError) {
        guard count < maximumCount else { throw JSONError("there are more than \(maximumCount) changes") }
    }

    /// - Parameter path: the path of a field for an error sentence; an empty name stands for the change itself.
    private static func readChange(
        _ reader: inout JSONReader,
        path: (String) -> String
    ) throws(JSONError) -> CatalogueChange {
        guard try reader.peek() == .object else { throw JSONError("\(path("")) must be an object") }
        var change = CatalogueChange(item: "")
        var fields = FieldSet<ChangeField>()
        var title: String?
        var sources: [AddedItem.Source] = []
        try reader.beginObject()
        while let key = try reader.nextKey() {
            guard let field = ChangeField(key) else {
                throw JSONError("\(path(String(key.string.prefix(64)))) is an unknown field")
            }
            guard fields.insert(field) else {
                throw JSONError(.duplicateKey, at: key.offset, "the key '\(key.string)' is duplicated")
            }
            if field != .item, try reader.readNull() { continue }
            switch field {
            case .item: change.item = try readID(&reader, path("item"))
            case .available: change.available = try readBool(&reader, path("available"))
            case .tags: change.tags = try readTags(&reader, path)
            case .popularity:
                let value = try reader.peek() == .number ? try reader.readNumber().doubleValue : -1
                guard value >= 0, value.isFinite else {
                    throw JSONError("\(path("popularity")) must be a finite number, at least 0")
                }
                change.popularity = value
            case .reset:
                guard try readBool(&reader, path("reset")) else { throw JSONError("\(path("reset")) must be true") }
                change.resets = true
            case .embedding: sources.append(.embedding(try readEmbedding(&reader, path("embedding"))))
            case .like: sources.append(.like(try readLike(&reader, path("like"))))
            case .title:
                let text = try reader.peek() == .string ? try reader.readString() : nil
                guard let text, text.utf8.count <= maximumTitleBytes else {
                    throw JSONError("\(path("title")) must be a string of at most \(maximumTitleBytes) bytes")
                }
                title = text.string
            }
        }
        guard !change.item.isEmpty else { throw JSONError("\(path("item")) is missing") }
        guard sources.count < 2 else {
            throw JSONError("\(path("")) has both embedding and like; a new item needs only one")
        }
        if let source = sources.first {
            change.added = AddedItem(source, title: title)
        } else if title != nil {
            throw JSONError("\(path("title")) is only for new items, which have embedding or like")
        }
        let says = change.available != nil || change.tags != nil || change.popularity != nil || change.added != nil
        guard says || change.resets else { throw JSONError("\(path("")) changes nothing") }
        guard !says || !change.resets else { throw JSONError("\(path("")) has reset together with another change") }
        return change
    }

    private static func readID(_ reader: inout JSONReader, _ path: String) throws(JSONError) -> String {
        switch try reader.peek() {
        case .string:
            let text = try reader.readString()
            if 1...maximumTextBytes ~= text.utf8.count { return text.string }
        case .number:
            if let value = try reader.readNumber().wholeValue { return String(value) }
        default: break
        }
        throw JSONError("\(path) must be a string of 1 to \(maximumTextBytes) bytes or an integer")
    }

    private static func readEmbedding(_ reader: inout JSONReader, _ path: String) throws(JSONError) -> [Float] {
        guard try reader.peek() == .array else { throw JSONError("\(path) must be an array of numbers") }
        var numbers: [Float] = []
        try reader.beginArray()
        while try reader.nextElement() {
            let number = try reader.peek() == .number ? Float(try reader.readNumber().doubleValue) : .nan
            guard number.isFinite else {
                throw JSONError("\(path)[\(numbers.count)] must be a number in the range of float32")
            }
            guard numbers.count < maximumWidth else {
                throw JSONError("\(path) has more than \(maximumWidth) numbers")
            }
            numbers.append(number)
        }
        return numbers
    }

    private static func readLike(_ reader: inout JSONReader, _ path: String) throws(JSONError) -> [String] {
        guard try reader.peek() == .array else { throw JSONError("\(path) must be an array of items") }
        var ids: [String] = []
        try reader.beginArray()
        while try reader.nextElement() {
            guard ids.count < maximumLike else { throw JSONError("\(path) names more than \(maximumLike) items") }
            ids.append(try readID(&reader, "\(path)[\(ids.count)]"))
        }
        guard !ids.isEmpty else { throw JSONError("\(path) must name at least one item") }
        return ids
    }

    private static func readBool(_ reader: inout JSONReader, _ path: String) throws(JSONError) -> Bool {
        guard try reader.peek() == .bool else { throw JSONError("\(path) must be true or false") }
        return try reader.readBool()
    }

    private static func readTags(
        _ reader: inout JSONReader,
        _ path: (String) -> String
    ) throws(JSONError) -> [String] {
        guard try reader.peek() == .array else { throw JSONError("\(path("tags")) must be an array of strings") }
        var tags: [String] = []
        try reader.beginArray()
        while try reader.nextElement() {
            guard try reader.peek() == .string else { throw JSONError("\(path("tags")) must be an array of strings") }
            let text = try reader.readString()
            guard 1...maximumTextBytes ~= text.utf8.count else {
                throw JSONError("\(path("tags")) must have tags of 1 to \(maximumTextBytes) bytes")
            }
            guard tags.count < maximumTags else { throw JSONError("\(path("tags")) has more than \(maximumTags) tags") }
            tags.append(text.string)
        }
        return tags
    }
}
