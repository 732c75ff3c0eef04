// The ids of token strings, from `tokenizer.json` and `added_tokens.json` of a Hugging Face folder. Nothing is
// tokenised; strings are looked up whole.

internal import Files
internal import JSON
import Models

/// Token ids by the token's text.
struct TokenNames {
    private static let byteLimit = 256 << 20

    private(set) var ids: [String: Int32] = [:]
    /// The files that were read, for errors.
    private(set) var paths: [String] = []

    /// Reads the files of a folder. Added tokens take precedence over the vocabulary.
    ///
    /// - Parameter folder: with a trailing slash, or empty.
    /// - Throws: `ImportError` that names the file.
    init(folder: String) throws(ImportError) {
        let whole = folder + "tokenizer.json"
        let added = folder + "added_tokens.json"
        if fileExists(whole) { try read(whole) { reader throws(JSONError) in try Self.readTokenizer(&reader) } }
        if fileExists(added) { try read(added) { reader throws(JSONError) in try Self.readMap(&reader) } }
    }

    private mutating func read(
        _ path: String,
        _ parse: (inout JSONReader) throws(JSONError) -> [String: Int32]
    ) throws(ImportError) {
        paths.append(path)
        let content = try smallFile(path, atMost: Self.byteLimit)
        do throws(JSONError) {
            let found = try content.withBytes { bytes throws(JSONError) in
                var reader = JSONReader(bytes.bindMemory(to: UInt8.self), depthLimit: JSONValue.depthLimit)
                let found = try parse(&reader)
                try reader.finish()
                return found
            }
            ids.merge(found) { _, new in new }
        } catch {
            throw ImportError(.malformed, "\(path): \(error.description)")
        }
    }

    private static func readTokenizer(_ reader: inout JSONReader) throws(JSONError) -> [String: Int32] {
        var vocabulary: [String: Int32] = [:]
        var added: [String: Int32] = [:]
        try reader.beginObject()
        while let key = try reader.nextKey() {
            switch key {
            case "added_tokens":
                try reader.beginArray()
                while try reader.nextElement() {
                    let token = try JSONValue(&reader)
                    guard case .object(let members) = token,
                        case .string(let text)? = members.first(where: { $0.key == "content" })?.value,
                        case .integer(let id)? = members.first(where: { $0.key == "id" })?.value,
                        let id = Int32(exactly: id)
                    else { throw JSONError("added_tokens must hold objects with id and content") }
                    added[text] = id
                }
            case "model":
                guard try reader.peek() == .object else {
                    try reader.skipValue()
                    continue
                }
                try reader.beginObject()
                while let key = try reader.nextKey() {
                    // Unigram models have an array here; nobody adds item tokens to those.
                    if case "vocab" = key, try reader.peek() == .object {
                        vocabulary = try readMap(&reader)
                    } else {
                        try reader.skipValue()
                    }
                }
            default: try reader.skipValue()
            }
        }
        return vocabulary.merging(added) { _, added in added }
    }

    /// An object from texts to ids.
    private static func readMap(_ reader: inout JSONReader) throws(JSONError) -> [String: Int32] {
        var ids: [String: Int32] = [:]
        try reader.beginObject()
        while let key = try reader.nextKey() {
            let text = key.string
            guard try reader.peek() == .number, let value = try reader.readNumber().integer,
                let id = Int32(exactly: value)
            else { throw JSONError("the id of \(quoted(text)) is not a 32-bit integer") }
            ids[text] = id
        }
        return ids
    }
}

/// Whether a path exists.
func fileExists(_ path: String) -> Bool { (try? InputFile(path: path)) != nil }

/// The content of a file next to a checkpoint.
func smallFile(_ path: String, atMost limit: Int) throws(ImportError) -> OwnedBytes {
    do throws(FileError) {
        return try InputFile.contents(of: path, atMost: limit)
    } catch {
        throw ImportError(error)
    }
}
