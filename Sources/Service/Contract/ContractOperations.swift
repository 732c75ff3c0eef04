// What each route does, takes and answers, as the OpenAPI document has it.

internal import HTTP
internal import JSON

/// The operations of the document.
struct ContractOperations {
    /// Whether API keys are configured.
    let hasKeys: Bool
    /// Whether there is a store of users.
    let hasUsers: Bool

    /// One operation, but for what all of them have.
    private struct Operation {
        var id: String
        var summary: String
        var parameters: [String] = []
        var requestBody: JSONValue?
        /// Replies that are no problems, by status.
        var replies: [(status: Int, reply: JSONValue)]
        /// Statuses of problems beside those of any request.
        var problems: [Int] = []
    }

    /// All methods of a route.
    func pathItem(of route: Route) -> JSONValue {
        let operation = operation(of: route)
        var members: [(key: String, value: JSONValue)] = []
        for method in route.methods(hasUsers: hasUsers) {
            let operation =
                switch (route, method) {
                case (.user, .get), (.user, .head): showUser
                case (.catalogue, .get), (.catalogue, .head): findItems
                default: operation
                }
            let literal = literal(of: operation, route, isHead: method == .head)
            members.append((method.description.lowercased(), literal))
        }
        let options: JSONValue = [
            "operationId": "\(operation.id)Options",
            "summary": "The methods of this path.",
            "parameters": .array(
                (["X-Request-Id"] + route.namesInPath.map { "any_\($0)" }).map(Self.reference(toParameter:))
            ),
            "responses": responses(
                [
                    (
                        204,
                        [
                            "description": "See Allow.",
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

    private func literal(of operation: Operation, _ route: Route, isHead: Bool) -> JSONValue {
        var members: [(key: String, value: JSONValue)] = [
            ("operationId", .string(isHead ? operation.id + "Head" : operation.id)),
            ("summary", .string(operation.summary)),
            ("parameters", .array((["X-Request-Id"] + operation.parameters).map(Self.reference(toParameter:)))),
        ]
        if let body = operation.requestBody { members.append(("requestBody", body)) }
        // Replies come as gzip or as they are, and Accept-Encoding may forbid both.
        var problems = operation.problems + [406]
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

    private func responses(
        _ replies: [(status: Int, reply: JSONValue)],
        problems: [Int],
        isHead: Bool
    ) -> JSONValue {
        var members = replies.map { status, reply in (status, isHead ? reply.without("content") : reply) }
        for status in problems + ContractResponses.ofAnyRequest where !members.contains(where: { $0.0 == status }) {
            members.append((status, ContractResponses.problem(status, toHead: isHead)))
        }
        return .object(pairs: members.sorted { $0.0 < $1.0 }.map { (key: String($0.0), value: $0.1) })
    }

    // MARK: Routes

    private func operation(of route: Route) -> Operation {
        switch route {
        case .recommend:
            asking(
                id: "recommend",
                summary: """
                    The best next items for a history. The reply is one object, or a stream of records if the body's stream \
                    is true or Accept prefers a stream. A body whose stream is true, with an Accept that allows no stream, is \
                    406.
                    """,
                request: "RecommendRequest",
                reply: "RecommendReply",
                streamed: "Stream"
            )
        case .batch: batch(id: "recommendBatch", request: "BatchRequest", reply: "BatchReply")
        case .rank:
            asking(
                id: "rank",
                summary: """
                    The scores of the candidates that the request names, each the very number that /recommend gives the item. \
                    Without a history they are popularities. The reply is one object or a stream, as that of /recommend.
                    """,
                request: "RankRequest",
                reply: "RankReply",
                streamed: "RankStream"
            )
        case .rankBatch: batch(id: "rankBatch", request: "RankBatchRequest", reply: "RankBatchReply")
        case .events: events
        case .user:
            Operation(
                id: "forgetUser",
                summary: "Forgets everything that is held for a user, and says what that was.",
                parameters: ["user_id"],
                replies: [(200, Self.reply("What was dropped; zeros where nothing was held.", schema: "Dropped"))],
                problems: hasUsers ? [422, 507] : [422]
            )
        case .models:
            Operation(
                id: "models",
                summary: "What is loaded.",
                parameters: ["length"],
                replies: [(200, Self.reply("The models.", schema: "Models"))],
                problems: [422]
            )
        case .live:
            Operation(
                id: "live",
                summary: "Whether the process can answer. Never waits for the engine.",
                replies: [(200, Self.reply("It can.", schema: "Liveness"))]
            )
        case .ready: ready
        case .metrics: metrics
        case .reload:
            Operation(
                id: "reload",
                summary: """
                    Loads a model's bundle anew beside it, checks it and swaps the two; the reply comes when that is done. If it \
                    fails, the one before still serves.
                    """,
                requestBody: Self.body(schema: "ReloadRequest", isRequired: false),
                replies: [(200, Self.reply("The model that serves now.", schema: "Reloaded"))],
                problems: [404, 409, 411, 422]
            )
        case .addModel:
            Operation(
                id: "addModel",
                summary: """
                    Loads a bundle beside the models that are served. It gets no share of the requests yet, unless it is the first \
                    of its name. The reply comes when it is loaded and warm. With `replace` another model is taken away \
                    before: until the reply there is a gap in which its requests are answered with 503.
                    """,
                requestBody: Self.body(schema: "AddModel"),
                replies: [(201, Self.reply("The model.", schema: "AddedModel"))],
                problems: [404, 409, 411, 422]
            )
        case .model:
            Operation(
                id: "removeModel",
                summary:
                    "Takes a model away that has no share. Requests that it has are answered, then its memory is given back.",
                parameters: ["name", "version"],
                replies: [(200, Self.reply("The models that are left.", schema: "Models"))],
                problems: [404, 409, 422]
            )
        case .routing:
            Operation(
                id: "setRouting",
                summary: """
                    Replaces the shares of a name's requests by version, in one step. Who gets which version is a function of the \
                    user alone.
                    """,
                parameters: ["name"],
                requestBody: Self.body(schema: "Routing"),
                replies: [(200, Self.reply("The shares from now on.", schema: "RoutingReply"))],
                problems: [404, 409, 411, 422]
            )
        case .rollback:
            Operation(
                id: "rollBack",
                summary: "The shares before the last change.",
                parameters: ["name"],
                replies: [(200, Self.reply("The shares from now on.", schema: "RoutingReply"))],
                problems: [404, 409, 411, 422]
            )
        case .catalogue:
            Operation(
                id: "changeCatalogue",
                summary: """
                    Changes items in all versions of a model, all or none of them. From the reply on no request that arrives sees the \
                    old state, and with state.directory the changes are on the disk. Items that the model does not have are told, and \
                    change nothing.
                    """,
                parameters: ["model"],
                requestBody: Self.bodyOfLines(schema: "CatalogueChanges", line: "A CatalogueChange a line."),
                replies: [(200, Self.reply("What became of the changes.", schema: "CatalogueChanged"))],
                problems: [404, 411, 415, 422, 507]
            )
        case .catalogueItem:
            Operation(
                id: "showItem",
                summary: "An item as the version with the largest share has it.",
                parameters: ["model", "item"],
                replies: [(200, Self.reply("The item.", schema: "CatalogueItem"))],
                problems: [404, 422]
            )
        case .openAPI:
            Operation(
                id: "openAPI",
                summary: "This document.",
                replies: [
                    (
                        200,
                        [
                            "description": "OpenAPI 3.1.", "headers": ContractResponses.headers(),
                            "content": ["application/json": ["schema": ["type": "object"]]],
                        ]
                    )
                ]
            )
        case .console: console
        case .none: Operation(id: "none", summary: "", replies: [])
        }
    }

    private func asking(
        id: String,
        summary: String,
        request: String,
        reply: String,
        streamed: String
    ) -> Operation {
        Operation(
            id: id,
            summary: summary,
            parameters: ["X-Deadline-Ms", "X-User-Id"],
            requestBody: Self.body(schema: request),
            replies: [
                (
                    200,
                    [
                        "description": "The items.",
                        "headers": ContractResponses.headers(withCoding: ["Cache-Control", "X-Accel-Buffering"]),
                        "content": [
                            "application/json": ["schema": ContractSchemas.reference(reply)],
                            "application/x-ndjson": [
                                "schema": [
                                    "type": "string",
                                    "description": """
                                    A \(streamed)Item a line, then one \(streamed)End, or a StreamError after which the \
                                    connection closes without the last chunk.
                                    """,
                                ]
                            ],
                            "text/event-stream": [
                                "schema": [
                                    "type": "string",
                                    "description": """
                                    The events item, done and error; their data are \(streamed)Item, \(streamed)End and \
                                    StreamError. After an error the connection closes without the last chunk.
                                    """,
                                ]
                            ],
                        ],
                    ]
                )
            ],
            problems: [404, 411, 415, 422, 429, 500, 504]
        )
    }

    private func batch(id: String, request: String, reply: String) -> Operation {
        Operation(
            id: id,
            summary: """
                Many requests at once. Each is answered as if it had come alone, by a reply or a problem in its place; one \
                whose values are not usable does not spoil the others. X-Deadline-Ms holds for each of them.
                """,
            parameters: ["X-Deadline-Ms"],
            requestBody: Self.body(schema: request),
            replies: [(200, Self.reply("One result a request, in the same order.", schema: reply))],
            problems: [404, 411, 415, 422, 500]
        )
    }

    private var events: Operation {
        Operation(
            id: "takeEvents",
            summary: """
                Keeps what users did. An event that is there already changes nothing, so that a call can be repeated. Of a \
                malformed body nothing is taken.
                """,
            requestBody: Self.bodyOfLines(schema: "EventsRequest", line: "An IncomingEvent a line."),
            replies: [(200, Self.reply("What became of the events.", schema: "EventsReply"))],
            problems: [411, 415, 422, 507]
        )
    }

    private var findItems: Operation {
        Operation(
            id: "findItems",
            summary: """
                Items whose title has a word that begins with each word of q, or whose id begins with q; the most popular first.
                """,
            parameters: ["model", "q", "limit"],
            replies: [(200, Self.reply("The items.", schema: "CatalogueItems"))],
            problems: [404, 411, 415, 422]
        )
    }

    private var showUser: Operation {
        Operation(
            id: "showUser",
            summary: "The events that are kept of a user, newest last.",
            parameters: ["user_id"],
            replies: [(200, Self.reply("The events.", schema: "StoredUser"))],
            problems: [404, 422]
        )
    }

    private var ready: Operation {
        Operation(
            id: "ready",
            summary: "Whether requests would be served.",
            replies: [
                (200, Self.reply("They would.", schema: "Readiness")),
                (
                    503,
                    [
                        "description": "They would not, and why; or too many connections.",
                        "headers": ContractResponses.references(toHeaders: ["X-Request-Id", "Retry-After"]),
                        "content": [
                            "application/json": ["schema": ContractSchemas.reference("Readiness")],
                            "application/problem+json": ["schema": ContractSchemas.reference("Problem")],
                        ],
                    ]
                ),
            ]
        )
    }

    private var metrics: Operation {
        Operation(
            id: "metrics",
            summary: "All metrics, for Prometheus.",
            replies: [
                (
                    200,
                    [
                        "description": "Prometheus text 0.0.4, or OpenMetrics 1.0 if Accept asks for it.",
                        "headers": ContractResponses.headers(),
                        "content": [
                            "text/plain": ["schema": ["type": "string"]],
                            "application/openmetrics-text": ["schema": ["type": "string"]],
                        ],
                    ]
                )
            ]
        )
    }

    private var console: Operation {
        Operation(
            id: "console",
            summary: "A page for people.",
            replies: [
                (
                    200,
                    [
                        "description": "HTML that loads nothing from elsewhere.",
                        "headers": ContractResponses.headers(withCoding: ["Content-Security-Policy"]),
                        "content": ["text/html": ["schema": ["type": "string"]]],
                    ]
                )
            ]
        )
    }

    // MARK: Parts

    private static func reply(_ description: String, schema: String) -> JSONValue {
        [
            "description": .string(description), "headers": ContractResponses.headers(),
            "content": ["application/json": ["schema": ContractSchemas.reference(schema)]],
        ]
    }

    private static func body(schema: String, isRequired: Bool = true) -> JSONValue {
        [
            "required": .boolean(isRequired),
            "content": ["application/json": ["schema": ContractSchemas.reference(schema)]],
        ]
    }

    /// A body of JSON, or of as many lines of JSON.
    private static func bodyOfLines(schema: String, line: String) -> JSONValue {
        guard case .object(let members) = body(schema: schema) else { return body(schema: schema) }
        let lines: JSONValue = ["schema": ["type": "string", "description": .string(line)]]
        return .object(
            pairs: members.map { member in
                guard member.key == "content" else { return (member.key, member.value) }
                return ("content", member.value.adding([("application/x-ndjson", lines)]))
            }
        )
    }

    private static func reference(toParameter name: String) -> JSONValue {
        ["$ref": "#/components/parameters/\(name)"]
    }

    private static func anyName(_ name: String) -> JSONValue {
        [
            "name": .string(name), "in": "path", "required": true, "description": "Not looked at.",
            "schema": ["type": "string"],
        ]
    }

    let parameters: JSONValue = [
        "length": [
            "name": "length", "in": "query",
            "description": """
            Events of the history for which operations are counted; more than the window holds count as the window.
            """,
            "schema": ["type": "integer", "minimum": 1, "maximum": .integer(RequestHandler.maximumCountedEvents)],
        ],
        "X-Request-Id": [
            "name": "X-Request-Id", "in": "header",
            "description": """
            Names the request in the reply and in logs. Taken over if it is 1 to 128 visible ASCII characters without \
            quote or backslash; anything else is replaced by a fresh one.
            """,
            "schema": ["type": "string"],
        ],
        "X-User-Id": [
            "name": "X-User-Id", "in": "header",
            "description":
                "Names the user where the body does not; a body that names another is refused. Balancers hash it.",
            "schema": ContractSchemas.userID,
        ],
        "X-Deadline-Ms": [
            "name": "X-Deadline-Ms", "in": "header",
            "description": "As deadline_ms in the body; the earlier one counts.",
            "schema": ["type": "integer", "minimum": 1, "maximum": .integer(CallLimits.maxDeadlineMilliseconds)],
        ],
        "user_id": [
            "name": "user_id", "in": "path", "required": true,
            "description": "Percent-encoded; 1 to 256 bytes of UTF-8 without control characters.",
            "schema": ContractSchemas.userID,
        ],
        "any_user_id": anyName("user_id"), "any_name": anyName("name"), "any_version": anyName("version"),
        "any_model": anyName("model"), "any_item": anyName("item"),
        "model": [
            "name": "model", "in": "path", "required": true, "description": "Its name, percent-encoded.",
            "schema": ["type": "string", "minLength": 1],
        ],
        "item": [
            "name": "item", "in": "path", "required": true, "description": "The item's id, percent-encoded.",
            "schema": ["type": "string", "minLength": 1],
        ],
        "q": [
            "name": "q", "in": "query", "required": true, "description": "Words of a title, or how an id begins.",
            "schema": ["type": "string", "minLength": 1],
        ],
        "limit": [
            "name": "limit", "in": "query", "description": "How many items at most.",
            "schema": [
                "type": "integer", "minimum": 1, "maximum": .integer(ItemQuery.maximumLimit), "default": 20,
            ],
        ],
        "name": [
            "name": "name", "in": "path", "required": true, "description": "Of a model, percent-encoded.",
            "schema": ["type": "string", "minLength": 1],
        ],
        "version": [
            "name": "version", "in": "path", "required": true, "description": "Of the model, percent-encoded.",
            "schema": ["type": "string", "minLength": 1],
        ],
    ]
}
