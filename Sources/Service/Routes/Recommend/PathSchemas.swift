// JSON Schemas for models with semantic ids.

internal import JSON
internal import Models

extension ContractSchemas {
    private static let token: JSONValue = ["type": "integer", "minimum": 0, "maximum": .integer(Int(Int32.max))]

    /// The tokens of an item.
    static let itemTokens: JSONValue = [
        "type": "array", "items": token, "description": "The item's path, if include has \"tokens\".",
    ]

    private var width: JSONValue { ["type": "integer", "minimum": 1, "maximum": .integer(limits.maxBeams)] }

    private var widths: JSONValue {
        [
            "type": "array", "minItems": .integer(SemanticIDs.Limit.levels.lowerBound),
            "maxItems": .integer(SemanticIDs.Limit.levels.upperBound), "items": width,
        ]
    }

    /// Fields of a request that only models with semantic ids accept.
    var pathMembers: [(key: String, value: JSONValue)] {
        [
            (
                "beams",
                [
                    "anyOf": [width, widths, ["type": "null"]],
                    "description": """
                    Only for models with semantic ids: how many paths are followed, as one number or one per level; \
                    the last must be at least k.
                    """,
                ]
            ),
            (
                "prompt_tokens",
                [
                    "type": ["array", "null"], "minItems": 1, "maxItems": .integer(CallLimits.maxPromptTokens),
                    "items": Self.token,
                    "description": """
                    Only for models with semantic ids: the whole prompt, without the bundle's template. A history then \
                    only determines which items are seen.
                    """,
                ]
            ),
            (
                "include",
                [
                    "type": ["array", "null"], "items": ["enum": ["tokens", "exact"]],
                    "description": "Only for models with semantic ids: what the reply contains in addition.",
                ]
            ),
        ]
    }

    /// Members of a reply that only models with semantic ids give.
    var pathOutcome: [(key: String, value: JSONValue)] {
        [
            (
                "beams",
                [
                    "anyOf": [
                        ["type": "integer", "minimum": 1],
                        ["type": "array", "items": ["type": "integer", "minimum": 1]],
                    ]
                ]
            ),
            (
                "exact",
                [
                    "type": "boolean",
                    "description":
                        "Whether no other path of the catalogue can beat the last item, if include has \"exact\".",
                ]
            ),
            ("prompt_tokens", ["type": "integer", "minimum": 0, "description": "Tokens of the prompt."]),
            (
                "tokens_cached",
                [
                    "type": "integer", "minimum": 0,
                    "description": "Tokens of the prompt that were cached and not recomputed.",
                ]
            ),
        ]
    }

    static let semanticIDs = object(
        [
            ("levels", count), ("paths", count), ("items", count), ("largest_path", count),
            ("normalization", ["enum": .array(SemanticIDs.Normalization.allCases.map { .string($0.rawValue) })]),
            ("score_tail", ["type": "boolean"]), ("default_beams", count), ("max_items", count),
            (
                "template_tokens",
                object(["before", "between", "open", "close", "after", "tail"].map { ($0, count) }, required: nil)
            ),
            ("trie_bytes", count), ("trie_build_ms", ["type": "number", "minimum": 0]),
        ],
        required: nil
    )
}
