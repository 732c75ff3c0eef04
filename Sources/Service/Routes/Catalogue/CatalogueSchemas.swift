// JSON Schemas of the routes that change and show catalogues.

internal import JSON

extension ContractSchemas {
    private static let tags: JSONValue = [
        "type": "array", "maxItems": .integer(ChangesDecoder.maximumTags),
        "items": ["type": "string", "minLength": 1, "maxLength": .integer(ChangesDecoder.maximumTextBytes)],
    ]

    /// The schemas of the catalogue routes, by name.
    static let ofCatalogue: [(key: String, value: JSONValue)] = [
        (
            "CatalogueChanges",
            object(
                [
                    (
                        "items",
                        [
                            "type": "array", "maxItems": .integer(ChangesDecoder.maximumCount),
                            "items": reference("CatalogueChange"),
                        ]
                    )
                ],
                required: nil
            )
        ),
        (
            "CatalogueChange",
            object(
                [
                    ("item", text(ChangesDecoder.maximumTextBytes)),
                    (
                        "available",
                        ["type": ["boolean", "null"], "description": "Whether it may be recommended."]
                    ),
                    ("tags", optional(tags.adding([("description", "In place of those it has.")]))),
                    ("popularity", ["type": ["number", "null"], "minimum": 0]),
                    (
                        "embedding",
                        [
                            "type": ["array", "null"], "maxItems": .integer(ChangesDecoder.maximumWidth),
                            "items": ["type": "number"],
                            "description": "The row of a new item, as many numbers as the model's rows have.",
                        ]
                    ),
                    (
                        "like",
                        [
                            "type": ["array", "null"], "minItems": 1, "maxItems": .integer(ChangesDecoder.maximumLike),
                            "items": reference("ItemID"),
                            "description":
                                "Items of the bundle; the row of a new item is the mean of theirs. In place of embedding.",
                        ]
                    ),
                    (
                        "title",
                        [
                            "type": ["string", "null"], "maxLength": .integer(ChangesDecoder.maximumTitleBytes),
                            "description": "Of a new item.",
                        ]
                    ),
                    (
                        "reset",
                        [
                            "enum": [true, .null],
                            "description":
                                "The item is as the bundle has it again; one that the bundle does not have is gone. Nothing else may stand beside it.",
                        ]
                    ),
                ],
                required: ["item"]
            )
        ),
        (
            "CatalogueChanged",
            object(
                [
                    ("changed", count),
                    (
                        "unknown_items",
                        [
                            "type": "array", "maxItems": 10, "items": ["type": "string"],
                            "description": "The first ids that the model does not have.",
                        ]
                    ),
                    ("unknown", count),
                    (
                        "persisted",
                        [
                            "type": "boolean",
                            "description": "Whether they outlive the process: state.directory is set.",
                        ]
                    ),
                    ("revision", count),
                ],
                required: nil
            )
        ),
        (
            "CatalogueItem",
            object(
                [
                    ("item", reference("ItemID")), ("title", ["type": ["string", "null"]]), ("tags", tags),
                    ("popularity", ["type": "number", "minimum": 0]),
                    ("available", ["type": "boolean"]),
                    ("changed", ["type": "boolean", "description": "It is not as the bundle has it."]),
                    ("added", ["type": "boolean", "description": "The bundle does not have it."]),
                ],
                required: nil
            )
        ),
        (
            "CatalogueItems",
            object([("items", ["type": "array", "items": reference("CatalogueItem")])], required: nil)
        ),
    ]
}
