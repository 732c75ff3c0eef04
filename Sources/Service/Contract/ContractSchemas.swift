// The JSON of requests and replies as schemas (JSON Schema 2020-12), with the configured limits filled in. Objects have the
// members that are listed and no others, requests and replies alike.

internal import Engine
internal import JSON

/// The schemas of the document.
struct ContractSchemas {
    let limits: CallLimits
    let idsAreIntegers: Bool
    /// Whether there is a store of users.
    let hasUsers: Bool

    static func reference(_ name: String) -> JSONValue { ["$ref": "#/components/schemas/\(name)"] }

    /// A user's id. The limit is in bytes, which a schema cannot say; it is never more characters.
    static let userID: JSONValue = [
        "type": "string", "minLength": 1, "maxLength": 256, "pattern": "^[^\\u0000-\\u001f\\u007f-\\u009f]*$",
    ]

    var all: JSONValue {
        let schemas: [(key: String, value: JSONValue)] = [
            ("RecommendRequest", request), ("Event", event), ("Columns", columns), ("ItemID", Self.itemID),
            ("Exclude", exclude), ("Allow", allow), ("BatchRequest", batchRequest), ("Sampling", sampling),
            ("Diversity", diversity),
            ("RecommendReply", reply),
            ("ScoredItem", scoredObject([], optional: [explanation])),
            ("Model", Self.model), ("Timing", Self.timing), ("StreamItem", streamItem), ("StreamEnd", streamEnd),
            ("StreamError", Self.object([("error", Self.reference("Problem"))], required: nil)),
            ("BatchReply", batchReply), ("RankRequest", rankRequest), ("RankBatchRequest", rankBatchRequest),
            ("RankReply", rankReply), ("RankedItem", Self.object(rankedItem, required: ["item", "score"])),
            ("RankStreamItem", rankStreamItem), ("RankStreamEnd", rankStreamEnd), ("RankBatchReply", rankBatchReply),
            ("Problem", Self.problem), ("Dropped", Self.dropped), ("Models", Self.models),
            ("LoadedModel", Self.loadedModel), ("Reloaded", Self.reloaded), ("Liveness", Self.liveness),
            ("Readiness", Self.readiness), ("ReloadRequest", Self.reloadRequest), ("AddModel", Self.addModel),
            ("AddedModel", Self.added),
            ("Routing", Self.routing), ("RoutingReply", Self.routingReply),
        ]
        let all = schemas + Self.ofCatalogues
        return .object(pairs: hasUsers ? all + Self.ofUsers : all)
    }

    // MARK: Requests

    /// What requests for items and requests for scores have in common.
    private var askingMembers: [(key: String, value: JSONValue)] {
        [
            (
                "history",
                [
                    "description": "Oldest first. Timestamps must not decrease, and all events have one or none.",
                    "oneOf": [
                        [
                            "type": "array", "maxItems": .integer(limits.maxHistory),
                            "items": Self.reference("Event"),
                        ],
                        Self.reference("Columns"),
                    ],
                ]
            ),
            ("user_id", Self.optional(Self.userID)),
            ("model", ["type": ["string", "null"], "description": "By name; the default model where it is absent."]),
            (
                "version",
                [
                    "type": ["string", "null"],
                    "description": "Of a model that is named; where it is absent the split of its requests decides.",
                ]
            ),
            ("request_time", Self.optional(Self.timestamp)),
            (
                "deadline_ms",
                [
                    "type": ["integer", "null"], "minimum": 1,
                    "maximum": .integer(CallLimits.maxDeadlineMilliseconds),
                    "description": "From the request's arrival.",
                ]
            ),
            ("priority", ["enum": .array(Priority.allCases.map { .string($0.rawValue) } + [nil])]),
            ("stream", ["type": ["boolean", "null"], "default": false]),
        ]
    }

