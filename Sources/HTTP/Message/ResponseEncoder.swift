// Writes the head of a reply straight into the output. Only this file writes the fields that HTTP itself adds: the
// reason phrase, Date, Content-Length or Transfer-Encoding, Connection, Retry-After.

/// How the client learns the end of a reply's content (RFC 9112 §6.3).
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
    /// The connection stays open after this reply.
    var keepsAlive: Bool
    /// The client speaks HTTP/1.0, in which a persistent connection must be announced.
    var isVersion10: Bool

    /// Appends the status line, the fields, the fields of the request's note, and the empty line. Returns the name of
    /// the first given field that was omitted because of an invalid byte.
    func encode(
        _ fields: HTTPFields,
        note: (any HTTPNote)? = nil,
        date: DateField,
        into output: inout [UInt8]
    ) -> String? {
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
            let start = output.count
            output.append(text: field.name)
            output.append(": ")
            output.append(text: field.value)
            guard ReplyHead.isValid(output, from: start, nameLength: field.name.utf8.count) else {
                output.removeSubrange(start...)
                leftOut = leftOut ?? field.name
                continue
            }
            output.append("\r\n")
            if status == 503, field.name.utf8.count == 11, field.name.lowercased() == "retry-after" {
                hasRetryAfter = true
            }
        }
        note?.appendReplyFields(to: &output)
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

    /// Whether HTTP writes the field itself. A second one could contradict it, for example about the length.
    private static func isOwn(_ name: String) -> Bool {
        switch name.utf8.count {
        case 4: name.lowercased() == "date"
        case 10: name.lowercased() == "connection"
        case 14: name.lowercased() == "content-length"
        case 17: name.lowercased() == "transfer-encoding"
        default: false
        }
    }

    /// Whether the field written from `start` to the end has a name of token bytes and a value without controls (RFC
    /// 9110 §5.5). It may contain text from the request.
    private static func isValid(_ output: [UInt8], from start: Int, nameLength: Int) -> Bool {
        output.withUnsafeBufferPointer { output in
            guard nameLength > 0, output[start..<start + nameLength].allSatisfy(\.isToken) else { return false }
            let value = UnsafeBufferPointer(rebasing: output[(start + nameLength)...])
            return !value.mayHaveControls || !value.contains(where: \.isControl)
        }
    }
}
