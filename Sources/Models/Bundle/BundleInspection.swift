// The content of a bundle, for `genrec inspect`: as a table for people and as JSON for programs.

internal import Catalogue
import Compute
package import JSON

/// The facts of a loaded, and thereby verified, bundle.
package struct BundleInspection: Sendable {
    /// A tensor of the weights.
    package struct TensorFact: Sendable, Equatable {
        package let name: String
        package let shape: [Int]
        package let byteCount: Int
    }

    package let configuration: BundleConfiguration
    package let tensors: [TensorFact]
    package let itemCount: Int
    package let tagCount: Int
    package let idsAreIntegers: Bool
    package let hasPopularity: Bool
    /// nil: the bundle has none.
    package let goldenCaseCount: Int?
    /// Elements of all tensors.
    package let parameterCount: Int
    /// Elements of all tensors except the item table.
    package let parameterCountWithoutItems: Int
    /// Number of history events that `operations` assumes.
    package let length: Int
    /// Floating-point operations of a request with `length` events.
    package let operations: RequestOperations
    /// Bytes of keys and values that one event takes in a cache of float32.
    package let cacheBytesPerEvent: Int
    /// Facts about the items' token paths; nil: items are rows of the table.
    package let semanticIDs: SemanticIDSummary?

    /// - Parameter length: number of history events to count operations for; nil, or more than the window: the window.
    package init(_ bundle: ModelBundle, length: Int? = nil) {
        configuration = bundle.configuration
        let architecture = configuration.architecture.configuration
        let specifications = architecture.tensorSpecifications
        let elementBytes = configuration.dtype.byteCount
        tensors = specifications.map { specification in
            TensorFact(
                name: specification.name,
                shape: specification.shape,
                byteCount: specification.count * elementBytes
            )
        }
        itemCount = bundle.catalogue.count
        tagCount = bundle.catalogue.tagCount
        idsAreIntegers = bundle.catalogue.idsAreIntegers
        hasPopularity = bundle.catalogue.hasPopularity
        goldenCaseCount = bundle.golden?.cases.count
        parameterCount = architecture.parameterCount
        parameterCountWithoutItems = architecture.parameterCount - (specifications.first?.count ?? 0)  // the item table
        self.length = min(length ?? .max, architecture.maxSequenceLength)
        operations = architecture.operations(length: self.length)
        cacheBytesPerEvent = architecture.cacheBytesPerEvent(.float32)
        semanticIDs = configuration.semanticIDs.map { ids in
            SemanticIDSummary(PathTrie(tokens: bundle.catalogue.tokens, levels: ids.levels), template: ids.template)
        }
    }

    /// Bytes of all tensors.
    package var weightBytes: Int { tensors.reduce(0) { $0 + $1.byteCount } }

    // MARK: - Rendering

    /// The facts as one JSON object.
    package var json: JSONValue {
        var members: [JSONMember] = [
            JSONMember("name", .string(configuration.name)),
            JSONMember("version", .string(configuration.version)),
            JSONMember("architecture", .string(configuration.architecture.name.rawValue)),
            JSONMember("dtype", .string(configuration.dtype.rawValue)),
            JSONMember("model", configuration.modelJSON),
            JSONMember("parameters", .integer(parameterCount)),
            JSONMember("parameters_without_items", .integer(parameterCountWithoutItems)),
            JSONMember("weight_bytes", .integer(weightBytes)),
            JSONMember(
                "flops_per_request",
                .object([
                    JSONMember("length", .integer(length)),
                    JSONMember("linear", .integer(operations.linear)),
                    JSONMember("attention", .integer(operations.attention)),
                    JSONMember("scoring", .integer(operations.scoring)),
                ])
            ),
            JSONMember("cache_bytes_per_event", .integer(cacheBytesPerEvent)),
            JSONMember(
                "catalogue",
                .object([
                    JSONMember("items", .integer(itemCount)),
                    JSONMember("tags", .integer(tagCount)),
                    JSONMember("ids", .string(idsAreIntegers ? "integer" : "string")),
                    JSONMember("popularity", .boolean(hasPopularity)),
                ])
            ),
            JSONMember("golden_cases", .integer(goldenCaseCount ?? 0)),
            JSONMember("provenance", configuration.provenance.json),
            JSONMember(
                "tensors",
                .array(
                    tensors.map { tensor in
                        .object([
                            JSONMember("name", .string(tensor.name)),
                            JSONMember("shape", .array(tensor.shape.map { .integer($0) })),
                            JSONMember("bytes", .integer(tensor.byteCount)),
                        ])
                    }
                )
            ),
        ]
        if let semanticIDs { members.append(JSONMember("semantic_ids", .object(semanticIDs.members))) }
        return .object(members)
    }

    /// The facts as a multi-line table; the last line ends with a newline.
    package var text: String {
        let architecture = configuration.architecture.configuration
        var rows: [(label: String, value: String)] = [
            ("bundle", "\(configuration.name), version \(configuration.version)"),
            ("architecture", configuration.architecture.name.rawValue),
        ]
        rows += architecture.facts
        if let ids = configuration.semanticIDs, let semanticIDs { rows += facts(ids, semanticIDs) }
        rows += [
            ("parameters", "\(grouped(parameterCount)), \(grouped(parameterCountWithoutItems)) without the item table"),
            ("weights", "\(grouped(weightBytes)) bytes of \(configuration.dtype.rawValue)"),
            ("operations", "\(grouped(operations.total)) for a request of \(length) events"),
            ("", "linear \(grouped(operations.linear)), attention \(grouped(operations.attention))"),
            ("", "scoring \(grouped(operations.scoring))"),
            ("cache", "\(grouped(cacheBytesPerEvent)) bytes of float32 per event"),
            ("items", "\(grouped(itemCount)) in \(grouped(architecture.rows)) rows"),
            ("ids", idsAreIntegers ? "integers" : "strings"),
            ("tags", grouped(tagCount)),
            ("popularity", hasPopularity ? "given" : "not given, equal for all items"),
            ("golden cases", goldenCaseCount.map { "\(grouped($0)), for these weights" } ?? "none"),
            ("source", "\(configuration.provenance.source), \(configuration.provenance.file)"),
            ("sha256", configuration.provenance.sha256),
        ]
        let labelWidth = rows.map(\.label.count).max() ?? 0
        var text = ""
        for row in rows { text += padded(row.label, to: labelWidth) + "  " + row.value + "\n" }
        text += "\n"
        let nameWidth = tensors.map(\.name.count).max() ?? 0
        let shapeWidth = tensors.map { shapeDescription($0.shape).count }.max() ?? 0
        for tensor in tensors {
            let shape = padded(shapeDescription(tensor.shape), to: shapeWidth)
            text += padded(tensor.name, to: nameWidth) + "  " + shape + "  " + grouped(tensor.byteCount) + " bytes\n"
        }
        return text
    }
}

