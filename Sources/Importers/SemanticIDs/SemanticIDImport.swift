// Turns the `semantic_ids` of a description, which name an index and a template, into a bundle's.

internal import Catalogue
internal import Files
internal import JSON
import Models

/// The items of a model with semantic ids, and their configuration.
struct SemanticIDImport {
    let configuration: SemanticIDs
    let catalogue: Catalogue
    let summary: SemanticIDSummary

    /// Reads the index and checks everything against the decoder.
    ///
    /// - Parameters:
    ///   - value: the object under `semantic_ids`.
    ///   - description: the path of the description, for errors; files are searched for next to it and next to the
    ///     checkpoint.
    ///   - folder: the checkpoint's folder, with a trailing slash, or empty.
    ///   - rows: rows of the decoder's table.
    ///   - window: the most tokens that the decoder reads.
    /// - Throws: `ImportError`, one sentence.
    init(
        _ value: JSONValue,
        description: String,
        folder: String,
        rows: Int,
        window: Int
    ) throws(ImportError) {
        let stated: Stated
        do throws(JSONError) {
            stated = try Stated(value)
        } catch {
            throw ImportError(.badDescription, "\(description): \(error.description)")
        }
        func locate(_ path: String) -> String {
            if path.hasPrefix("/") { return path }
            let beside = description.parentFolder + path
            return fileExists(beside) || !fileExists(folder + path) ? beside : folder + path
        }
        let index = try ItemIndex(path: locate(stated.index))
        let items = try Self.items(
            index,
            stated,
            names: TokenNames(folder: folder),
            ids: try stated.ids.map { path throws(ImportError) in try ItemNames(ids: locate(path)) },
            titles: try stated.titles.map { path throws(ImportError) in try ItemNames(titles: locate(path)) },
            rows: rows
        )
        let levels = items[0].tokens.count
        let template = stated.template
        let fitting = template.itemsThatFit(window: window, levels: levels)
        configuration = SemanticIDs(
            levels: levels,
            ranges: stated.ranges ?? Self.ranges(items, levels: levels),
            normalization: stated.normalization,
            scoreTail: stated.scoreTail,
            template: template,
            defaultBeams: stated.defaultBeams,
            itemsPerPath: stated.itemsPerPath,
            maxItems: stated.maxItems ?? fitting,
            windowStride: stated.windowStride
        )
        do throws(JSONError) {
            guard fitting > 0 else {
                throw JSONError(
                    "semantic_ids.template: a history of one item does not fit into the window of \(window) tokens"
                )
            }
            try configuration.check(rows: rows, window: window)
        } catch {
            throw ImportError(.mismatched, "\(description): \(error.description)")
        }
        let rules = PathRules(
            levels: levels,
            vocabulary: rows,
            ranges: configuration.ranges?.map { $0.first..<$0.first + $0.count }
        )
        for (item, entry) in zip(items, index.entries) {
            if let fault = rules.fault(item.tokens) {
                throw ImportError(.mismatched, "\(index.path): the item \(quoted(entry.id.text)): \(fault)")
            }
        }
        summary = SemanticIDSummary(PathTrie(tokens: items.flatMap(\.tokens), levels: levels), template: template)
        guard summary.largestPath <= SemanticIDs.Limit.itemsOnAPath else {
            throw ImportError(
                .mismatched,
                "\(index.path): \(summary.largestPath) items share one path, more than "
                    + "\(SemanticIDs.Limit.itemsOnAPath), which only a broken tokenizer produces"
            )
        }
        do throws(FileError) {
            catalogue = try Catalogue(items: items, levels: levels, path: index.path)
        } catch {
            throw ImportError(error)
        }
    }

    // MARK: - The description

    /// The keys of `semantic_ids`.
    private struct Stated {
        let index: String
        let ids: String?
        let titles: String?
        let offsets: [Int32]
        let ranges: [SemanticIDs.TokenRange]?
        let template: SemanticIDs.Template
        let normalization: SemanticIDs.Normalization
        let scoreTail: Bool
        let defaultBeams: Int
        let itemsPerPath: Int?
        let maxItems: Int?
        let windowStride: Int

