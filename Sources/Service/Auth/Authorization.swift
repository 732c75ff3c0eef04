// Whether a request may use its route, decided from its head alone, before any of its body is read.

internal import HTTP

/// The value of an `Authorization` field.
enum Authorization {
    /// The token of `Bearer <token>` (RFC 6750, section 2.1), the scheme in any letter case; nil for anything else.
    static func bearerToken(_ value: String) -> Substring.UTF8View? {
        let parts = value.utf8.split(separator: UInt8(ascii: " "), maxSplits: 1)
        guard parts.count == 2, Substring(parts[0]).lowercased() == "bearer" else { return nil }
        let token = parts[1].drop { $0 == UInt8(ascii: " ") }
        return isToken(token) ? token : nil
    }

    /// One or more token characters, followed by any number of equals signs.
    private static func isToken(_ text: Substring.UTF8View) -> Bool {
        let equals = UInt8(ascii: "=")
        let body = text.prefix { $0 != equals }
        guard !body.isEmpty, text.dropFirst(body.count).allSatisfy({ $0 == equals }) else { return false }
        return body.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "z"),
                UInt8(ascii: "A")...UInt8(ascii: "Z"):
                true
            default: "-._~+/".utf8.contains(byte)
            }
        }
    }
}

extension RequestHandler {
    /// The reply to a request that may not use its route, 401 or 403; nil if it may.
    func refusalOfAccess(_ head: HTTPRequestHead, _ route: Route) -> HTTPResponse? {
        guard let keys else { return refusalWithoutKeys(head, route) }
        guard case .role(let needed) = route.access else { return nil }
        let fields = head.headers("authorization")
        guard fields.count == 1, let token = Authorization.bearerToken(fields[0]) else {
            return unauthorized("an API key is required: Authorization: Bearer <key>", "", head, route)
        }
        guard let role = keys.role(of: token) else {
            return unauthorized("the API key is unknown", ", error=\"invalid_token\"", head, route)
        }
        guard role.includes(needed) else {
            return problem(
                403,
                "the API key's role is \(role.rawValue); \(route.label) needs \(needed.rawValue)",
                route,
                requestIDs.id(for: head),
                headers: [("WWW-Authenticate", "\(Self.challenge), error=\"insufficient_scope\"")]
            )
        }
        return nil
    }

    private static let challenge = "Bearer realm=\"genrec\""

    private func unauthorized(
        _ detail: String,
        _ error: String,
        _ head: HTTPRequestHead,
        _ route: Route
    ) -> HTTPResponse {
        problem(
            401,
            detail,
            route,
            requestIDs.id(for: head),
            headers: [("WWW-Authenticate", Self.challenge + error)]
        )
    }

    /// Without keys, anyone on this machine may administer the server, and anyone who reaches it may request
    /// recommendations. That does not include web pages, even in a browser on this machine.
    private func refusalWithoutKeys(_ head: HTTPRequestHead, _ route: Route) -> HTTPResponse? {
        guard case .role(let needed) = route.access else { return nil }
        func refusal(_ reason: String) -> HTTPResponse {
            problem(403, "without API keys \(route.label) \(reason)", route, requestIDs.id(for: head))
        }
        if needed == .admin {
            guard head.peer.isLoopback else { return refusal("answers only over loopback or a UNIX socket") }
            guard hosts.trustsHost(of: head) else {
                return refusal("answers only requests whose Host is a loopback address, localhost or one of http.hosts")
            }
        }
        guard !hosts.isFromForeignPage(head) else { return refusal("does not answer web pages from another origin") }
        return nil
    }
}
