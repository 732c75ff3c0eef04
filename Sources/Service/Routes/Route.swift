// Which paths exist, which methods they take, and what a path that does not exist is answered with.

internal import HTTP

/// A route by its template: what metrics are labelled with, never a raw path.
enum Route: Int, CaseIterable, Hashable {
    /// Anything else: paths that do not exist, and requests that HTTP refused before there was a path.
    case none
    case recommend
    case models
    case live
    case ready
    case metrics

    private static let byPath: [String: Route] = [
        "/recommend": .recommend,
        "/models": .models,
        "/health/live": .live,
        "/health/ready": .ready,
        "/metrics": .metrics,
    ]

    init(path: String) {
        self = Self.byPath[path] ?? .none
    }

    /// The number that goes with a reply through HTTP and comes back when it is counted; 0, `none`, is also what HTTP
    /// says of replies of its own.
    var number: Int { rawValue }
    init(number: Int) { self = Route(rawValue: number) ?? .none }

    /// The template.
    var label: String {
        switch self {
        case .recommend: "/recommend"
        case .models: "/models"
        case .live: "/health/live"
        case .ready: "/health/ready"
        case .metrics: "/metrics"
        case .none: "none"
        }
    }

    /// The methods the route takes, as `Allow` lists them (RFC 9110, section 10.2.1).
    var allow: String {
        switch self {
        case .recommend: "POST, OPTIONS"
        case .models, .live, .ready, .metrics: "GET, HEAD, OPTIONS"
        case .none: "GET, HEAD, POST, OPTIONS"
        }
    }

    func takes(_ method: HTTPMethod) -> Bool {
        switch self {
        case .recommend: method == .post
        case .models, .live, .ready, .metrics: method == .get || method == .head
        case .none: false
        }
    }
}
