// Writes the head of a reply straight into the output. Only this file writes the fields that HTTP itself adds: the reason
// phrase, Date, Content-Length or Transfer-Encoding, Connection, Retry-After.

/// How the end of a reply's content is told to the client (RFC 9112 §6.3).
enum ReplyFraming: Equatable {
    case length(Int)
    case chunked
    /// Ends by closing; for HTTP/1.0.
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
    /// The client speaks HTTP/1.0, where keeping the connection has to be announced.
    var isVersion10: Bool

    /// Appends the status line and the fields, up to and including the empty line. Returns the first given field that had
    /// to be left out for a byte that does not belong in it.
    func encode(_ fields: HTTPFields, date: DateField, into output: inout [UInt8]) -> String? {
        var leftOut: String?
        output.reserveCapacity(output.count + 256)
        output.append("HTTP/1.1 ")
        output.append(decimal: status)
        output.append(" ")
        output.append(HTTPResponse.reasonPhrase(status))
        output.append("\r\n")
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

    /// A name of token bytes, a value without controls (RFC 9110 §5.5): what a caller's text may have got into.
    private static func isValid(_ field: (name: String, value: String)) -> Bool {
        guard !field.name.isEmpty else { return false }
        for byte in field.name.utf8 where !byte.isToken { return false }
        for byte in field.value.utf8 where byte.isControl { return false }
        return true
    }
}
