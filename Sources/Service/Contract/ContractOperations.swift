// An operation's parameters, body and replies in the OpenAPI document.

internal import HTTP
internal import JSON

/// A reply that is not a problem.
struct ContractReply: Sendable {
    let status: Int
    let json: JSONValue

    init(_ status: Int, _ json: JSONValue) {
        self.status = status
        self.json = json
    }

    /// A JSON reply.
    static func json(_ description: String, _ schema: String, status: Int = 200) -> Self {
        Self(
            status,
            [
                "description": .string(description), "headers": ContractResponses.headers(),
                "content": ["application/json": ["schema": ContractSchemas.reference(schema)]],
            ]
        )
    }
}

/// A parameter, which operations refer to by name.
struct ContractParameter: Sendable {
    let name: String
    let json: JSONValue

    private init(_ name: String, in place: String, _ description: String, _ schema: JSONValue, isRequired: Bool) {
        self.name = name
        var members: [(key: String, value: JSONValue)] = [("name", .string(name)), ("in", .string(place))]
        if isRequired { members.append(("required", true)) }
        json = .object(pairs: members + [("description", .string(description)), ("schema", schema)])
    }

    /// A name in the path.
    static func path(_ name: String, _ description: String, _ schema: JSONValue = Self.text) -> Self {
        Self(name, in: "path", description, schema, isRequired: true)
    }

    static func query(_ name: String, isRequired: Bool = false, _ description: String, _ schema: JSONValue) -> Self {
        Self(name, in: "query", description, schema, isRequired: isRequired)
    }

    static func header(_ name: String, _ description: String, _ schema: JSONValue) -> Self {
        Self(name, in: "header", description, schema, isRequired: false)
    }

    static let text: JSONValue = ["type": "string", "minLength": 1]

    static let requestID = header(
        "X-Request-Id",
        """
        Identifies the request in the reply and in logs. It is used if it is 1 to 128 visible ASCII characters without \
        quote or backslash; otherwise the server generates one.
        """,
        ["type": "string"]
    )
    static let deadline = header(
        "X-Deadline-Ms",
        "Like deadline_ms in the body; the earlier of the two applies.",
        ["type": "integer", "minimum": 1, "maximum": .integer(CallLimits.maxDeadlineMilliseconds)]
    )

    /// A path parameter of an operation that ignores it.
    static func unread(_ name: String) -> (key: String, value: JSONValue) {
        ("any_\(name)", path(name, "Ignored.", ["type": "string"]).json)
    }
}

/// The operations of the document.
struct ContractOperations {
    /// Whether API keys are configured.
    let hasKeys: Bool
    /// Whether there is a user store.
    let hasUsers: Bool

    /// All operations of a route.
    func pathItem(of route: Route) -> JSONValue {
        var members = route.methods(hasUsers: hasUsers).compactMap { method in
            route.operation(method, hasUsers: hasUsers).map { operation in
                (key: method.description.lowercased(), value: literal(of: operation, route, isHead: method == .head))
            }
        }
        let options: JSONValue = [
            "operationId": .string((route.declaration.operations.first?.id ?? "") + "Options"),
            "summary": "The methods of this path.",
            "parameters": Self.references(toParameters: route.namesInPath.map { "any_\($0)" }),
            "responses": responses(
                [
                    ContractReply(
                        204,
                        [
                            "description": "The methods are in Allow.",
                            "headers": ContractResponses.references(toHeaders: ["X-Request-Id", "Allow"]),
                        ]
                    )
                ],
                problems: [],
                isHead: false
            ),
        ]
        members.append(("options", options))
        return .object(pairs: members)
    }

    private func literal(of operation: RouteOperation, _ route: Route, isHead: Bool) -> JSONValue {
        var members: [(key: String, value: JSONValue)] = [
            ("operationId", .string(isHead ? operation.id + "Head" : operation.id)),
            ("summary", .string(operation.summary)),
            ("parameters", Self.references(toParameters: operation.parameters.map(\.name))),
        ]
        if let body = operation.body.contract { members.append(("requestBody", body)) }
        // Replies are sent with gzip or identity, and Accept-Encoding may forbid both.
        var problems = operation.problems + (hasUsers ? operation.problemsOfStore : []) + [406]
        if case .role(let role) = route.access {
            problems.append(403)
            if hasKeys {
                members.append(("security", [["apiKey": [.string(role.rawValue)]]]))
                problems.append(401)
            }
        }
        members.append(("responses", responses(operation.replies, problems: problems, isHead: isHead)))
        return .object(pairs: members)
    }

    private func responses(_ replies: [ContractReply], problems: [Int], isHead: Bool) -> JSONValue {
        var members = replies.map { ($0.status, isHead ? $0.json.without("content") : $0.json) }
        for status in problems + ContractResponses.ofAnyRequest where !members.contains(where: { $0.0 == status }) {
            members.append((status, ContractResponses.problem(status, toHead: isHead)))
        }
        return .object(pairs: members.sorted { $0.0 < $1.0 }.map { (key: String($0.0), value: $0.1) })
    }

    private static func references(toParameters names: [String]) -> JSONValue {
        .array(([ContractParameter.requestID.name] + names).map { ["$ref": "#/components/parameters/\($0)"] })
    }

    /// The parameters that operations of any listener refer to.
    static let parameters: JSONValue = {
        let routes = Route.allCases
        let declared = routes.flatMap { $0.declaration.operations.flatMap(\.parameters) }
        let all = ([.requestID] + declared).map { (key: $0.name, value: $0.json) }
        return .object(uniquePairs: all + routes.flatMap(\.namesInPath).map(ContractParameter.unread))
    }()
}

extension JSONValue {
    /// An object with the first member of each name.
    static func object(uniquePairs members: [(key: String, value: JSONValue)]) -> JSONValue {
        var names: Set<String> = []
        return .object(pairs: members.filter { names.insert($0.key).inserted })
    }
}
