// The routes, and lookups in their declarations for a request and a listener.

internal import HTTP

/// A route. Metrics are labelled with its template, never with a raw path.
enum Route: Int, CaseIterable, Hashable {
    /// Anything else: unknown paths, and requests that HTTP refused before their path was known.
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

    /// Each route's declaration is in the file of its handler.
    private static func declaration(of route: Route) -> RouteDeclaration {
        switch route {
        case .none: .none
        case .recommend: .recommend
        case .batch: .batch
        case .events: .events
        case .rank: .rank
        case .rankBatch: .rankBatch
        case .user: .user
        case .models: .models
        case .live: .live
        case .ready: .ready
        case .metrics: .metrics
        case .reload: .reload
        case .addModel: .addModel
        case .model: .model
        case .routing: .routing
        case .rollback: .rollback
        case .catalogue: .catalogue
        case .catalogueItem: .catalogueItem
        case .openAPI: .openAPI
        case .console: .console
        }
    }

    /// Indexed by number.
    private static let declarations = allCases.map(declaration)

    private static let methodCount = HTTPMethod.allCases.count
    /// Indexed by number, then by method.
    private static let operations = declarations.flatMap { declaration in
        HTTPMethod.allCases.map { method in declaration.operations.first { $0.methods.contains(method) } }
    }

    private static let byPath = Dictionary(
        uniqueKeysWithValues: allCases.filter { $0 != .none && !$0.label.contains("{") }.map { ($0.label, $0) }
    )
    /// Templates with names, split into segments.
    private static let templates = allCases.filter { $0.label.contains("{") }.map { route in
        (route: route, segments: route.label.split(separator: "/", omittingEmptySubsequences: false))
    }

    /// `path` is as sent. A name in it, such as a user's id, is one segment: a slash must be sent as `%2F`.
    init(path: String) {
        if path == "/recommend" {
            // Nearly every request skips the lookup.
            self = .recommend
        } else if let route = Self.byPath[path] {
            self = route
        } else {
            self = Self.templates.first { Self.names(in: path, $0.segments) != nil }?.route ?? .none
        }
    }

    /// The values of the template's names in a path, percent-encoded as sent; nil if the path does not match.
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

    /// The number that HTTP carries with a reply until the reply is counted. 0, `none`, also stands for HTTP's own
    /// replies.
    var number: Int { rawValue }
    init(number: Int) { self = Route(rawValue: number) ?? .none }

    var declaration: RouteDeclaration { Self.declarations[rawValue] }

    /// The template.
    var label: String { Self.declarations[rawValue].path }

    /// The access that callers need once API keys are configured.
    var access: Access { Self.declarations[rawValue].access }

    /// The operation for a method; nil if the route has none. OPTIONS is handled before this, for every path.
    ///
    /// - Parameter hasUsers: whether there is a user store.
    func operation(_ method: HTTPMethod, hasUsers: Bool) -> RouteOperation? {
        guard let found = Self.operations[rawValue * Self.methodCount + Int(method.rawValue)] else { return nil }
        return found.needsStore && !hasUsers ? nil : found
    }

    /// The methods of the route.
    func methods(hasUsers: Bool) -> [HTTPMethod] {
        HTTPMethod.allCases.filter { operation($0, hasUsers: hasUsers) != nil }
    }

    /// The value of `Allow` (RFC 9110, section 10.2.1); for `none`, that of `OPTIONS *`, which concerns the whole
    /// server.
    func allow(hasUsers: Bool) -> String {
        guard self != .none else { return "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS" }
        return (methods(hasUsers: hasUsers) + [.options]).map(\.description).joined(separator: ", ")
    }

    /// Whether a listener serves the route.
    ///
    /// - Parameter hasUsers: whether there is a user store.
    func isServed(on listener: ListenerRole, hasUsers: Bool) -> Bool {
        guard hasUsers || !Self.declarations[rawValue].needsStore else { return false }
        return switch Self.declarations[rawValue].place {
        case .callers: listener != .admin
        case .operators: listener != .callers
        case .everywhere: true
        case .nowhere: false
        }
    }
}
