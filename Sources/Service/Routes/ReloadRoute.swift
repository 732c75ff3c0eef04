// `POST /admin/reload`: loads the bundle again and serves it, or says why not and keeps the old one.

internal import HTTP
internal import JSON

extension RequestHandler {
    /// The reply comes when the attempt has ended. A client that disconnects does not end it.
    func reload(_ head: HTTPRequestHead, _ exchange: HTTPExchange) {
        let requestID = requestIDs.id(for: head)
        guard !isDraining else {
            exchange.respond(problem(503, "the server is shutting down", .reload, requestID))
            return
        }
        reloader.reload { result in exchange.respond(self.reloadReply(result, requestID)) }
    }

    private func reloadReply(_ result: Result<ServedModel, ReloadError>, _ requestID: String) -> HTTPResponse {
        switch result {
        case .success(let model):
            var writer = JSONWriter()
            writer.beginObject()
            writer.key("model")
            model.write(to: &writer)
            writer.endObject()
            return json(200, writer.bytes, .reload, requestID)
        case .failure(let error):
            return problem(error.status, error.message, .reload, requestID)
        }
    }
}

extension ReloadError {
    fileprivate var status: Int {
        switch code {
        case .busy: 409
        case .unusableBundle: 422
        case .unavailable: 503
        }
    }
}