extension BundleInspection {
    /// The rows about semantic ids.
    private func facts(_ ids: SemanticIDs, _ summary: SemanticIDSummary) -> [(label: String, value: String)] {
        let template = ids.template.lists.map { "\($0.key) \($0.tokens.count)" }.joined(separator: ", ")
        let tail = ids.template.tail.isEmpty ? "" : ids.scoreTail ? ", tail scored" : ", tail not scored"
        return [
            ("semantic ids", "\(ids.levels) levels, softmax over \(ids.normalization.rawValue) tokens\(tail)"),
            (
                "paths",
                "\(grouped(summary.paths)), \(grouped(summary.duplicates)) items share one with others, at most "
                    + "\(grouped(summary.largestPath)) items on one"
            ),
            ("fan-out", summary.prefixes.map { grouped($0) }.joined(separator: " > ") + " prefixes by level"),
            ("trie", "\(grouped(summary.trieBytes)) bytes"),
            ("template", "tokens: \(template)"),
            ("", "three items as \(summary.exampleText)"),
            ("history", "the newest \(grouped(ids.maxItems)) items"),
            ("beams", grouped(ids.defaultBeams)),
        ]
    }
}

private func padded(_ text: String, to width: Int) -> String {
    text + String(repeating: " ", count: max(0, width - text.count))
}

/// An integer with its digits in groups of three.
private func grouped(_ value: Int) -> String {
    var text = ""
    for (index, digit) in String(value).reversed().enumerated() {
        if index > 0, index.isMultiple(of: 3) { text.append(" ") }
        text.append(digit)
    }
    return String(text.reversed())
}
