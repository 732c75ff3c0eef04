// JSON Schemas of the replies of `/recommend`, `/rank` and their batches.

internal import Engine
internal import JSON

extension ContractSchemas {
    var reply: JSONValue {
        let items: JSONValue = [
            "type": "array", "maxItems": .integer(limits.maxK), "items": Self.reference("ScoredItem"),
        ]
        return Self.replyObject(Self.identity + [("items", items)] + outcome, optional: pathOutcome)
    }

    private var scoredItem: [(key: String, value: JSONValue)] {
        [("item", ["type": .string(idsAreIntegers ? "integer" : "string")]), ("score", ["type": "number"])]
    }

    /// An item of `/recommend`, with its tokens if requested.
    func scoredObject(
        _ members: [(key: String, value: JSONValue)],
        optional: [(key: String, value: JSONValue)] = []
    ) -> JSONValue {
        let required = (scoredItem + members).map(\.key)
        return Self.object(scoredItem + members + [("tokens", Self.itemTokens)] + optional, required: required)
    }

    var explanation: (key: String, value: JSONValue) {
        let id: JSONValue = ["type": .string(idsAreIntegers ? "integer" : "string")]
        let event = Self.object([("item", id), ("effect", ["type": "number", "exclusiveMinimum": 0])], required: nil)
        return (
            "explanation",
            [
                "type": "array", "maxItems": .integer(Explanation.maximumNamed), "items": event,
                "description": """
                Events of the history and what the score loses without each, the greatest first; where explain is true.
                """,
            ]
        )
    }

    var streamItem: JSONValue {
        let rank: JSONValue = ["type": "integer", "minimum": 1, "maximum": .integer(limits.maxK)]
        return scoredObject([("rank", rank)])
    }

    var streamEnd: JSONValue {
        Self.replyObject([("done", ["const": true])] + Self.identity + outcome, optional: pathOutcome)
    }

    /// All members are required but those that depend on the server's settings or on the model.
    static func replyObject(
        _ members: [(key: String, value: JSONValue)],
        optional: [(key: String, value: JSONValue)] = []
    ) -> JSONValue {
        object(
            members + optional + [("history_start", historyStart), ("history_source", historySource)],
            required: members.map(\.key).filter { !ofSome.contains($0) }
        )
    }

    static let identity: [(key: String, value: JSONValue)] = [
        ("request_id", requestID), ("model", reference("Model")),
    ]

    var outcome: [(key: String, value: JSONValue)] {
        [
            ("source", ["enum": ["model", "popularity"]]),
            (
                "degraded",
                [
                    "enum": .array(Recommendation.Degradation.allCases.map { .string($0.rawValue) }),
                    "description":
                        "Why the items are popular ones and not the model's: what would have been the refusal.",
                ]
            ),
            (
                "history_used",
                [
                    "type": "integer", "minimum": 0, "maximum": .integer(limits.maxHistory),
                    "description": "Known events that the model saw: the newest, as many as its window holds.",
                ]
            ),
            (
                "history_cached",
                [
                    "type": "integer", "minimum": 0, "maximum": .integer(limits.maxHistory),
                    "description": "How many of them did not have to be computed.",
                ]
            ),
            ("unknown_items", Self.count),
            ("exhausted", ["type": "boolean", "description": "Fewer items were eligible than asked for."]),
            ("eligible", Self.count), ("removed", Self.removed),
            ("timing_ms", Self.reference("Timing")),
        ]
    }

    /// Members of an outcome that may be absent.
    static let ofSome: Set<String> = ["eligible", "removed", "degraded"]

    private static let removed: JSONValue = {
        let reasons = ["seen", "excluded", "not_allowed", "unavailable", "max_per_tag"]
        return object(reasons.map { ($0, count) }, required: nil).adding([
            (
                "description",
                "Where exhausted is true: what kept the other items out. Each counts once, in this order."
            )
        ])
    }()

    private static let historySource: JSONValue = [
        "const": "store", "description": "The history is the one that the server keeps of the user.",
    ]

    private static let historyStart: JSONValue = [
        "type": "integer", "minimum": 0,
        "description": """
        Where the window moves by strides: index of the first used event among the known ones.
        """,
    ]

    func batchReply(of schema: String) -> JSONValue {
        let results: JSONValue = [
            "type": "array", "maxItems": .integer(limits.maxBatch),
            "items": ["oneOf": [Self.reference(schema), Self.reference("Problem")]],
            "description": "All of them have the request_id of the batch.",
        ]
        return Self.object([("results", results)], required: nil)
    }

    static let model = object([("name", ["type": "string"]), ("version", ["type": "string"])], required: nil)

    static let timing: JSONValue = {
        let duration: JSONValue = ["type": "number", "minimum": 0]
        return object(["queue", "prefill", "decode", "total"].map { ($0, duration) }, required: nil)
    }()
}
