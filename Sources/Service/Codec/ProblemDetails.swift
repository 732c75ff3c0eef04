// The body of every error, `application/problem+json` (RFC 9457).

internal import JSON

/// A problem with one request.
package struct ProblemDetails: Sendable, Equatable {
    /// The media type of its bytes.
    package static let contentType = "application/problem+json"

    /// The HTTP status.
    package var status: Int
    /// The phrase of the status. The type is always `about:blank`, which means that the status fully describes the kind
    /// of problem (RFC 9457 §4.2.1). The detail tells callers what to do.
    package var title: String
    /// One sentence naming what and where.
    package var detail: String
    package var requestID: String

    /// A problem; `title` is the phrase of `status`.
    package init(status: Int, title: String, detail: String, requestID: String) {
        self.status = status
        self.title = title
        self.detail = detail
        self.requestID = requestID
    }

    /// The JSON object.
    package var bytes: [UInt8] {
        var writer = JSONWriter()
        write(to: &writer)
        return writer.bytes
    }

    func write(to writer: inout JSONWriter) {
        writer.beginObject()
        writer.member("type", "about:blank")
        writer.member("title", title)
        writer.member("status", status)
        writer.member("detail", detail)
        writer.member("request_id", requestID)
        writer.endObject()
    }
}
