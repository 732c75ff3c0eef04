// Readable ids and titles for an index that has only numbers, from files that trainers write next to it.

internal import Catalogue
internal import Files
internal import JSON
import Models

/// Raw ids and titles of items.
struct ItemNames {
    private static let byteLimit = 4 << 30

    private let path: String
    /// Keyed by the item's id in the index, as `titles`.
    private var ids: [String: CatalogueItem.ID] = [:]
    private var titles: [String: String] = [:]
    /// MiniOneRec's `info` files name no index id: keyed by the text of the path, in reverse file order.
    private var byPath: [String: [(id: String, title: String)]] = [:]

    /// Reads a file of ids: a JSON object from index ids to raw ids; lines of raw id, tab, index id; or MiniOneRec's
    /// `info` file, lines of path, tab, title, tab, raw id.
    ///
    /// - Throws: `ImportError` that names the file and the line.
    init(ids path: String) throws(ImportError) {
        self.path = path
        let content = try smallFile(path, atMost: Self.byteLimit)
        do throws(JSONError) {
            if content.withBytes({ bytes in bytes.first { $0 > 0x20 } == UInt8(ascii: "{") }) {
                for member in try Self.object(content) {
                    switch member.value {
                    case .string(let text): ids[member.key] = .string(text)
                    case .integer(let value): ids[member.key] = .integer(value)
                    default: throw JSONError(": the id of \(quoted(member.key)) is neither a string nor an integer")
                    }
                }
                return
            }
        } catch {
            throw ImportError(.malformed, "\(path)\(error.description)")
        }
        guard let text = content.withBytes({ String(validating: $0, as: UTF8.self) }) else {
            throw ImportError(.malformed, "\(path) is not UTF-8")
        }
        for (number, line) in text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline).enumerated() {
            if line.allSatisfy(\.isWhitespace) { continue }
            let fields = line.split(separator: "\t", omittingEmptySubsequences: false).map(String.init)
            switch fields.count {
            case 2: ids[fields[1]] = .string(fields[0])
            case 3: byPath[fields[0], default: []].append((fields[2], fields[1]))
            default:
                throw ImportError(
                    .malformed,
                    "\(path), line \(number + 1): \(fields.count) tab-separated fields, not 2 (raw id, item) or 3 "
                        + "(path, title, raw id)"
                )
            }
        }
        for (path, lines) in byPath { byPath[path] = lines.reversed() }
    }

    /// Reads a file of titles: a JSON object from index ids to titles, or to objects with a `title`.
    ///
    /// - Throws: `ImportError` that names the file.
    init(titles path: String) throws(ImportError) {
        self.path = path
        let content = try smallFile(path, atMost: Self.byteLimit)
        do throws(JSONError) {
            for member in try Self.object(content) {
                switch member.value {
                case .string(let text): titles[member.key] = text
                case .object(let members):
                    if case .string(let text)? = members.first(where: { $0.key == "title" })?.value {
                        titles[member.key] = text
                    }
                default: break
                }
            }
        } catch {
            throw ImportError(.malformed, "\(path)\(error.description)")
        }
    }

    private static func object(_ content: OwnedBytes) throws(JSONError) -> [JSONMember] {
        do throws(JSONError) {
            let value = try content.withBytes { bytes throws(JSONError) in try JSONValue(parsing: bytes) }
            guard case .object(let members) = value else { throw JSONError("expected an object") }
            return members
        } catch {
            throw JSONError(": \(error.description)")
        }
    }

    /// The raw id and title of an item.
    ///
    /// - Parameter path: the texts of its tokens, joined. Items that share a path have the same order in both files.
    /// - Throws: `ImportError` if the file lacks the item.
    mutating func take(
        _ item: CatalogueItem.ID,
        path tokens: String
    ) throws(ImportError) -> (id: CatalogueItem.ID, title: String?) {
        if let id = ids[item.text] { return (id, nil) }
        if let line = byPath[tokens]?.popLast() { return (.string(line.id), line.title) }
        throw ImportError(.mismatched, "\(path) has no id for the item \(quoted(item.text))")
    }

    /// The title of an item; nil if the file lacks it.
    func title(_ item: CatalogueItem.ID) -> String? { titles[item.text] }
}
