// What a route declares, once, beside its handler: its path, its operations, who may call them, and their entries in the
// OpenAPI document. Matching, `Allow`, authorisation, limits of bodies, metrics and the document follow.

internal import HTTP
internal import JSON

/// All there is to say of a route.
struct RouteDeclaration: Sendable {
    /// The path, with names in braces for segments that vary.
    let path: String
    let place: Place
    let access: Access
    /// At most one for each method. The first names the route in the document.
    let operations: [RouteOperation]
    /// The schemas of its bodies and replies that no other route has, by name.
    let schemas: @Sendable (ContractSchemas) -> [(key: String, value: JSONValue)]
    /// Whether the route exists only where there is a store of users.
    let needsStore: Bool

    init(
        _ path: String,
        for place: Place,
        _ access: Access,
        _ operations: [RouteOperation],
        schemas: @escaping @Sendable (ContractSchemas) -> [(key: String, value: JSONValue)] = { _ in [] }
    ) {
        self.path = path
        self.place = place
        self.access = access
        self.operations = operations
        self.schemas = schemas
        needsStore = operations.allSatisfy(\.needsStore)
    }

    /// `none` is only ever answered with 404.
    static let none = RouteDeclaration("none", for: .nowhere, .open, [])

    /// The listeners that have a route. The only listener has all of them.
    enum Place {
        /// The first listener alone.
        case callers
        /// The admin listener, where there is one.
        case operators
        case everywhere
        case nowhere
    }
}

/// What a route does with some methods. A class, because every request looks one up: that copies one reference.
final class RouteOperation: Sendable {
    let methods: [HTTPMethod]
    let body: RequestBody
    /// Whether it is there only with a store of users.
    let needsStore: Bool
    let contract: ContractOperation
    /// Called when the request is complete.
    let answer: @Sendable (RequestHandler, HTTPRequest, HTTPExchange) -> Void

    init(
        _ methods: [HTTPMethod],
        _ body: RequestBody,
        needsStore: Bool = false,
        _ contract: ContractOperation,
        answer: @escaping @Sendable (RequestHandler, HTTPRequest, HTTPExchange) -> Void
    ) {
        self.methods = methods
        self.body = body
        self.needsStore = needsStore
        self.contract = contract
        self.answer = answer
    }

    /// An operation of GET and HEAD that answers at once.
    convenience init(
        reading contract: ContractOperation,
        answer: @escaping @Sendable (RequestHandler, HTTPRequestHead) -> HTTPResponse
    ) {
        self.init([.get, .head], .ignored, contract) { handler, request, exchange in
            exchange.respond(answer(handler, request.head))
        }
    }
}

/// What an operation does with a body.
struct RequestBody: Sendable {
    enum Kind: Sendable {
        case ignored
        /// Not taken: ignoring it would mislead a caller who believes it has a meaning.
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
    /// As the OpenAPI document has it.
    let contract: JSONValue?

    static let ignored = RequestBody(kind: .ignored, contract: nil)
    static let refused = RequestBody(kind: .refused, contract: nil)

    static func order(_ schema: String, isRequired: Bool = true) -> RequestBody {
        RequestBody(kind: .order, contract: ContractOperation.body(schema, isRequired: isRequired))
    }

    static func call(_ schema: String) -> RequestBody {
        RequestBody(kind: .call, contract: ContractOperation.body(schema))
    }

    static func batch(_ schema: String) -> RequestBody {
        RequestBody(kind: .batch, contract: ContractOperation.body(schema))
    }

    /// - Parameter line: what a line is.
    static func lines(_ schema: String, line: String, maximumBytes: Int) -> RequestBody {
        RequestBody(
            kind: .lines(maximumBytes: maximumBytes),
            contract: ContractOperation.body(schema, line: line)
        )
    }
}

extension RequestBody.Kind {
    /// The longest body that operators' routes take.
    private static let orderBytes = 65_536

    var takesLines: Bool { if case .lines = self { true } else { false } }

    /// Whether content type, content coding and `Accept` are looked at before the body is read.
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

/// Who may use a route.
enum Access: Equatable {
    case open
    case role(KeyRole)
}

/// What a listener is for.
enum ListenerRole: Sendable {
    /// The only one: every route.
    case everything
    /// Callers; an admin listener is beside it.
    case callers
    /// `admin.listen`.
    case admin
}
