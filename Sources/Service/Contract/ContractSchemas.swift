// The JSON of requests and replies as schemas (JSON Schema 2020-12) with the configured limits. Shared schemas are
// here, the others next to their routes. Objects have the listed members and no others.

internal import JSON

/// The schemas of the document.
struct ContractSchemas {
    let limits: CallLimits
    let idsAreIntegers: Bool
    /// Whether there is a user store.
    let hasUsers: Bool

    /// All schemas that the routes of any listener declare.
    var all: JSONValue {
        let routes = Route.allCases.map(\.declaration).filter { hasUsers || !$0.needsStore }
        let shared: [(key: String, value: JSONValue)] = [("Problem", Self.problem), ("ItemID", Self.itemID)]
        return .object(uniquePairs: shared + routes.flatMap { $0.schemas(self) })
    }

    static func reference(_ name: String) -> JSONValue { ["$ref": "#/components/schemas/\(name)"] }

    private static let problem = object(
        [
            ("type", ["const": "about:blank"]), ("title", ["type": "string"]),
            ("status", ["type": "integer", "minimum": 400, "maximum": 599]),
            ("detail", ["type": "string", "description": "One sentence that says what is wrong and where."]),
            ("request_id", requestID),
        ],
        required: nil
    )

    /// Either type, regardless of the catalogue's: 17 and "17" are the same item. An unknown id is skipped and counted.
    static let itemID: JSONValue = [
        "type": ["integer", "string"], "minimum": .integer(Int64.min), "maximum": .integer(Int64.max),
    ]

    /// A user's id. The limit is in bytes, which a schema cannot express; the number of characters is never larger.
    static let userID: JSONValue = [
        "type": "string", "minLength": 1, "maxLength": 256, "pattern": "^[^\\u0000-\\u001f\\u007f-\\u009f]*$",
    ]

    static let requestID: JSONValue = ["type": "string", "minLength": 1, "maxLength": 128]
    static let count: JSONValue = ["type": "integer", "minimum": 0]

    /// Seconds since the epoch.
    static let timestamp: JSONValue = [
        "type": "integer", "minimum": -9_007_199_254_740_992, "maximum": .integer(CallLimits.lastSecond),
    ]

    /// A string, or an integer, which stands for its decimal digits.
    static func text(_ bytes: Int) -> JSONValue {
        [
            "type": ["string", "integer"], "minLength": 1, "maxLength": .integer(bytes),
            "minimum": .integer(Int64.min), "maximum": .integer(Int64.max),
        ]
    }

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
