// Decides which web pages may use a server without API keys. A browser makes requests for strangers: any page can send
// some, and a page whose host name resolves to this server (DNS rebinding) can also read the replies. But a page cannot
// choose `Host` and `Origin`. The page Security has the threat model.

internal import HTTP

/// The names of this server, and the checks of `Host` and `Origin` against them.
struct TrustedHosts: Sendable {
    /// `http.hosts`, lower case.
    private let names: Set<String>

    init(_ names: Set<String>) {
        self.names = names
    }

    /// Reads `http.hosts`: host names or addresses without ports, separated by commas.
    static func names(in text: String) throws(ConfigurationError) -> Set<String> {
        var names: Set<String> = []
        for part in text.split(separator: ",") {
            let words = part.split(separator: " ")
            let name = words.first?.lowercased() ?? ""
            guard words.count == 1, PeerAddress(numericHost: name) != nil || isName(name) else {
                throw ConfigurationError(
                    description: "must have host names without ports, separated by commas, not "
                        + "'\(words.joined(separator: " "))'"
                )
            }
            names.insert(name)
        }
        return names
    }

    private static func isName(_ text: String) -> Bool {
        text.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || ".-_".contains($0)) }
    }

    /// Whether `Host` is one that no stranger's page can have: a loopback address, localhost, or in `http.hosts`.
    func trustsHost(of head: HTTPRequestHead) -> Bool {
        guard let authority = head.header("host").flatMap(Authority.init) else { return false }
        return isOwn(authority) || PeerAddress(numericHost: authority.host)?.isLoopback == true
    }

    /// Whether a web page of another server sent the request. Browsers put the origin of the page into `Origin`, except
    /// on same-origin GET; other clients do not send it.
    ///
    /// A page whose origin equals `Host` is this server's own if that host is an address: only a name can be made to
    /// resolve to another server.
    func isFromForeignPage(_ head: HTTPRequestHead) -> Bool {
        guard let first = head.header("origin") else { return false }
        guard head.headers("origin").count == 1, let scheme = first.firstRange(of: "://"),
            let origin = Authority(first[scheme.upperBound...].lowercased())
        else { return true }
        if names.contains(origin.host) { return false }
        guard let host = head.header("host").flatMap(Authority.init), host == origin else { return true }
        return !(isOwn(origin) || PeerAddress(numericHost: origin.host) != nil)
    }

    private func isOwn(_ authority: Authority) -> Bool {
        authority.host == "localhost" || names.contains(authority.host)
    }
}

/// `host [":" port]` of RFC 3986, section 3.2.
private struct Authority: Equatable {
    /// Lower case; an IPv6 address without brackets, a name without its trailing dot.
    let host: String
    /// As written; empty: the scheme's default.
    let port: String

    init?(_ text: String) {
        let text = text.lowercased()
        if text.hasPrefix("[") {
            guard let end = text.firstIndex(of: "]") else { return nil }
            host = String(text[text.index(after: text.startIndex)..<end])
            let rest = text[text.index(after: end)...]
            guard rest.isEmpty || rest.hasPrefix(":") else { return nil }
            port = String(rest.dropFirst())
        } else {
            let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            host = String(parts[0].hasSuffix(".") ? parts[0].dropLast() : parts[0])
            port = parts.count > 1 ? String(parts[1]) : ""
        }
        guard !host.isEmpty else { return nil }
    }
}
