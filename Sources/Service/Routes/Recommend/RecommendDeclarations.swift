// The declarations of `/recommend` and `/rank`.

internal import HTTP
internal import JSON

extension RouteDeclaration {
    static let recommend = RouteDeclaration(
        "/recommend",
        .callers,
        RouteOperation.asking(
            .call("RecommendRequest"),
            id: "recommend",
            summary: """
                The best next items for a history. The reply is one object, or a stream of records if stream is true \
                in the body or Accept prefers a stream. If stream is true and Accept allows no stream, the reply is \
                406.
                """,
            reply: "RecommendReply",
            streamed: "Stream"
        ) { $0.recommend($1, .recommend, asks: .recommend, $2) },
        schemas: \.ofRecommend
    )

    static let rank = RouteDeclaration(
        "/rank",
        .callers,
        RouteOperation.asking(
            .call("RankRequest"),
            id: "rank",
            summary: """
                The scores of the candidates that the request names, exactly those that /recommend gives the items. \
                Without a history they are popularities. The reply is one object or a stream, as for /recommend.
                """,
            reply: "RankReply",
            streamed: "RankStream"
        ) { $0.recommend($1, .rank, asks: .rank, $2) },
        schemas: \.ofRank
    )
}

extension RouteOperation {
    /// An operation whose reply is one object or a stream.
    ///
    /// - Parameters:
    ///   - reply: the schema of the object.
    ///   - streamed: the prefix of the schemas of a stream's records.
    fileprivate static func asking(
        _ body: RequestBody,
        id: String,
        summary: String,
        reply: String,
        streamed: String,
        answer: @escaping @Sendable (RequestHandler, HTTPRequest, HTTPExchange) -> Void
    ) -> RouteOperation {
        let content: JSONValue = [
            "application/json": ["schema": ContractSchemas.reference(reply)],
            "application/x-ndjson": [
                "schema": [
                    "type": "string",
                    "description": """
                    One \(streamed)Item per line, then one \(streamed)End, or a StreamError after which the connection \
                    closes without the last chunk.
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
        ]
        let items: JSONValue = [
            "description": "The items.",
            "headers": ContractResponses.headers(withCoding: ["Cache-Control", "X-Accel-Buffering"]),
            "content": content,
        ]
        return RouteOperation(
            [.post],
            body,
            id: id,
            summary: summary,
            parameters: [.deadline, .userHeader],
            replies: [ContractReply(200, items)],
            problems: [404, 411, 415, 422, 429, 500, 504],
            answer: answer
        )
    }
}

extension ContractParameter {
    fileprivate static let userHeader = header(
        "X-User-Id",
        "Names the user if the body does not; it must not differ from user_id. Load balancers can hash it.",
        ContractSchemas.userID
    )
}
