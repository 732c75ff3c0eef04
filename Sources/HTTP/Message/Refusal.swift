// A request that HTTP itself refuses, before any handler has seen it whole. A value: it travels from the parser or a
// time-out to the handler's `errorResponse`, and the connection closes after the reply.

/// Why HTTP refuses a request.
package struct Refusal: Error, Equatable {
    /// The status of the reply: 400, 408, 411, 413, 414, 417, 431, 501, 503 or 505.
    package let status: Int
    /// One sentence: what was wrong, and where.
    package let detail: String

    init(_ status: Int, _ detail: String) {
        self.status = status
        self.detail = detail
    }
}
