// What the routes of the store of users take and answer, as JSON Schema.

internal import JSON

extension ContractSchemas {
    /// The schemas by name.
    static let ofUsers: [(key: String, value: JSONValue)] = [
        (
            "EventsRequest",
            object(
                [
                    (
                        "events",
                        [
                            "type": "array", "maxItems": .integer(EventsDecoder.maximumCount),
                            "items": reference("IncomingEvent"),
                        ]
                    )
                ],
                required: nil
            )
        ),
        (
            "IncomingEvent",
            object(
                [
                    ("user_id", userID), ("item", text(EventsDecoder.maximumItemBytes)),
                    ("timestamp", optional(timestamp)), ("action", optional(text(EventsDecoder.maximumActionBytes))),
                ],
                required: ["user_id", "item"]
            )
        ),
        (
            "CallEvent",
            object(
                [
                    ("item", text(EventsDecoder.maximumItemBytes)), ("timestamp", optional(timestamp)),
                    ("action", optional(text(EventsDecoder.maximumActionBytes))),
                ],
                required: ["item"]
            )
        ),
        (
            "EventsReply",
            object(
                [
                    ("accepted", count), ("duplicates", count), ("unknown_items", count),
                    ("persisted", ["type": "boolean"]),
                ],
                required: nil
            )
        ),
        (
            "StoredUser",
            object(
                [
                    ("user_id", userID), ("events", ["type": "array", "items": reference("StoredEvent")]),
                    ("count", count),
                ],
                required: nil
            )
        ),
        (
            "StoredEvent",
            object(
                [
                    ("item", reference("ItemID")), ("timestamp", timestamp),
                    ("action", ["type": "string"]),
                ],
                required: ["item", "timestamp"]
            )
        ),
    ]

    /// A string, or an integer that stands for its digits.
    static func text(_ bytes: Int) -> JSONValue {
        [
            "type": ["string", "integer"], "minLength": 1, "maxLength": .integer(bytes),
            "minimum": .integer(Int64.min), "maximum": .integer(Int64.max),
        ]
    }
}
