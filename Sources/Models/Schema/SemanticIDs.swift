// A bundle's settings for semantic ids. Items are paths of tokens, and the decoder's table has a row for each token of
// its vocabulary, not for each item. The catalogue holds the paths.

package import JSON

/// How items become tokens and how they are scored. In `config.json` under `model.semantic_ids`.
package struct SemanticIDs: Sendable, Equatable {
    /// Bounds of the settings.
    package enum Limit {
        package static let levels = 2...8
        /// Tokens of one list of the template, or of the tail.
        package static let listTokens = 65_536
        package static let beams = 1...65_536
        /// Items on one path: more indicate a broken tokenizer.
        package static let itemsOnAPath = 10_000
    }

    /// The set over which the probabilities of tokens sum to 1.
    package enum Normalization: String, Sendable, CaseIterable {
        /// The whole vocabulary.
        case vocabulary
        /// The tokens of the level.
        case level
        /// The tokens that may follow the prefix.
        case allowed
    }

    /// How a history is laid out, in token ids.
    package struct Template: Sendable, Equatable {
        /// Before the history.
        package var before: [Int32] = []
        /// Between two items.
        package var between: [Int32] = []
        /// Before and after the path of each item of the history.
        package var open: [Int32] = []
        package var close: [Int32] = []
        /// After the history; the path of the next item follows.
        package var after: [Int32] = []
        /// The tokens that the decoder writes after that path.
        package var tail: [Int32] = []

        package init() {}

        /// The prompt of a history of these paths, oldest first.
        package func prompt(_ paths: some Sequence<[Int32]>) -> [Int32] {
            var prompt = before
            for (index, path) in paths.enumerated() {
                if index > 0 { prompt += between }
                prompt += open + path + close
            }
            return prompt + after
        }

        /// The number of history items whose prompt fits into a window together with a path of `levels` tokens and the
        /// tail.
        package func itemsThatFit(window: Int, levels: Int) -> Int {
            let item = open.count + levels + close.count
            let free = window - before.count - after.count - levels - tail.count - item
            return free < 0 ? 0 : 1 + free / (item + between.count)
        }
    }

    /// The tokens reserved for a level.
    package struct TokenRange: Sendable, Equatable {
        package let first: Int
        package let count: Int

        package init(first: Int, count: Int) {
            self.first = first
            self.count = count
        }

        package func contains(_ token: Int32) -> Bool { Int(token) >= first && Int(token) - first < count }
    }

    /// Tokens per path.
    package var levels: Int
    /// One per level; nil: not stated. Required if `normalization` is `level`.
    package var ranges: [TokenRange]?
    package var normalization: Normalization
    /// Whether the log-probability of the tail is part of the score.
    package var scoreTail: Bool
    package var template: Template
    /// Beams of a request that does not set them and asks for no more items than this.
    package var defaultBeams: Int
    /// The most items per path; nil: all.
    package var itemsPerPath: Int?
    /// The number of newest history items that the prompt holds.
    package var maxItems: Int
    /// The number of items by which a full window advances at a time.
    package var windowStride: Int

    package init(
        levels: Int,
        ranges: [TokenRange]?,
        normalization: Normalization,
        scoreTail: Bool,
        template: Template,
        defaultBeams: Int,
        itemsPerPath: Int?,
        maxItems: Int,
        windowStride: Int = 1
    ) {
        self.levels = levels
        self.ranges = ranges
        self.normalization = normalization
        self.scoreTail = scoreTail
        self.template = template
        self.defaultBeams = defaultBeams
        self.itemsPerPath = itemsPerPath
        self.maxItems = maxItems
        self.windowStride = windowStride
    }

    /// Reads the object under `semantic_ids`. Errors name the key.
    package init(_ fields: JSONFields) throws(JSONError) {
        var fields = fields
        levels = try fields.integer("levels", in: Limit.levels)
        ranges = try Self.ranges(&fields)
        normalization = try fields.choice("normalization", of: Normalization.self)
        scoreTail = try fields.boolean("score_tail")
        var lists = try fields.object("template")
        template = try Template(&lists)
        try lists.end()
        defaultBeams = try fields.integer("default_beams", in: Limit.beams)
        itemsPerPath =
            fields.contains("items_per_path") ? try fields.integer("items_per_path", in: 1...Int(Int32.max)) : nil
        maxItems = try fields.integer("max_items", in: ArchitectureLimit.length)
        windowStride = try fields.integer("window_stride", in: ArchitectureLimit.length, default: 1)
        try fields.end()
    }

    /// Takes `ranges`, one object for each level; nil if it is absent.
    package static func ranges(_ fields: inout JSONFields) throws(JSONError) -> [TokenRange]? {
        guard let value = fields.optional("ranges") else { return nil }
        let path = fields.path("ranges")
        guard case .array(let elements) = value else { throw JSONError("\(path) must be an array") }
        var ranges: [TokenRange] = []
        for element in elements {
            var range = try JSONFields(element, path: path)
            ranges.append(
                TokenRange(
                    first: try range.integer("first", in: 0...Int(Int32.max)),
                    count: try range.integer("count", in: 1...Int(Int32.max))
                )
            )
            try range.end()
        }
        return ranges
    }

    /// Checks that the settings fit a decoder.
    ///
    /// - Parameters:
    ///   - rows: rows of its table; every token must be less.
    ///   - window: the most tokens that it reads.
    /// - Throws: `JSONError` that names the key.
    package func check(rows: Int, window: Int) throws(JSONError) {
        guard Limit.levels.contains(levels) else {
            throw JSONError(
                "semantic ids have \(Limit.levels.lowerBound) to \(Limit.levels.upperBound) levels, not \(levels)"
            )
        }
        for (key, tokens) in template.lists {
            if let token = tokens.first(where: { $0 < 0 || Int($0) >= rows }) {
                throw JSONError("semantic_ids: token \(token) of \(key) is outside the vocabulary of \(rows) rows")
            }
        }
        guard normalization != .level || ranges != nil else {
            throw JSONError("semantic_ids.ranges is missing, but the normalization \"level\" needs it")
        }
        if let ranges {
            guard ranges.count == levels else {
                throw JSONError("semantic_ids.ranges has \(ranges.count) entries for \(levels) levels")
            }
            for range in ranges where range.first + range.count > rows {
                throw JSONError("semantic_ids.ranges exceeds the vocabulary of \(rows) rows")
            }
        }
        let fitting = template.itemsThatFit(window: window, levels: levels)
        guard maxItems <= fitting else {
            throw JSONError(
                "semantic_ids.max_items is \(maxItems), but the template fits only \(fitting) items into \(window) tokens"
            )
        }
    }

    package var json: JSONValue {
        var members = [JSONMember("levels", .integer(levels))]
        if let ranges {
            members.append(
                JSONMember(
                    "ranges",
                    .array(
                        ranges.map { range in
                            .object([
                                JSONMember("first", .integer(range.first)), JSONMember("count", .integer(range.count)),
                            ])
                        }
                    )
                )
            )
        }
        members += [
            JSONMember("normalization", .string(normalization.rawValue)), JSONMember("score_tail", .boolean(scoreTail)),
            JSONMember(
                "template",
                .object(
                    template.lists.map { list in
                        JSONMember(list.key, .array(list.tokens.map { .integer(Int($0)) }))
                    }
                )
            ),
            JSONMember("default_beams", .integer(defaultBeams)),
        ]
        if let itemsPerPath { members.append(JSONMember("items_per_path", .integer(itemsPerPath))) }
        members += [JSONMember("max_items", .integer(maxItems)), JSONMember("window_stride", .integer(windowStride))]
        return .object(members)
    }
}

