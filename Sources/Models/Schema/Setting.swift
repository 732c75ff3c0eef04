// How a decoder declares its settings. One declaration gives the key of `config.json`, its reading, checking and
// writing, the lines of `genrec inspect`, and the row of the table in the documentation.

internal import JSON

/// One key of the object under `model` in a bundle's `config.json`.
package struct Setting<Owner: Sendable>: Sendable {
    /// The configuration's property for the value.
    package typealias Path<Value> = any WritableKeyPath<Owner, Value> & Sendable

    /// A line of `genrec inspect`.
    package struct Fact: Sendable {
        package let label: String
        package let text: @Sendable (Owner) -> String
    }

    package let key: String
    /// The allowed values, for people.
    package let values: String
    /// The meaning of the value, a clause for people.
    package let meaning: String
    /// Whether the key may be absent. The value is then the default.
    package let isOptional: Bool
    /// Lines that `genrec inspect` prints for this setting.
    package private(set) var facts: [Fact] = []

    /// Reads the value from an object. Errors name the key with its path.
    let take: @Sendable (inout JSONFields, inout Owner) throws(JSONError) -> Void
    /// The value to write; nil: the key is omitted.
    let json: @Sendable (Owner) -> JSONValue?
    /// Checks a value set in code. Errors name the key.
    let check: @Sendable (Owner) throws(JSONError) -> Void

    init(
        _ key: String,
        values: String,
        _ meaning: String,
        isOptional: Bool = false,
        take: @escaping @Sendable (inout JSONFields, inout Owner) throws(JSONError) -> Void,
        json: @escaping @Sendable (Owner) -> JSONValue?,
        check: @escaping @Sendable (Owner) throws(JSONError) -> Void = { _ in }
    ) {
        self.key = key
        self.values = values
        self.meaning = meaning
        self.isOptional = isOptional
        self.take = take
        self.json = json
        self.check = check
    }

    /// Adds a line to the output of `genrec inspect`.
    func stating(_ label: String, _ text: @escaping @Sendable (Owner) -> String) -> Self {
        var copy = self
        copy.facts.append(Fact(label: label, text: text))
        return copy
    }
}

// MARK: - Kinds of values

extension Setting {
    static func integer(
        _ key: String,
        _ path: Path<Int>,
        _ range: ClosedRange<Int>,
        _ meaning: String,
        isOptional: Bool = false
    ) -> Self {
        Self(
            key,
            values: "\(range.lowerBound) … \(range.upperBound)",
            meaning,
            isOptional: isOptional,
            take: { (fields, owner) throws(JSONError) in
                let fallback = isOptional ? owner[keyPath: path] : nil
                owner[keyPath: path] = try fields.integer(key, in: range, default: fallback)
            },
            json: { .integer($0[keyPath: path]) },
            check: { (owner) throws(JSONError) in
                guard range.contains(owner[keyPath: path]) else {
                    throw JSONError("\(key) must be from \(range.lowerBound) to \(range.upperBound)")
                }
            }
        )
    }

    /// A number greater than 0.
    static func real(_ key: String, _ path: Path<Double>, atMost limit: Double, _ meaning: String) -> Self {
        Self(
            key,
            values: "> 0, at most \(limit)",
            meaning,
            take: { (fields, owner) throws(JSONError) in
                owner[keyPath: path] = try fields.positiveReal(key, atMost: limit)
            },
            json: { .real($0[keyPath: path]) },
            check: { (owner) throws(JSONError) in
                guard owner[keyPath: path] > 0, owner[keyPath: path] <= limit else {
                    throw JSONError("\(key) must be greater than 0 and at most \(limit)")
                }
            }
        )
    }

    static func boolean(_ key: String, _ path: Path<Bool>, _ meaning: String, isOptional: Bool = false) -> Self {
        Self(
            key,
            values: "true, false",
            meaning,
            isOptional: isOptional,
            take: { (fields, owner) throws(JSONError) in
                owner[keyPath: path] = try fields.boolean(key, default: isOptional ? owner[keyPath: path] : nil)
            },
            json: { .boolean($0[keyPath: path]) }
        )
    }

    static func choice<Choice: RawRepresentable<String> & CaseIterable & Sendable>(
        _ key: String,
        _ path: Path<Choice>,
        _ meaning: String,
        isOptional: Bool = false
    ) -> Self {
        Self(
            key,
            values: Choice.allCases.map { "`\($0.rawValue)`" }.joined(separator: ", "),
            meaning,
            isOptional: isOptional,
            take: { (fields, owner) throws(JSONError) in
                let fallback = isOptional ? owner[keyPath: path] : nil
                owner[keyPath: path] = try fields.choice(key, of: Choice.self, default: fallback)
            },
            json: { .string($0[keyPath: path].rawValue) }
        )
    }
}

// MARK: - Settings that every decoder has

extension Setting where Owner: ArchitectureConfiguration {
    static var width: Self {
        .integer(
            "width",
            \.width,
            ArchitectureLimit.dimension,
            "D, the width of the item rows and of the residual stream"
        )
        .stating("width") { "\($0.width)" }
    }

    static var layers: Self {
        .integer("layers", \.layers, ArchitectureLimit.layers, "L").stating("layers") { "\($0.layers)" }
    }

    static var window: Self {
        .integer(
            "max_sequence_length",
            \.maxSequenceLength,
            ArchitectureLimit.length,
            "the window: only the newest events of a longer history are used"
        ).stating("window") { "\($0.maxSequenceLength) events" }
    }

    static var rows: Self {
        .integer("item_rows", \.rows, ArchitectureLimit.rows, "V + 1, rows of the item table including padding row 0")
    }

    static func epsilon(_ key: String, _ path: Path<Double>, _ meaning: String) -> Self {
        .real(key, path, atMost: 1, meaning)
    }
}

// MARK: - Settings that several decoders have

extension Setting {
    static func embeddingScale(_ path: Path<EmbeddingScale>) -> Self {
        choice("embedding_scale", path, "the factor that input item rows are multiplied by: 1 or sqrt(D)")
            .stating("embedding scale") { $0[keyPath: path].rawValue }
    }

    static func scoreNormalization(_ path: Path<ScoreNormalization>) -> Self {
        choice(
            "score_normalization",
            path,
            "a score is the dot product of query and item row, as they are or L2-normalised"
        )
        .stating("score normalization") { $0[keyPath: path].rawValue }
    }

    static func itemL2Norm(_ path: Path<Bool>) -> Self {
        boolean("item_l2_norm", path, "item rows are L2-normalised for scoring (not for input)")
            .stating("item normalization") { $0[keyPath: path] ? "l2" : "none" }
    }

    static func relativeBias(_ path: Path<RelativeBiasKind>, isOptional: Bool = false) -> Self {
        choice(
            "relative_attention_bias",
            path,
            "what is added to the score of query i and key j: nothing, a term for j − i, or also one for the time",
            isOptional: isOptional
        )
    }

    static func timeBuckets(_ path: Path<Int>, isOptional: Bool = false) -> Self {
        integer(
            "time_buckets",
            path,
            ArchitectureLimit.timeBuckets,
            "the largest time bucket; the temporal bias has one entry more",
            isOptional: isOptional
        )
    }
}
