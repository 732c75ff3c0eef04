// Which replies are sent as gzip, and what their fields say about it (RFC 9110 §8.4, §12.5.3, §12.5.5). Whole replies
// are coded where `HTTPExchange.respond` is called, streams on their connection's loop.

/// The coding of one reply.
struct ReplyCompression {
    /// Longer replies made on a loop are sent uncompressed: at about 100 MB/s, compressing one would delay the loop's
    /// other connections for milliseconds.
    static let loopBytes = 262_144
    /// zlib counts in 32 bits.
    private static let maximumBytes = Int(UInt32.max)

    let settings: HTTPCompression
    let accepted: AcceptedCodings

    /// The reply to send. Replies whose coding depends on the client say so in Vary, coded or not.
    ///
    /// - Parameter isOnLoop: whether the caller runs on an event loop, so that other connections wait.
    func whole(_ response: HTTPResponse, isOnLoop: @autoclosure () -> Bool) -> HTTPResponse {
        let size = response.body.count
        let isForced = accepted.forbidsIdentity
        guard settings.isOffered, size > 0, isForced || size >= settings.minimumBytes,
            isForced || size <= ReplyCompression.loopBytes || !isOnLoop(), size <= ReplyCompression.maximumBytes,
            response.status != 204, response.status != 304, ReplyCompression.isCompressible(response.headers)
        else { return response }
        var coded = response
        ReplyCompression.addVary(to: &coded.headers)
        guard isChosen, let encoder = GzipEncoder(level: settings.level, .whole) else { return coded }
        var content: [UInt8] = []
        encoder.finish(response.body, into: &content)
        guard isForced || content.count < size else { return coded }
        coded.body = content
        coded.headers.append(("Content-Encoding", "gzip"))
        return coded
    }

    /// Adds the fields about coding to a streamed reply.
    ///
    /// - Returns: the encoder for its content; nil if it is sent uncompressed.
    func stream(_ headers: inout HTTPFields) -> GzipEncoder? {
        guard settings.isOffered, ReplyCompression.isCompressible(headers) else { return nil }
        ReplyCompression.addVary(to: &headers)
        guard isChosen, let encoder = GzipEncoder(level: settings.level, .stream) else { return nil }
        headers.append(("Content-Encoding", "gzip"))
        return encoder
    }

    private var isChosen: Bool { accepted.choose(offersGzip: settings.isOffered) == .gzip }

    /// Whether the content is text and not coded already.
    private static func isCompressible(_ headers: HTTPFields) -> Bool {
        var isText = false
        for (name, value) in headers {
            switch name.utf8.count {
            case 12 where name.lowercased() == "content-type":
                isText =
                    value.hasPrefix("text/") || value.hasPrefix("application/json") || value.contains("+json")
                    || value.hasPrefix("application/x-ndjson") || value.hasPrefix("application/openmetrics-text")
            case 16 where name.lowercased() == "content-encoding":
                return false
            default:
                break
            }
        }
        return isText
    }

    /// Extends an existing Vary field: not every client reads a second one.
    private static func addVary(to headers: inout HTTPFields) {
        if let index = headers.firstIndex(where: { $0.name.lowercased() == "vary" }) {
            headers[index].value += ", Accept-Encoding"
        } else {
            headers.append(("Vary", "Accept-Encoding"))
        }
    }
}
