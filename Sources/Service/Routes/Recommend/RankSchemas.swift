// JSON Schemas that only `/rank` uses.

internal import JSON

extension ContractSchemas {
    /// The schemas of `/rank`, by name.
    var ofRank: [(key: String, value: JSONValue)] {
        [
            ("RankRequest", rankRequest), ("RankReply", rankReply),
            ("RankedItem", Self.object(rankedItem, required: ["item", "score"])), ("RankStreamItem", rankStreamItem),
            ("RankStreamEnd", rankStreamEnd),
        ]
    }

    var rankRequest: JSONValue {
        let members: [(key: String, value: JSONValue)] = [
            (
                "candidates",
                [
                    "type": "array", "minItems": 1, "maxItems": .integer(limits.maxCandidates),
                    "items": Self.reference("ItemID"),
                    "description": "An item named twice is scored once and returned twice.",
                ]
            ),
            (
                "order",
                [
                    "enum": .array(Ranking.Order.allCases.map { .string($0.rawValue) } + [nil]), "default": "score",
                    "description": """
                    score: best first, without unknown candidates. request: every candidate in its place, unknown ones \
                    with score null.
                    """,
                ]
            ),
            (
                "k",
                [
                    "type": ["integer", "null"], "minimum": 1, "maximum": .integer(limits.maxCandidates),
                    "description": "How many of the best to return; default: all. Only for order score.",
                ]
            ),
        ]
        return asking(members, required: ["candidates"]).adding([
            ("if", ["required": ["order"], "properties": ["order": ["const": "request"]]]),
            ("then", ["properties": ["k": ["type": "null"]]]),
        ])
    }

    /// An unknown candidate has the id that the caller wrote, and the score null.
    var rankedItem: [(key: String, value: JSONValue)] {
        [
            ("item", Self.itemID), ("score", ["type": ["number", "null"]]),
            (
                "available",
                ["const": false, "description": "Present if the item may not be recommended at present."]
            ),
        ]
    }

    var rankReply: JSONValue {
        let items: JSONValue = [
            "type": "array", "maxItems": .integer(limits.maxCandidates), "items": Self.reference("RankedItem"),
        ]
        return Self.replyObject(Self.identity + [("items", items)] + rankOutcome)
    }

    var rankStreamItem: JSONValue {
        let rank: JSONValue = ["type": "integer", "minimum": 1, "maximum": .integer(limits.maxCandidates)]
        return Self.object(rankedItem + [("rank", rank)], required: ["item", "score", "rank"])
    }

    var rankStreamEnd: JSONValue {
        Self.replyObject([("done", ["const": true])] + Self.identity + rankOutcome)
    }

    private var rankOutcome: [(key: String, value: JSONValue)] {
        let candidates: (key: String, value: JSONValue) = (
            "unknown_candidates",
            ["type": "integer", "minimum": 0, "description": "Candidates that are not in the catalogue."]
        )
        return outcome.filter { $0.key != "exhausted" && !Self.ofSome.contains($0.key) } + [candidates]
    }
}
