// JSON Schemas of the bodies of `/recommend`, `/rank` and their batches.

internal import Engine
internal import JSON

extension ContractSchemas {
    /// The schemas of `/recommend`, by name.
    var ofRecommend: [(key: String, value: JSONValue)] {
        let schemas: [(key: String, value: JSONValue)] = [
            ("RecommendRequest", request), ("Event", event), ("Columns", columns), ("Exclude", exclude),
            ("Allow", allow), ("Sampling", sampling), ("Diversity", diversity), ("RecommendReply", reply),
            ("ScoredItem", scoredObject([], optional: [explanation])), ("Model", Self.model), ("Timing", Self.timing),
            ("StreamItem", streamItem), ("StreamEnd", streamEnd),
            ("StreamError", Self.object([("error", Self.reference("Problem"))], required: nil)),
        ]
        return hasUsers ? schemas + [("CallEvent", Self.callEvent)] : schemas
    }

    /// The members that requests for items and requests for scores share.
    private var askingMembers: [(key: String, value: JSONValue)] {
        [
            (
                "history",
                [
                    "description":
                        "Oldest first. Timestamps must not decrease; either all events have one or none does.",
                    "oneOf": .array(
                        [
                            [
                                "type": "array", "maxItems": .integer(limits.maxHistory),
                                "items": Self.reference("Event"),
                            ],
                            Self.reference("Columns"),
                        ] + (hasUsers ? [["type": "null"]] : [])
                    ),
                ]
            ),
            ("user_id", Self.optional(Self.userID)),
            ("model", ["type": ["string", "null"], "description": "The model's name; default: the default model."]),
            (
                "version",
                [
                    "type": ["string", "null"],
                    "description": "Requires model. Default: the split of its requests decides.",
                ]
            ),
            ("request_time", Self.optional(Self.timestamp)),
            (
                "deadline_ms",
                [
                    "type": ["integer", "null"], "minimum": 1,
                    "maximum": .integer(CallLimits.maxDeadlineMilliseconds),
                    "description": "Time from the request's arrival.",
                ]
            ),
            ("priority", ["enum": .array(Priority.allCases.map { .string($0.rawValue) } + [nil])]),
            ("stream", ["type": ["boolean", "null"], "default": false]),
        ]
    }

    /// A request with these members and the common ones.
    ///
    /// - Parameter orPrompt: whether a prompt may replace the history.
    func asking(
        _ members: [(key: String, value: JSONValue)],
        required: [String],
        orPrompt: Bool = false
    ) -> JSONValue {
        guard hasUsers || orPrompt else {
            return Self.object(askingMembers + members, required: ["history"] + required)
        }
        let ofStore: [(key: String, value: JSONValue)] = [
            (
                "events",
                [
                    "type": ["array", "null"], "maxItems": .integer(limits.maxHistory),
                    "items": Self.reference("CallEvent"),
                    "description": "Events that follow the stored ones, for a request without history.",
                ]
            ),
            ("store", ["type": ["boolean", "null"], "default": false, "description": "Whether events are stored."]),
        ]
        // Without a history, the user's stored history is used. A prompt needs none.
        var either: [JSONValue] = [
            ["required": ["history"], "properties": ["history": ["type": ["array", "object"]]]]
        ]
        if orPrompt {
            either.append(["required": ["prompt_tokens"], "properties": ["prompt_tokens": ["type": "array"]]])
        }
        if hasUsers { either.append(["required": ["user_id"]]) }
        return Self.object(askingMembers + members + (hasUsers ? ofStore : []), required: required)
            .adding([("anyOf", .array(either))])
    }

