// JSON Schemas of the routes of the user store.

internal import JSON

extension ContractSchemas {
    /// The schemas of `/events`, by name.
    static let ofEvents: [(key: String, value: JSONValue)] = [
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
        ("IncomingEvent", object([("user_id", userID)] + eventMembers, required: ["user_id", "item"])),
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
    ]

    /// An event in a call.
    static let callEvent = object(eventMembers, required: ["item"])

    private static let eventMembers: [(key: String, value: JSONValue)] = [
        ("item", text(EventsDecoder.maximumItemBytes)), ("timestamp", optional(timestamp)),
        ("action", optional(text(EventsDecoder.maximumActionBytes))),
    ]

    /// The schemas of `/users/{user_id}`, by name.
    var ofUser: [(key: String, value: JSONValue)] {
        hasUsers
            ? [("Dropped", Self.dropped), ("StoredUser", Self.storedUser), ("StoredEvent", Self.storedEvent)]
            : [("Dropped", Self.dropped)]
    }

    private static let storedUser = object(
        [
            ("user_id", userID), ("events", ["type": "array", "items": reference("StoredEvent")]), ("count", count),
        ],
        required: nil
    )

    private static let storedEvent = object(
        [("item", reference("ItemID")), ("timestamp", timestamp), ("action", ["type": "string"])],
        required: ["item", "timestamp"]
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
                                    "Requests that are waiting or being computed; nothing of them will be kept.",
                            ]
                        ),
                    ],
                    required: nil
                )
            ),
        ],
        required: nil
    )
}
