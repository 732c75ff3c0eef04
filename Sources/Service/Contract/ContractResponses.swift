// Problem replies, and the header fields of replies, in the OpenAPI document.

internal import JSON

enum ContractResponses {
    /// The statuses with which HTTP itself may answer any request before it reaches a route.
    static let ofAnyRequest = [400, 408, 413, 414, 417, 431, 501, 503, 505]

    /// When each status is sent.
    private static let meanings: [(status: Int, meaning: String)] = [
        (400, "The HTTP message or the JSON is malformed, or a JSON object has a duplicate key."),
        (401, "The API key is missing or unknown."),
        (
            403,
            """
            The API key's role is insufficient; or no keys are configured and the request comes from a web page of \
            another origin or, on an operators' route, from another machine or with a foreign Host.
            """
        ),
        (
            404,
            "The user does not exist, or no model of that name or version is served; the detail lists those that are."
        ),
        (406, "Accept allows none of the reply's types, or Accept-Encoding none of its codings."),
        (408, "The request did not arrive in time."),
        (
            409,
            "The same change is in progress or already made, the model already exists, is not ready, or still has a share."
        ),
        (411, "The body's length is missing; an empty body needs Content-Length: 0."),
        (413, "The body is too large."),
        (414, "The request line is too long."),
        (415, "The content type is not application/json, or the content coding is neither gzip nor identity."),
        (417, "Expect is not 100-continue."),
        (422, "The request is well-formed, but a value is invalid; the detail names it."),
        (
            429,
            "The queue is full, or at the current service time the deadline cannot be met. Nothing was computed."
        ),
        (431, "The header fields are too large or too many."),
        (500, "The model's scores are not numbers: a fault of the bundle, not of the request."),
        (501, "The method or the transfer coding is not supported."),
        (503, "The server is loading or draining, has too many connections, or its device failed."),
        (504, "The deadline passed before the request was computed. It will not be computed."),
        (505, "The HTTP version is not 1.0 or 1.1."),
        (507, "The user store is full; stored events can still be read."),
    ]

    /// The responses that `problem` refers to; for HEAD, the same without content.
    static var problems: JSONValue {
        .object(
            pairs:
                meanings.flatMap { status, meaning in
                    [
                        (key: "Problem\(status)", value: problem(status, meaning, hasContent: true)),
                        (key: "Head\(status)", value: problem(status, meaning, hasContent: false)),
                    ]
                }
        )
    }

    /// A reference to the response of a status, which must have a meaning above.
    static func problem(_ status: Int, toHead: Bool = false) -> JSONValue {
        ["$ref": "#/components/responses/\(toHead ? "Head" : "Problem")\(status)"]
    }

    /// Whether `problem` knows the status.
    static func knows(_ status: Int) -> Bool { meanings.contains { $0.status == status } }

    private static func problem(_ status: Int, _ meaning: String, hasContent: Bool) -> JSONValue {
        let name =
            switch status {
            case 401, 403: "WWW-Authenticate"
            case 415: "Accept-Post"
            case 429, 503: "Retry-After"
            default: nil as String?
            }
        var fields = ["X-Request-Id"]
        if let name { fields.append(name) }
        if status == 415 { fields.append("Accept-Encoding") }
        var members: [(key: String, value: JSONValue)] = [
            ("description", .string(meaning)), ("headers", references(toHeaders: fields)),
        ]
        if hasContent {
            members.append(("content", ["application/problem+json": ["schema": ContractSchemas.reference("Problem")]]))
        }
        return .object(pairs: members)
    }

    /// A reply's `headers` object.
    static func references(toHeaders names: [String]) -> JSONValue {
        .object(pairs: names.map { (key: $0, value: ["$ref": "#/components/headers/\($0)"]) })
    }

    /// The header fields of a reply that may be sent with gzip.
    static func headers(withCoding names: [String] = []) -> JSONValue {
        references(toHeaders: ["X-Request-Id", "Content-Encoding", "Vary"] + names)
    }

    static let headers: JSONValue = [
        "X-Request-Id": [
            "description": "The caller's own id, or a new one if it sent none or an invalid one.",
            "required": true,
            "schema": ["type": "string", "minLength": 1, "maxLength": 128],
        ],
        "Retry-After": [
            "description": "Seconds to wait before a retry.",
            "required": true,
            "schema": ["type": "integer", "minimum": 1],
        ],
        "Allow": [
            "description": "The methods that the path supports.",
            "required": true,
            "schema": ["type": "string"],
        ],
        "WWW-Authenticate": [
            "description": "How to authenticate (RFC 6750). Not sent if no keys are configured.",
            "schema": ["type": "string"],
        ],
        "Accept-Post": [
            "description": "The content types that request bodies may have.", "schema": ["type": "string"],
        ],
        "Accept-Encoding": [
            "description": "The content codings that request bodies may have.", "schema": ["type": "string"],
        ],
        "Content-Encoding": [
            "description": "Sent if Accept-Encoding asks for it and the reply is long enough.",
            "schema": ["const": "gzip"],
        ],
        "Vary": ["description": "The request fields that the reply depends on.", "schema": ["type": "string"]],
        "Cache-Control": ["description": "Sent with streams: no-store.", "schema": ["type": "string"]],
        "X-Accel-Buffering": [
            "description": "Sent with streams: no, so that proxies do not buffer them.",
            "schema": ["type": "string"],
        ],
        "Content-Security-Policy": ["description": "What the page may load.", "schema": ["type": "string"]],
    ]
}
