// JSON Schemas of the routes that change the models and their shares.

internal import JSON

extension ContractSchemas {
    static let addModel = object(
        [
            ("bundle", ["type": "string", "description": "A directory on the server."]),
            (
                "replace",
                [
                    "type": "string", "pattern": "^.+:[^:]+$",
                    "description":
                        "NAME:VERSION of a model that is removed first and that the bundle replaces, for when memory does not suffice for both.",
                ]
            ),
        ],
        required: ["bundle"]
    )

    static let routing = object(
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

    static let routingReply = object(
        [("name", ["type": "string"]), ("split", shares), ("shadow", shares), ("persisted", persisted)],
        required: nil
    )

    /// Per cent of a model's requests.
    static let percent: JSONValue = ["type": "number", "minimum": 0, "maximum": 100]

    private static let shares: JSONValue = ["type": "object", "additionalProperties": percent]

    static let persisted: JSONValue = [
        "type": "boolean", "description": "Whether the change survives a restart, which needs state.directory.",
    ]
}