    var request: JSONValue {
        let members: [(key: String, value: JSONValue)] = [
            (
                "k",
                [
                    "type": ["integer", "null"], "minimum": 1, "maximum": .integer(limits.maxK),
                    "default": .integer(limits.defaultK),
                ]
            ),
            ("mode", ["enum": .array(RecommendationMode.Name.allCases.map { .string($0.rawValue) } + [nil])]),
            ("sampling", Self.optional(Self.reference("Sampling"))),
            ("exclude", Self.optional(Self.reference("Exclude"))),
            ("allow", Self.optional(Self.reference("Allow"))),
            (
                "explain",
                [
                    "type": ["boolean", "null"], "default": false,
                    "description":
                        "Whether the reply names the newest events that raised each item. Not available with stream.",
                ]
            ),
            (
                "fallback",
                [
                    "enum": .array(CallLimits.Fallback.allCases.map { .string($0.rawValue) } + [nil]),
                    "default": .string(limits.fallback.rawValue),
                    "description": """
                    popularity: the most popular items under the same filters, with degraded, instead of 429, 504 or \
                    the 503 of a device or of the user store.
                    """,
                ]
            ),
            ("diversity", Self.optional(Self.reference("Diversity"))),
        ]
        let all = members + pathMembers
        // Sampling requires the mode `sequence`.
        return asking(all, required: [], orPrompt: true).adding([
            ("if", ["required": ["sampling"], "properties": ["sampling": ["type": "object"]]]),
            ("then", ["required": ["mode"], "properties": ["mode": ["const": "sequence"]]]),
        ])
    }

    var event: JSONValue {
        Self.object(
            [
                ("item", Self.reference("ItemID")), ("timestamp", Self.optional(Self.timestamp)),
                ("action", Self.action),
            ],
            required: ["item"]
        )
    }

    var columns: JSONValue {
        func column(_ type: JSONValue, _ element: JSONValue) -> JSONValue {
            ["type": type, "maxItems": .integer(limits.maxHistory), "items": element]
        }
        return Self.object(
            [
                ("items", column("array", Self.reference("ItemID"))),
                ("timestamps", column(["array", "null"], Self.timestamp)),
                ("actions", column(["array", "null"], Self.action)),
            ],
            required: ["items"]
        )
    }

    var exclude: JSONValue {
        Self.object(
            [
                ("items", list(Self.reference("ItemID"))), ("tags", list(["type": "string"])),
                (
                    "seen",
                    [
                        "type": ["boolean", "null"], "default": true,
                        "description": "Whether the items of the history are excluded.",
                    ]
                ),
            ],
            required: []
        )
    }

    var allow: JSONValue {
        // Each is a whole schema, because client generators turn it into a class.
        func named(_ member: String, _ element: JSONValue) -> JSONValue {
            let list: JSONValue = ["type": "array", "maxItems": .integer(limits.maxListed), "items": element]
            return [
                "type": "object", "required": [.string(member)],
                "properties": .object(pairs: [(key: member, value: list)]),
            ]
        }
        let (item, tag): (JSONValue, JSONValue) = (Self.reference("ItemID"), ["type": "string"])
        return Self.object([("items", list(item)), ("tags", list(tag))], required: [])
            .adding([("anyOf", [named("items", item), named("tags", tag)])])
    }

    private func list(_ element: JSONValue) -> JSONValue {
        ["type": ["array", "null"], "maxItems": .integer(limits.maxListed), "items": element]
    }

    var diversity: JSONValue {
        Self.object(
            [
                (
                    "max_per_tag",
                    [
                        "type": "integer", "minimum": 1, "maximum": .integer(limits.maxK),
                        "description":
                            "How many items with the same tag may be recommended. Going down the ranking, further ones are skipped.",
                    ]
                ),
                (
                    "prefix",
                    [
                        "type": ["string", "null"],
                        "description": "Only tags with this prefix count; default: all tags.",
                    ]
                ),
            ],
            required: ["max_per_tag"]
        )
    }

    var sampling: JSONValue {
        // The range of normal single-precision numbers.
        let least = JSONValue.real(1.1754944e-38)
        let greatest = JSONValue.real(3.4028234e38)
        return Self.object(
            [
                ("temperature", ["type": ["number", "null"], "minimum": least, "maximum": greatest]),
                ("top_p", ["type": ["number", "null"], "minimum": least, "maximum": 1]),
                (
                    "seed",
                    ["type": ["integer", "null"], "minimum": .integer(Int64.min), "maximum": .integer(Int64.max)]
                ),
            ],
            required: []
        )
    }

    func batchRequest(of schema: String) -> JSONValue {
        Self.object(
            [
                (
                    "requests",
                    [
                        "type": "array", "maxItems": .integer(limits.maxBatch), "items": Self.reference(schema),
                        "description": "stream must be false in each.",
                    ]
                )
            ],
            required: ["requests"]
        )
    }

    static let action: JSONValue = [
        "type": ["string", "integer", "null"], "minimum": .integer(Int64.min), "maximum": .integer(Int64.max),
    ]
}