extension SemanticIDs.Template {
    /// Reads the lists; an absent one is empty.
    package init(_ fields: inout JSONFields) throws(JSONError) {
        before = try Self.tokens("before", &fields)
        between = try Self.tokens("between", &fields)
        open = try Self.tokens("open", &fields)
        close = try Self.tokens("close", &fields)
        after = try Self.tokens("after", &fields)
        tail = try Self.tokens("tail", &fields)
    }

    /// Takes a list of token ids; empty if it is absent.
    package static func tokens(_ key: String, _ fields: inout JSONFields) throws(JSONError) -> [Int32] {
        guard let value = fields.optional(key) else { return [] }
        let path = fields.path(key)
        guard case .array(let elements) = value else { throw JSONError("\(path) must be an array of token ids") }
        guard elements.count <= SemanticIDs.Limit.listTokens else {
            throw JSONError("\(path) has more than \(SemanticIDs.Limit.listTokens) tokens")
        }
        var tokens: [Int32] = []
        for element in elements {
            guard case .integer(let token) = element, token >= 0, let token = Int32(exactly: token) else {
                throw JSONError("\(path) must contain token ids, which are non-negative integers")
            }
            tokens.append(token)
        }
        return tokens
    }

    /// The lists with their keys.
    var lists: [(key: String, tokens: [Int32])] {
        [
            ("before", before), ("between", between), ("open", open), ("close", close), ("after", after),
            ("tail", tail),
        ]
    }
}
