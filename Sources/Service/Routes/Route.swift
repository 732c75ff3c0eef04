// Which paths exist, which methods they take, who may use them, and on which listener they are.

internal import HTTP

/// A route. Metrics are labelled with its template, never with a raw path.
enum Route: Int, CaseIterable, Hashable {
    /// Anything else: paths that do not exist, and requests that HTTP refused before there was a path.
    case none
    case recommend
    case batch
    case events
    case user
    case models
    case live
    case ready
    case metrics
    case reload
    case openAPI
    case console

    private static let byPath = Dictionary(
        uniqueKeysWithValues: allCases.filter { $0 != .none && $0 != .user }.map { ($0.label, $0) }
    )
    private static let usersPath = "/users/"

    /// `path` as it was sent. A user's id is one segment: a slash in it has to be written `%2F`.
    init(path: String) {
        if let route = Self.byPath[path] {
            self = route
        } else if let id = Self.userSegment(of: path), !id.isEmpty, !id.utf8.contains(UInt8(ascii: "/")) {
            self = .user
        } else {
            self = .none
        }
    }

    /// What stands for `{user_id}` in a path of the route `user`, percent-encoded as it was sent; nil for other paths.
    static func userSegment(of path: String) -> Substring? {
        path.hasPrefix(usersPath) ? path.dropFirst(usersPath.count) : nil
    }

    /// The number that goes with a reply through HTTP and comes back when it is counted; 0, `none`, is also what HTTP
    /// says of replies of its own.
    var number: Int { rawValue }
    init(number: Int) { self = Route(rawValue: number) ?? .none }

    /// The template.
    var label: String {
        switch self {
        case .recommend: "/recommend"
        case .batch: "/recommend/batch"
        case .events: "/events"
        case .user: "/users/{user_id}"
        case .models: "/models"
        case .live: "/health/live"
        case .ready: "/health/ready"
        case .metrics: "/metrics"
        case .reload: "/admin/reload"
        case .openAPI: "/openapi.json"
        case .console: "/"
        case .none: "none"
        }
    }

    /// Whether the route takes a method; OPTIONS is answered for every path before a route is asked.
    ///
    /// - Parameter hasUsers: whether there is a store of users.
    func takes(_ method: HTTPMethod, hasUsers: Bool) -> Bool {
        switch self {
        case .recommend, .batch, .reload, .events: method == .post
        case .user: method == .delete || (hasUsers && (method == .get || method == .head))
        case .models, .live, .ready, .metrics, .openAPI, .console: method == .get || method == .head
        case .none: false
        }
    }

    /// The methods the route takes.
    func methods(hasUsers: Bool) -> [HTTPMethod] {
        HTTPMethod.allCases.filter { takes($0, hasUsers: hasUsers) }
    }

    /// The value of `Allow` (RFC 9110, section 10.2.1); for `none`, what `OPTIONS *` says of the server as a whole.
    func allow(hasUsers: Bool) -> String {
        guard self != .none else { return "GET, HEAD, POST, DELETE, OPTIONS" }
        return (methods(hasUsers: hasUsers) + [.options]).map(\.description).joined(separator: ", ")
    }

    /// The role a caller needs once API keys are configured.
    var access: Access {
        switch self {
        case .recommend, .batch, .events: .role(.recommend)
        case .user, .models, .metrics, .reload: .role(.admin)
        // Orchestrators ask for health; the contract and the page say nothing that is not in the source; `none` is only
        // ever answered with 404.
        case .live, .ready, .openAPI, .console, .none: .open
        }
    }

    /// Whether a listener has the route.
    ///
    /// - Parameter hasUsers: whether there is a store of users.
    func isServed(on listener: ListenerRole, hasUsers: Bool) -> Bool {
        switch self {
        case .events: hasUsers && listener != .admin
        case .recommend, .batch, .models: listener != .admin
        case .user, .metrics, .reload: listener != .callers
        case .live, .ready, .openAPI, .console: true
        case .none: false
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