        init(_ value: JSONValue) throws(JSONError) {
            var fields = try JSONFields(value, path: "semantic_ids")
            func optionalString(_ key: String) throws(JSONError) -> String? {
                fields.contains(key) ? try fields.string(key) : nil
            }
            index = try fields.string("index")
            ids = try optionalString("ids")
            titles = try optionalString("titles")
            offsets = try SemanticIDs.Template.tokens("offsets", &fields)
            ranges = try SemanticIDs.ranges(&fields)
            var lists = try fields.object("template")
            var template = try SemanticIDs.Template(&lists)
            try lists.end()
            let tail = try SemanticIDs.Template.tokens("tail", &fields)
            guard tail.isEmpty || template.tail.isEmpty else {
                throw JSONError("semantic_ids.tail and semantic_ids.template.tail are both given")
            }
            template.tail += tail
            self.template = template
            normalization = try fields.choice(
                "normalization",
                of: SemanticIDs.Normalization.self,
                default: .vocabulary
            )
            scoreTail = try fields.boolean("score_tail", default: true)
            defaultBeams = try fields.integer("default_beams", in: SemanticIDs.Limit.beams, default: 50)
            let count = 1...Int(Int32.max)
            itemsPerPath = fields.contains("items_per_path") ? try fields.integer("items_per_path", in: count) : nil
            maxItems = fields.contains("max_items") ? try fields.integer("max_items", in: count) : nil
            windowStride = try fields.integer("window_stride", in: 1...65_536, default: 1)
            try fields.end()
        }
    }

    // MARK: - Items

    private static func items(
        _ index: ItemIndex,
        _ stated: Stated,
        names: TokenNames,
        ids: ItemNames?,
        titles: ItemNames?,
        rows: Int
    ) throws(ImportError) -> [CatalogueItem] {
        var ids = ids
        let levels = index.entries[0].tokens.count
        func fault(_ entry: ItemIndex.Entry, _ reason: String) -> ImportError {
            ImportError(.mismatched, "\(index.path): the item \(quoted(entry.id.text)) \(reason)")
        }
        guard SemanticIDs.Limit.levels.contains(levels) else {
            throw fault(index.entries[0], "has \(levels) tokens, but a path has 2 to 8")
        }
        guard stated.offsets.isEmpty || stated.offsets.count == levels else {
            throw ImportError(
                .badDescription,
                "semantic_ids.offsets has \(stated.offsets.count) entries for \(levels) levels"
            )
        }
        var items: [CatalogueItem] = []
        items.reserveCapacity(index.entries.count)
        for entry in index.entries {
            guard entry.tokens.count == levels else {
                throw fault(entry, "has \(entry.tokens.count) tokens, but the first item has \(levels)")
            }
            guard 1...1024 ~= entry.id.text.utf8.count else { throw fault(entry, "must have an id of 1 to 1024 bytes") }
            var tokens: [Int32] = []
            var text = ""
            for (level, token) in entry.tokens.enumerated() {
                switch token {
                case .text(let word):
                    guard let id = names.ids[word] else {
                        let place = names.paths.isEmpty ? "no tokenizer.json" : names.paths.joined(separator: " and ")
                        throw fault(entry, "has the token \(quoted(word)), which \(place) does not have")
                    }
                    tokens.append(id)
                    text += word
                case .id(let code):
                    let offset = stated.offsets.isEmpty ? 0 : Int64(stated.offsets[level])
                    let (sum, overflow) = code.addingReportingOverflow(offset)
                    guard !overflow, sum >= 0, sum < Int64(rows) else {
                        throw fault(entry, "has the token \(code), which is outside the vocabulary of \(rows) rows")
                    }
                    tokens.append(Int32(truncatingIfNeeded: sum))
                    text += String(code)
                }
            }
            var id = entry.id
            var title = entry.title ?? titles?.title(entry.id)
            if let known = try ids?.take(entry.id, path: text) {
                id = known.id
                title = title ?? known.title
            }
            items.append(CatalogueItem(id: id, title: title, tokens: tokens))
        }
        return items
    }

    /// The smallest to largest token of each level, if no levels overlap; otherwise nil.
    private static func ranges(_ items: [CatalogueItem], levels: Int) -> [SemanticIDs.TokenRange]? {
        var bounds = items[0].tokens.map { $0...$0 }
        for item in items {
            for (level, token) in item.tokens.enumerated() {
                bounds[level] = min(bounds[level].lowerBound, token)...max(bounds[level].upperBound, token)
            }
        }
        let ascending = bounds.sorted { $0.lowerBound < $1.lowerBound }
        guard zip(ascending, ascending.dropFirst()).allSatisfy({ $0.upperBound < $1.lowerBound }) else { return nil }
        return bounds.map { SemanticIDs.TokenRange(first: Int($0.lowerBound), count: $0.count) }
    }
}
