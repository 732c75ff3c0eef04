// Whether a body can be read and its reply understood, decided from the head alone.

internal import HTTP

extension RequestHandler {
    /// The refusal of a body that cannot be read, or of a request whose reply the client could not read (RFC 9110,
    /// sections 8.3, 8.4 and 12.5.1); nil if there is no reason to refuse.
    func refusalOfRepresentation(
        _ head: HTTPRequestHead,
        _ route: Route,
        _ body: RequestBody.Kind
    ) -> HTTPResponse? {
        let takesLines = body.takesLines
        // The spelling of nearly every client needs no parsing.
        let isJSON =
            head.header("content-type", is: "application/json")
            || head.header("content-type").map { type in
                MediaType(type).isJSON || (takesLines && MediaType(type).isNDJSON)
            } ?? false
        guard isJSON else {
            return problem(
                415,
                "the content type must be application/json" + (takesLines ? " or application/x-ndjson" : ""),
                route,
                requestIDs.id(for: head),
                headers: [("Accept-Post", Self.jsonType + (takesLines ? ", application/x-ndjson" : ""))]
            )
        }
        if head.contentCoding == .unknown {
            return problem(
                415,
                "the content coding must be gzip, applied once, or identity",
                route,
                requestIDs.id(for: head),
                headers: [("Accept-Encoding", "gzip, identity")]
            )
        }
        let form = ReplyForm.choose(accept: head.combinedHeader("accept"), wantsStream: false)
        if !body.isStreamable, form != .whole {
            return problem(406, "replies are application/json", route, requestIDs.id(for: head))
        }
        if form == nil {
            return problem(
                406,
                "replies are application/json, application/x-ndjson or text/event-stream",
                route,
                requestIDs.id(for: head)
            )
        }
        return nil
    }
}
