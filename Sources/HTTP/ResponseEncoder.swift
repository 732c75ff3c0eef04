// The head of a reply, written straight into the output. What HTTP itself adds is written here and nowhere else: the
// reason phrase, Date, Content-Length or Transfer-Encoding, Connection, Retry-After.

/// How the end of a reply's content is told to the client (RFC 9112 §6.3).
enum ReplyFraming: Equatable {
    case length(Int)
    case chunked
    /// By closing; for HTTP/1.0.
    case untilClose
    /// No content and no length: 204 and 304.
    case none
}

/// Everything that decides how a reply's head is written.
struct ReplyHead {
    var status: Int
    var framing: ReplyFraming
    /// The connection is kept after this reply.
    var keepsAlive: Bool
    /// The client speaks HTTP/1.0, to which keeping is the exception that is announced.
    var isVersion10: Bool

    /// Appends the status line and the fields, up to and including the empty line. Returns the first given field that had
    /// to be left out for an octet that does not belong in it.
    func encode(_ fields: HTTPFields, date: DateField, into output: inout [UInt8]) -> String? {
        var leftOut: String?
        output.reserveCapacity(output.count + 256)
        output.append(ReplyHead.statusLine(status))
        if ReplyHead.statusLine(status).utf8CodeUnitCount == 0 {
            output.append("HTTP/1.1 ")
            output.append(decimal: status)
            output.append(" \r\n")
        }
        output.append(contentsOf: date.line)
        var hasRetryAfter = false
        for field in fields {
            if ReplyHead.isOwn(field.name) { continue }
            guard ReplyHead.isValid(field) else {
                leftOut = leftOut ?? field.name
                continue
            }
            if status == 503, field.name.utf8.count == 11, field.name.lowercased() == "retry-after" {
                hasRetryAfter = true
            }
            output.append(text: field.name)
            output.append(": ")
            output.append(text: field.value)
            output.append("\r\n")
        }
        if status == 503, !hasRetryAfter { output.append("Retry-After: 1\r\n") }
        switch framing {
        case .length(let length):
            output.append("Content-Length: ")
            output.append(decimal: length)
            output.append("\r\n")
        case .chunked:
            output.append("Transfer-Encoding: chunked\r\n")
        case .untilClose, .none:
            break
        }
        if !keepsAlive {
            output.append("Connection: close\r\n")
        } else if isVersion10 {
            output.append("Connection: keep-alive\r\n")
        }
        output.append("\r\n")
        return leftOut
    }

    /// A field that HTTP writes itself; two of them could tell two lengths.
    private static func isOwn(_ name: String) -> Bool {
        switch name.utf8.count {
        case 4: name.lowercased() == "date"
        case 10: name.lowercased() == "connection"
        case 14: name.lowercased() == "content-length"
        case 17: name.lowercased() == "transfer-encoding"
        default: false
        }
    }

    /// A name of token octets, a value without controls (RFC 9110 §5.5): what a caller's text may have got into.
    private static func isValid(_ field: (name: String, value: String)) -> Bool {
        guard !field.name.isEmpty else { return false }
        for octet in field.name.utf8 where !octet.isToken { return false }
        for octet in field.value.utf8 where octet.isControl { return false }
        return true
    }

    /// The status line of a status that this server is known to send; empty for all others.
    private static func statusLine(_ status: Int) -> StaticString {
        switch status {
        case 200: "HTTP/1.1 200 OK\r\n"
        case 201: "HTTP/1.1 201 Created\r\n"
        case 202: "HTTP/1.1 202 Accepted\r\n"
        case 204: "HTTP/1.1 204 No Content\r\n"
        case 301: "HTTP/1.1 301 Moved Permanently\r\n"
        case 302: "HTTP/1.1 302 Found\r\n"
        case 303: "HTTP/1.1 303 See Other\r\n"
        case 304: "HTTP/1.1 304 Not Modified\r\n"
        case 307: "HTTP/1.1 307 Temporary Redirect\r\n"
        case 308: "HTTP/1.1 308 Permanent Redirect\r\n"
        case 400: "HTTP/1.1 400 Bad Request\r\n"
        case 401: "HTTP/1.1 401 Unauthorized\r\n"
        case 403: "HTTP/1.1 403 Forbidden\r\n"
        case 404: "HTTP/1.1 404 Not Found\r\n"
        case 405: "HTTP/1.1 405 Method Not Allowed\r\n"
        case 406: "HTTP/1.1 406 Not Acceptable\r\n"
        case 408: "HTTP/1.1 408 Request Timeout\r\n"
        case 409: "HTTP/1.1 409 Conflict\r\n"
        case 410: "HTTP/1.1 410 Gone\r\n"
        case 411: "HTTP/1.1 411 Length Required\r\n"
        case 412: "HTTP/1.1 412 Precondition Failed\r\n"
        case 413: "HTTP/1.1 413 Content Too Large\r\n"
        case 414: "HTTP/1.1 414 URI Too Long\r\n"
        case 415: "HTTP/1.1 415 Unsupported Media Type\r\n"
        case 417: "HTTP/1.1 417 Expectation Failed\r\n"
        case 422: "HTTP/1.1 422 Unprocessable Content\r\n"
        case 429: "HTTP/1.1 429 Too Many Requests\r\n"
        case 431: "HTTP/1.1 431 Request Header Fields Too Large\r\n"
        case 500: "HTTP/1.1 500 Internal Server Error\r\n"
        case 501: "HTTP/1.1 501 Not Implemented\r\n"
        case 502: "HTTP/1.1 502 Bad Gateway\r\n"
        case 503: "HTTP/1.1 503 Service Unavailable\r\n"
        case 504: "HTTP/1.1 504 Gateway Timeout\r\n"
        case 505: "HTTP/1.1 505 HTTP Version Not Supported\r\n"
        default: ""
        }
    }
}
