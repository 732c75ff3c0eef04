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
                If explain is true: events of the history, each with what the score loses without it, the greatest \
                loss first.
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
                        "Why the items are popular ones instead of the model's: the refusal that they replace.",
                ]
            ),
            (
                "history_used",
                [
                    "type": "integer", "minimum": 0, "maximum": .integer(limits.maxHistory),
                    "description": "Known events that the model used: the newest that fit its window.",
                ]
            ),
            (
                "history_cached",
                [
                    "type": "integer", "minimum": 0, "maximum": .integer(limits.maxHistory),
                    "description": "Used events that were cached and not recomputed.",
                ]
            ),
            ("unknown_items", Self.count),
            ("exhausted", ["type": "boolean", "description": "Whether fewer items were eligible than requested."]),
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
                "If exhausted is true: why the other items were left out. Each item counts once, for the first reason in this order."
            )
        ])
    }()

    private static let historySource: JSONValue = [
        "const": "store", "description": "The history is from the user store.",
    ]

    private static let historyStart: JSONValue = [
        "type": "integer", "minimum": 0,
        "description": """
        If the window moves in strides (cache.window_stride): the index of the first used event among the known ones.
        """,
    ]

    func batchReply(of schema: String) -> JSONValue {
        let results: JSONValue = [
            "type": "array", "maxItems": .integer(limits.maxBatch),
            "items": ["oneOf": [Self.reference(schema), Self.reference("Problem")]],
            "description": "Each has the request_id of the batch.",
        ]
        return Self.object([("results", results)], required: nil)
    }

    static let model = object([("name", ["type": "string"]), ("version", ["type": "string"])], required: nil)

    static let timing: JSONValue = {
        let duration: JSONValue = ["type": "number", "minimum": 0]
        return object(["queue", "prefill", "decode", "total"].map { ($0, duration) }, required: nil)
    }()
}
