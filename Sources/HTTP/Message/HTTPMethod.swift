// The methods that this server supports. The parser answers every other token with 501, including CONNECT, whose target
// has a different form. The router decides which methods a path allows.

/// A request method (RFC 9110 §9.1).
package enum HTTPMethod: UInt8, Sendable, CaseIterable {
    case get, head, post, put, delete, options, patch, trace, query

    /// As written on the wire.
    package var token: StaticString {
        switch self {
        case .get: "GET"
        case .head: "HEAD"
        case .post: "POST"
        case .put: "PUT"
        case .delete: "DELETE"
        case .options: "OPTIONS"
        case .patch: "PATCH"
        case .trace: "TRACE"
        case .query: "QUERY"
        }
    }

    /// A request of this method without a body length is refused with 411.
    var requiresBodyLength: Bool { self == .post || self == .put || self == .patch }

    /// The method named by a token; nil if unknown. Methods are case-sensitive.
    init?(_ bytes: Span<UInt8>) {
        for method in HTTPMethod.allCases where bytes.equals(method.token) {
            self = method
            return
        }
        return nil
    }
}

extension HTTPMethod: CustomStringConvertible {
    /// By raw value. Cached, because a token's own description is decoded on every call.
    private static let descriptions = allCases.map(\.token.description)

    package var description: String { HTTPMethod.descriptions[Int(rawValue)] }
}
