// Which paths exist, which methods they take, who may use them, and on which listener they are.

internal import HTTP

/// A route. Metrics are labelled with its template, never with a raw path.
enum Route: Int, CaseIterable, Hashable {
    /// Anything else: paths that do not exist, and requests that HTTP refused before there was a path.
    case none
    case recommend
    case batch
    case events
    case rank
    case rankBatch
    case user
    case models
    case live
    case ready
    case metrics
    case reload
    case addModel
    case model
    case routing
    case rollback
    case catalogue
    case catalogueItem
    case openAPI
    case console

    private static let byPath = Dictionary(
        uniqueKeysWithValues: allCases.filter { $0 != .none && !$0.label.contains("{") }.map { ($0.label, $0) }
    )
    /// The templates with names in them, in segments.
    private static let templates = allCases.filter { $0.label.contains("{") }.map { route in
        (route: route, segments: route.label.split(separator: "/", omittingEmptySubsequences: false))
    }

    /// `path` as it was sent. A name in it, a user's id for example, is one segment: a slash has to be written `%2F`.
    init(path: String) {
        if path == "/recommend" {
            // Nearly every request, so that it is not looked up.
            self = .recommend
        } else if let route = Self.byPath[path] {
            self = route
        } else {
            self = Self.templates.first { Self.names(in: path, $0.segments) != nil }?.route ?? .none
        }
    }

    /// What stands for the names of the route's template in a path, percent-encoded as it was sent; nil for other paths.
    func names(in path: String) -> [Substring]? {
        Self.names(in: path, label.split(separator: "/", omittingEmptySubsequences: false))
    }

    /// The names in the route's template.
    var namesInPath: [String] {
        label.split(separator: "/").filter { $0.hasPrefix("{") }.map { String($0.dropFirst().dropLast()) }
    }

    private static func names(in path: String, _ template: [Substring]) -> [Substring]? {
        let segments = path.split(separator: "/", omittingEmptySubsequences: false)
        guard segments.count == template.count else { return nil }
        var names: [Substring] = []
        for (segment, wanted) in zip(segments, template) {
            if wanted.hasPrefix("{") {
                guard !segment.isEmpty else { return nil }
                names.append(segment)
            } else if segment != wanted {
                return nil
            }
        }
        return names
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
        case .rank: "/rank"
        case .rankBatch: "/rank/batch"
        case .user: "/users/{user_id}"
        case .models: "/models"
        case .live: "/health/live"
        case .ready: "/health/ready"
        case .metrics: "/metrics"
        case .reload: "/admin/reload"
        case .addModel: "/admin/models"
        case .model: "/admin/models/{name}/{version}"
        case .routing: "/admin/routing/{name}"
        case .rollback: "/admin/routing/{name}/rollback"
        case .catalogue: "/admin/catalogue/{model}"
        case .catalogueItem: "/admin/catalogue/{model}/{item}"
        case .openAPI: "/openapi.json"
        case .console: "/"
        case .none: "none"
        }
    }

    /// What its body asks the codec for; nil: no item.
    var question: RecommendCodec.Question? {
        switch self {
        case .recommend, .batch: .recommend
        case .rank, .rankBatch: .rank
        case .events, .user, .models, .live, .ready, .metrics, .reload, .addModel, .model, .routing, .rollback,
            .catalogue, .catalogueItem, .openAPI, .console, .none:
            nil
        }
    }

    /// Whether its body is many calls.
    var isBatch: Bool { self == .batch || self == .rankBatch }

    /// Whether the route takes a method; OPTIONS is answered for every path before a route is asked.
    ///
    /// - Parameter hasUsers: whether there is a store of users.
    func takes(_ method: HTTPMethod, hasUsers: Bool) -> Bool {
        switch self {
        case .recommend, .batch, .rank, .rankBatch, .reload, .addModel, .rollback, .events: method == .post
        case .routing: method == .put
        case .catalogue: method == .patch || method == .get || method == .head
        case .catalogueItem: method == .get || method == .head
        case .model: method == .delete
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
        guard self != .none else { return "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS" }
        return (methods(hasUsers: hasUsers) + [.options]).map(\.description).joined(separator: ", ")
    }

    /// The role a caller needs once API keys are configured.
    var access: Access {
        switch self {
        case .recommend, .batch, .rank, .rankBatch, .events: .role(.recommend)
        case .user, .models, .metrics, .reload, .addModel, .model, .routing, .rollback, .catalogue, .catalogueItem:
            .role(.admin)
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
        case .recommend, .batch, .rank, .rankBatch, .models: listener != .admin
        case .user, .metrics, .reload, .addModel, .model, .routing, .rollback, .catalogue, .catalogueItem:
            listener != .callers
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