    /// A request with these members and the common ones.
    ///
    /// - Parameter orPrompt: whether a prompt may stand in for the history.
    private func asking(
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
                    "description": "Events that follow those of the store; for a request without history.",
                ]
            ),
            ("store", ["type": ["boolean", "null"], "default": false, "description": "Whether events are kept."]),
        ]
        // Without a history the store is asked for the user's. A prompt needs none.
        var either: [JSONValue] = [["required": ["history"]]]
        if orPrompt {
            either.append(["required": ["prompt_tokens"], "properties": ["prompt_tokens": ["type": "array"]]])
        }
        if hasUsers { either.append(["required": ["user_id"]]) }
        return Self.object(askingMembers + members + (hasUsers ? ofStore : []), required: required)
            .adding([("anyOf", .array(either))])
    }

    private var rankRequest: JSONValue {
        let members: [(key: String, value: JSONValue)] = [
            (
                "candidates",
                [
                    "type": "array", "minItems": 1, "maxItems": .integer(limits.maxCandidates),
                    "items": Self.reference("ItemID"),
                    "description": "Named twice, an item is scored once and returned twice.",
                ]
            ),
            (
                "order",
                [
                    "enum": .array(Ranking.Order.allCases.map { .string($0.rawValue) } + [nil]), "default": "score",
                    "description": """
                    score: best first, unknown candidates left out. request: every candidate in its place, an unknown one \
                    with the score null.
                    """,
                ]
            ),
            (
                "k",
                [
                    "type": ["integer", "null"], "minimum": 1, "maximum": .integer(limits.maxCandidates),
                    "description": "How many of the best; all where it is absent. Only for the order score.",
                ]
            ),
        ]
        return asking(members, required: ["candidates"]).adding([
            ("if", ["required": ["order"], "properties": ["order": ["const": "request"]]]),
            ("then", ["properties": ["k": ["type": "null"]]]),
        ])
    }

    private var request: JSONValue {
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
                    "description": "Whether items say which of the newest events raised their scores. Not with stream.",
                ]
            ),
            (
                "fallback",
                [
                    "enum": .array(CallLimits.Fallback.allCases.map { .string($0.rawValue) } + [nil]),
                    "default": .string(limits.fallback.rawValue),
                    "description": """
                    popularity: in place of 429, 504, or the 503 of a device or of the store of users, the most popular items under \
                    the same filters, with degraded.
                    """,
                ]
            ),
            ("diversity", Self.optional(Self.reference("Diversity"))),
        ]
        let all = members + pathMembers
        // How to draw is only said where something is drawn.
        return asking(all, required: [], orPrompt: true).adding([
            ("if", ["required": ["sampling"], "properties": ["sampling": ["type": "object"]]]),
            ("then", ["required": ["mode"], "properties": ["mode": ["const": "sequence"]]]),
        ])
    }

    private var event: JSONValue {
        Self.object(
            [
                ("item", Self.reference("ItemID")), ("timestamp", Self.optional(Self.timestamp)),
                ("action", Self.action),
            ],
            required: ["item"]
        )
    }

    private var columns: JSONValue {
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

    /// Either type, whichever the catalogue has: 17 and "17" are the same item. An unknown id is skipped and counted.
    private static let itemID: JSONValue = [
        "type": ["integer", "string"], "minimum": .integer(Int64.min), "maximum": .integer(Int64.max),
    ]

    private var exclude: JSONValue {
        Self.object(
            [
                ("items", list(Self.reference("ItemID"))), ("tags", list(["type": "string"])),
                (
                    "seen",
                    [
                        "type": ["boolean", "null"], "default": true, "description": "The items of the history.",
                    ]
                ),
            ],
            required: []
        )
    }

    private var allow: JSONValue {
        // Each a whole schema: generators of clients make a class of it.
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

    private var diversity: JSONValue {
        Self.object(
            [
                (
                    "max_per_tag",
                    [
                        "type": "integer", "minimum": 1, "maximum": .integer(limits.maxK),
                        "description":
                            "Going down the ranking, an item is passed over when one of its tags has had so many.",
                    ]
                ),
                (
                    "prefix",
                    [
                        "type": ["string", "null"],
                        "description": "Only tags that begin with it count; without it, all.",
                    ]
                ),
            ],
            required: ["max_per_tag"]
        )
    }

    private var sampling: JSONValue {
        // Normal numbers of single precision.
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

    private var batchRequest: JSONValue { batchRequest(of: "RecommendRequest") }
    private var rankBatchRequest: JSONValue { batchRequest(of: "RankRequest") }

    private func batchRequest(of schema: String) -> JSONValue {
        Self.object(
            [
                (
                    "requests",
                    [
                        "type": "array", "maxItems": .integer(limits.maxBatch), "items": Self.reference(schema),
                        "description": "Their stream must be false: the reply comes in one piece.",
                    ]
                )
            ],
            required: ["requests"]
        )
    }

    // MARK: Replies

    private var scoredItem: [(key: String, value: JSONValue)] {
        [("item", ["type": .string(idsAreIntegers ? "integer" : "string")]), ("score", ["type": "number"])]
    }

    private var explanation: (key: String, value: JSONValue) {
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

    /// An item of `/recommend`, with its tokens if they were asked for.
    private func scoredObject(
        _ members: [(key: String, value: JSONValue)],
        optional: [(key: String, value: JSONValue)] = []
    ) -> JSONValue {
        let required = (scoredItem + members).map(\.key)
        return Self.object(scoredItem + members + [("tokens", Self.itemTokens)] + optional, required: required)
    }

    /// An unknown candidate's id is as the caller wrote it, and its score null.
    private var rankedItem: [(key: String, value: JSONValue)] {
        [
            ("item", Self.itemID), ("score", ["type": ["number", "null"]]),
            (
                "available",
                ["const": false, "description": "There where the item may not be recommended at present."]
            ),
        ]
    }

    private var rankReply: JSONValue {
        let items: JSONValue = [
            "type": "array", "maxItems": .integer(limits.maxCandidates), "items": Self.reference("RankedItem"),
        ]
        return Self.replyObject(Self.identity + [("items", items)] + rankOutcome)
    }

    private var rankStreamItem: JSONValue {
        let rank: JSONValue = ["type": "integer", "minimum": 1, "maximum": .integer(limits.maxCandidates)]
        return Self.object(rankedItem + [("rank", rank)], required: ["item", "score", "rank"])
    }

    private var rankStreamEnd: JSONValue {
        Self.replyObject([("done", ["const": true])] + Self.identity + rankOutcome)
    }

    private var rankOutcome: [(key: String, value: JSONValue)] {
        let candidates: (key: String, value: JSONValue) = (
            "unknown_candidates",
            ["type": "integer", "minimum": 0, "description": "Candidates that the catalogue does not know."]
        )
        return outcome.filter { $0.key != "exhausted" && !Self.ofSome.contains($0.key) } + [candidates]
    }

    private var streamItem: JSONValue {
        let rank: JSONValue = ["type": "integer", "minimum": 1, "maximum": .integer(limits.maxK)]
        return scoredObject([("rank", rank)])
    }

    private var reply: JSONValue {
        let items: JSONValue = [
            "type": "array", "maxItems": .integer(limits.maxK), "items": Self.reference("ScoredItem"),
        ]
        return Self.replyObject(Self.identity + [("items", items)] + outcome, optional: pathOutcome)
    }

    private var streamEnd: JSONValue {
        Self.replyObject([("done", ["const": true])] + Self.identity + outcome, optional: pathOutcome)
    }

    /// All members are there but those that depend on the server's settings or on the model.
    private static func replyObject(
        _ members: [(key: String, value: JSONValue)],
        optional: [(key: String, value: JSONValue)] = []
    ) -> JSONValue {
        object(
            members + optional + [("history_start", historyStart), ("history_source", historySource)],
            required: members.map(\.key).filter { !ofSome.contains($0) }
        )
    }

    /// Members of an outcome that are not always there.
    private static let ofSome: Set<String> = ["eligible", "removed", "degraded"]

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

    private static let identity: [(key: String, value: JSONValue)] = [
        ("request_id", requestID), ("model", reference("Model")),
    ]

    private var outcome: [(key: String, value: JSONValue)] {
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

    private var batchReply: JSONValue { batchReply(of: "RecommendReply") }
    private var rankBatchReply: JSONValue { batchReply(of: "RankReply") }

    private func batchReply(of schema: String) -> JSONValue {
        let results: JSONValue = [
            "type": "array", "maxItems": .integer(limits.maxBatch),
            "items": ["oneOf": [Self.reference(schema), Self.reference("Problem")]],
            "description": "All of them have the request_id of the batch.",
        ]
        return Self.object([("results", results)], required: nil)
    }

    private static let model = object([("name", ["type": "string"]), ("version", ["type": "string"])], required: nil)

    private static let timing: JSONValue = {
        let duration: JSONValue = ["type": "number", "minimum": 0]
        return object(["queue", "prefill", "decode", "total"].map { ($0, duration) }, required: nil)
    }()

    private static let problem = object(
        [
            ("type", ["const": "about:blank"]), ("title", ["type": "string"]),
            ("status", ["type": "integer", "minimum": 400, "maximum": 599]),
            ("detail", ["type": "string", "description": "One sentence that names what is wrong and where."]),
            ("request_id", requestID),
        ],
        required: nil
    )

    private static let dropped = object(
        [
            ("user_id", userID),
            (
                "dropped",
                object(
                    [
                        ("entries", count), ("events", count), ("bytes", count),
                        (
                            "in_flight",
                            [
                                "type": "integer", "minimum": 0,
                                "description":
                                    "Requests that wait or are being computed: nothing of them will be kept.",
                            ]
                        ),
                    ],
                    required: nil
                )
            ),
        ],
        required: nil
    )

    private static let prefixCache = object(
        [
            ("reuse", ["enum": ["exact", "none"]]),
            ("reason", ["type": "string", "description": "Why nothing is used again."]),
            ("bytes", ["type": "integer", "minimum": 0, "description": "For the rows of all users."]),
            ("page_rows", count), ("bytes_per_event", count),
        ],
        required: ["reuse"]
    )

    private static let models = object(
        [("models", ["type": "array", "items": reference("LoadedModel")])],
        required: nil
    )

    /// What one device has, and what computes in its place while it is away.
    private static let engineOfModel = object(
        [
            ("name", ["type": "string", "description": "The device, as it was asked for."]),
            (
                "state",
                [
                    "type": "string",
                    "description":
                        "ready; degraded: the fallback, named under device, serves in its place; or why it does not serve.",
                ]
            ),
            ("reason", ["type": "string", "description": "What the device failed with."]),
            ("device", ["type": "string"]), ("instruction_set", ["type": "string"]), ("dtype", ["type": "string"]),
            ("threads", ["type": "integer", "minimum": 1]), ("tuning", tuning), ("prefix_cache", prefixCache),
            (
                "catalogue_copy",
                [
                    "type": "string", "enum": ["used", "not_faster", "no_memory"],
                    "description": "What became of a quantised copy of the catalogue; absent where none is wanted.",
                ]
            ),
            (
                "catalogue_copy_bytes",
                [
                    "type": "integer", "minimum": 1,
                    "description": "Of the quantised copy of the catalogue that scans read first; absent without one.",
                ]
            ),
        ],
        required: ["name", "state"]
    )

    private static let tuning = object(
        [
            ("kernels", ["type": "string", "description": "Those that serve: the fastest."]),
            (
                "gflops_per_thread",
                [
                    "type": "object", "additionalProperties": ["type": "number"],
                    "description": "What was measured, or what engine.tuning_file had of this processor.",
                ]
            ),
        ],
        required: nil
    )

    /// What stands under `device` and behind it is that of the first device that serves, once it has the model.
    private static let loadedModel = object(
        [
            ("name", ["type": "string"]), ("version", ["type": "string"]), ("architecture", ["type": "string"]),
            ("parameters", count), ("catalogue_size", count), ("window", count),
            (
                "state",
                [
                    "type": "string",
                    "description": """
                    ready; degraded: not every device serves; loading; failed; retiring: requests that it has are answered still; or \
                    why nothing is served.
                    """,
                ]
            ),
            ("reason", ["type": "string", "description": "Why it could not be loaded."]),
            ("share", percent), ("shadow", percent),
            ("catalogue", object([("items", count), ("unavailable", count), ("changed", count)], required: nil)),
            ("devices", ["type": "array", "minItems": 1, "items": engineOfModel]),
            ("device", ["type": "string"]), ("instruction_set", ["type": "string"]), ("dtype", ["type": "string"]),
            ("threads", ["type": "integer", "minimum": 1]), ("tuning", tuning),
            ("configuration", ["type": "object"]), ("cache_bytes_per_event", count), ("prefix_cache", prefixCache),
            ("semantic_ids", semanticIDs),
            (
                "operations_per_request",
                object(
                    [
                        ("length", count), ("linear", count), ("attention", count), ("scoring", count),
                        ("total", count),
                    ],
                    required: nil
                )
            ),
        ],
        required: ["name", "version", "state"]
    )

    /// Per cent of the requests of a model's name.
    private static let percent: JSONValue = ["type": "number", "minimum": 0, "maximum": 100]
    private static let shares: JSONValue = ["type": "object", "additionalProperties": percent]

    private static let reloadRequest = object([("model", ["type": "string"])], required: [])
    private static let addModel = object(
        [
            ("bundle", ["type": "string", "description": "A directory on the server."]),
            (
                "replace",
                [
                    "type": "string", "pattern": "^.+:[^:]+$",
                    "description":
                        "NAME:VERSION of a model that is taken away before, where there is no room for both; the bundle takes its place.",
                ]
            ),
        ],
        required: ["bundle"]
    )
    private static let routing = object(
        [
            (
                "split",
                [
                    "type": "object", "additionalProperties": percent,
                    "description": "Shares of the requests by version; they sum to 100.",
                ]
            ),
            ("shadow", shares),
        ],
        required: ["split"]
    )
    private static let routingReply = object(
        [("name", ["type": "string"]), ("split", shares), ("shadow", shares), ("persisted", persisted)],
        required: nil
    )
    private static let persisted: JSONValue = [
        "type": "boolean", "description": "Whether the change outlives the process: state.directory is set.",
    ]

    private static let reloaded = object([("model", reference("LoadedModel"))], required: nil)
    private static let added = object([("model", reference("LoadedModel")), ("persisted", persisted)], required: nil)

    private static let liveness = object([("live", ["const": true])], required: nil)

    private static let readiness = object(
        [
            ("ready", ["type": "boolean"]),
            (
                "reasons",
                [
                    "type": "array", "minItems": 1, "items": ["type": "string"],
                    "description":
                        "Why not: loading, warming, draining, overloaded, recovering and what the device failed with, or a sentence.",
                ]
            ),
            (
                "degraded",
                [
                    "type": "array", "minItems": 1, "items": ["const": "store"],
                    "description":
                        "What does not work although requests are served. store: the store of users is away.",
                ]
            ),
        ],
        required: ["ready"]
    )

    // MARK: Parts

    private static let requestID: JSONValue = ["type": "string", "minLength": 1, "maxLength": 128]
    static let count: JSONValue = ["type": "integer", "minimum": 0]
    private static let action: JSONValue = [
        "type": ["string", "integer", "null"], "minimum": .integer(Int64.min), "maximum": .integer(Int64.max),
    ]
    /// Seconds since the epoch.
    static let timestamp: JSONValue = [
        "type": "integer", "minimum": -9_007_199_254_740_992, "maximum": .integer(CallLimits.lastSecond),
    ]

    static func optional(_ schema: JSONValue) -> JSONValue { ["anyOf": [schema, ["type": "null"]]] }

    /// An object with these members and no others. `required` nil: all of them.
    static func object(_ members: [(key: String, value: JSONValue)], required: [String]?) -> JSONValue {
        let required = required ?? members.map(\.key)
        var schema: JSONValue = [
            "type": "object", "additionalProperties": false, "properties": .object(pairs: members),
        ]
        if !required.isEmpty { schema = schema.adding([("required", .array(required.map { .string($0) }))]) }
        return schema
    }
}
