// A route's declaration, next to its handler: path, operations, access, and entries in the OpenAPI document. Matching,
// `Allow`, authorisation, body limits, metrics and the document are derived from it.

internal import HTTP
internal import JSON

/// A route: one path.
struct RouteDeclaration: Sendable {
    /// The path, with names in braces for variable segments.
    let path: String
    let place: Place
    let access: Access
    /// At most one per method. The first names the route in the document.
    let operations: [RouteOperation]
    /// The schemas of its bodies and replies that no earlier route declares, by name.
    let schemas: @Sendable (ContractSchemas) -> [(key: String, value: JSONValue)]
    /// Whether the route exists only with a user store.
    let needsStore: Bool

    /// - Parameter access: nil: the default of `place`.
    init(
        _ path: String,
        _ place: Place,
        access: Access? = nil,
        _ operations: RouteOperation...,
        schemas: @escaping @Sendable (ContractSchemas) -> [(key: String, value: JSONValue)] = { _ in [] }
    ) {
        self.path = path
        self.place = place
        self.access = access ?? place.access
        self.operations = operations
        self.schemas = schemas
        needsStore = operations.allSatisfy(\.needsStore)
    }

    /// Every request for `none` is answered with 404.
    static let none = RouteDeclaration("none", .nowhere)

    /// The listeners that serve a route. A single listener serves all routes.
    enum Place {
        /// The first listener.
        case callers
        /// The admin listener, if there is one.
        case operators
        case everywhere
        case nowhere

        fileprivate var access: Access {
            switch self {
            case .callers: .role(.recommend)
            case .operators: .role(.admin)
            case .everywhere, .nowhere: .open
            }
        }
    }
}

/// A route's operation for some methods, with its entry in the document. A class, because every request looks one up,
/// and a class reference is cheap to copy.
final class RouteOperation: Sendable {
    let methods: [HTTPMethod]
    let body: RequestBody
    /// Whether it exists only with a user store.
    let needsStore: Bool
    /// The operation's id in the document.
    let id: String
    let summary: String
    let parameters: [ContractParameter]
    let replies: [ContractReply]
    /// Statuses of problems in addition to those of any request.
    let problems: [Int]
    /// Statuses of problems that occur only with a user store.
    let problemsOfStore: [Int]
    /// Called when the request is complete.
    let answer: @Sendable (RequestHandler, HTTPRequest, HTTPExchange) -> Void

    init(
        _ methods: [HTTPMethod],
        _ body: RequestBody,
        needsStore: Bool = false,
        id: String,
        summary: String,
        parameters: [ContractParameter] = [],
        replies: [ContractReply],
        problems: [Int] = [],
        problemsOfStore: [Int] = [],
        answer: @escaping @Sendable (RequestHandler, HTTPRequest, HTTPExchange) -> Void
    ) {
        self.methods = methods
        self.body = body
        self.needsStore = needsStore
        self.id = id
        self.summary = summary
        self.parameters = parameters
        self.replies = replies
        self.problems = problems
        self.problemsOfStore = problemsOfStore
        self.answer = answer
    }

    /// An operation for GET and HEAD that answers immediately.
    static func reading(
        id: String,
        summary: String,
        parameters: [ContractParameter] = [],
        replies: [ContractReply],
        problems: [Int] = [],
        answer: @escaping @Sendable (RequestHandler, HTTPRequestHead) -> HTTPResponse
    ) -> RouteOperation {
        RouteOperation(
            [.get, .head],
            .ignored,
            id: id,
            summary: summary,
            parameters: parameters,
            replies: replies,
            problems: problems
        ) { handler, request, exchange in exchange.respond(answer(handler, request.head)) }
    }
}

/// How an operation treats a body.
struct RequestBody: Sendable {
    enum Kind: Sendable {
        case ignored
        /// The body is refused: ignoring it would mislead a caller who thinks that it has a meaning.
        case refused
        /// A small object from an operator, whatever its content type.
        case order
        /// A call whose reply may be a stream.
        case call
        case batch
        /// JSON or lines of JSON.
        case lines(maximumBytes: Int)
    }

    let kind: Kind
    /// The body's entry in the OpenAPI document.
    let contract: JSONValue?

    static let ignored = RequestBody(kind: .ignored, contract: nil)
    static let refused = RequestBody(kind: .refused, contract: nil)

    private static func json(_ kind: Kind, _ schema: String, isRequired: Bool = true, line: String? = nil) -> Self {
        var content: JSONValue = ["application/json": ["schema": ContractSchemas.reference(schema)]]
        if let line {
            let lines: JSONValue = ["schema": ["type": "string", "description": .string(line)]]
            content = content.adding([("application/x-ndjson", lines)])
        }
        return Self(kind: kind, contract: ["required": .boolean(isRequired), "content": content])
    }

    static func order(_ schema: String, isRequired: Bool = true) -> Self {
        json(.order, schema, isRequired: isRequired)
    }

    static func call(_ schema: String) -> Self { json(.call, schema) }
    static func batch(_ schema: String) -> Self { json(.batch, schema) }

    /// - Parameter line: describes one line.
    static func lines(_ schema: String, line: String, maximumBytes: Int) -> Self {
        json(.lines(maximumBytes: maximumBytes), schema, line: line)
    }
}

extension RequestBody.Kind {
    /// The most bytes of the body of an operator's request.
    private static let orderBytes = 65_536

    var takesLines: Bool { if case .lines = self { true } else { false } }

    /// Whether content type, content coding and `Accept` are checked before the body is read.
    var isChecked: Bool {
        switch self {
        case .call, .batch, .lines: true
        case .ignored, .refused, .order: false
        }
    }

    /// Whether the reply may be a stream.
    var isStreamable: Bool { if case .call = self { true } else { false } }

    /// - Parameter configured: the configured limit.
    func maximumBytes(_ configured: Int) -> Int {
        switch self {
        case .ignored, .call, .batch: configured
        case .refused: 0
        case .order: Self.orderBytes
        case .lines(let maximum): max(configured, maximum)
        }
    }
}

/// Who may call a route.
enum Access: Equatable {
    case open
    case role(KeyRole)
}

/// The purpose of a listener.
enum ListenerRole: Sendable {
    /// The only listener: every route.
    case everything
    /// Callers; there is also an admin listener.
    case callers
    /// `admin.listen`.
    case admin
}
