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
                        ["type": ["boolean", "null"], "description": "Whether the item may be recommended."]
                    ),
                    ("tags", optional(tags.adding([("description", "Replaces the item's tags.")]))),
                    ("popularity", ["type": ["number", "null"], "minimum": 0]),
                    (
                        "embedding",
                        [
                            "type": ["array", "null"], "maxItems": .integer(ChangesDecoder.maximumWidth),
                            "items": ["type": "number"],
                            "description": "The row of a new item, of the same width as the model's rows.",
                        ]
                    ),
                    (
                        "like",
                        [
                            "type": ["array", "null"], "minItems": 1, "maxItems": .integer(ChangesDecoder.maximumLike),
                            "items": reference("ItemID"),
                            "description":
                                "Items of the bundle, the mean of whose rows is the row of the new item. An alternative to embedding.",
                        ]
                    ),
                    (
                        "title",
                        [
                            "type": ["string", "null"], "maxLength": .integer(ChangesDecoder.maximumTitleBytes),
                            "description": "The title of a new item.",
                        ]
                    ),
                    (
                        "reset",
                        [
                            "enum": [true, .null],
                            "description":
                                "Restores the item to the bundle's state, or removes an item that is not in the bundle. Cannot be combined with other changes.",
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
                            "description": "Whether the changes survive a restart, which needs state.directory.",
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
                    ("changed", ["type": "boolean", "description": "Whether the item differs from the bundle's."]),
                    ("added", ["type": "boolean", "description": "Whether the item is not in the bundle."]),
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
