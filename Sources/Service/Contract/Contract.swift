// `GET /openapi.json`: the HTTP interface of one listener as an OpenAPI 3.1 document, assembled from the route
// declarations. A test checks every reply of the process tests against it.

internal import Catalogue
internal import HTTP
internal import JSON
internal import Models

extension RouteDeclaration {
    static let openAPI = RouteDeclaration(
        "/openapi.json",
        .everywhere,
        RouteOperation.reading(
            id: "openAPI",
            summary: "This OpenAPI document.",
            replies: [
                ContractReply(
                    200,
                    [
                        "description": "The OpenAPI 3.1 document.", "headers": ContractResponses.headers(),
                        "content": ["application/json": ["schema": ["type": "object"]]],
                    ]
                )
            ]
        ) { $0.contractReply($1) }
    )
}

extension RequestHandler {
    /// `GET /openapi.json`: the document for the item id type of the served bundle.
    func contractReply(_ head: HTTPRequestHead) -> HTTPResponse {
        let idsAreIntegers = fleet.front.main?.bundle.catalogue.idsAreIntegers ?? false
        return json(200, contract.bytes(idsAreIntegers: idsAreIntegers), .openAPI, requestIDs.id(for: head))
    }
}

/// The documents of one listener, one per type of item ids: the type is the bundle's, and bundles can be replaced.
struct Contract: Sendable {
    private let withStringIDs: [UInt8]
    private let withIntegerIDs: [UInt8]

    /// - Parameters:
    ///   - hasKeys: whether API keys are configured.
    ///   - hasUsers: whether there is a user store.
    init(listener: ListenerRole, limits: CallLimits, hasKeys: Bool, hasUsers: Bool) {
        func document(_ idsAreIntegers: Bool) -> [UInt8] {
            let schemas = ContractSchemas(limits: limits, idsAreIntegers: idsAreIntegers, hasUsers: hasUsers)
            return Self.document(ContractOperations(hasKeys: hasKeys, hasUsers: hasUsers), schemas, listener).compact
        }
        withStringIDs = document(false)
        withIntegerIDs = document(true)
    }

    func bytes(idsAreIntegers: Bool) -> [UInt8] { idsAreIntegers ? withIntegerIDs : withStringIDs }

    private static func document(
        _ operations: ContractOperations,
        _ schemas: ContractSchemas,
        _ listener: ListenerRole
    ) -> JSONValue {
        let routes = Route.allCases.filter { $0.isServed(on: listener, hasUsers: operations.hasUsers) }
        let paths = routes.map { (key: $0.label, value: operations.pathItem(of: $0)) }
        var components: [(key: String, value: JSONValue)] = [
            ("schemas", schemas.all), ("responses", ContractResponses.problems),
            ("headers", ContractResponses.headers), ("parameters", ContractOperations.parameters),
        ]
        if operations.hasKeys {
            components.append(("securitySchemes", ["apiKey": ["type": "http", "scheme": "bearer"]]))
        }
        return [
            "openapi": "3.1.0",
            "info": ["title": "genrec", "version": .string(BuildInfo.version), "description": .string(overview)],
            "servers": [["url": "/"]],
            "paths": .object(pairs: paths),
            "components": .object(pairs: components),
        ]
    }

    private static let overview = """
        Generative recommendation: from a user's history to the best next items. Every path answers OPTIONS with \
        Allow. An unknown path is answered with 404, and a method that a path does not support with 405 and Allow. A \
        body may be sent with Content-Encoding: gzip. Errors are problem details (RFC 9457) whose detail is one \
        sentence.
        """
}
