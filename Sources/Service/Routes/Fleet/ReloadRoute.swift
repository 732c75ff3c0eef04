// `POST /admin/reload`: reloads a model's bundle and serves it, or reports why not and keeps the old one.

internal import HTTP
internal import JSON

extension RouteDeclaration {
    static let reload = RouteDeclaration(
        "/admin/reload",
        .operators,
        RouteOperation(
            [.post],
            .order("ReloadRequest", isRequired: false),
            id: "reload",
            summary: """
                Loads a model's bundle again beside the old one, checks it and swaps the two; the reply is sent after \
                that. If it fails, the old one continues to serve.
                """,
            replies: [.json("The model now served.", "Reloaded")],
            problems: [404, 409, 411, 422]
        ) { $0.reload($1, $2) }
    ) { _ in
        [
            ("ReloadRequest", ContractSchemas.object([("model", ["type": "string"])], required: [])),
            ("Reloaded", ContractSchemas.object([("model", ContractSchemas.reference("LoadedModel"))], required: nil)),
        ]
    }
}

extension RequestHandler {
    /// Replies when the attempt has ended. A client that disconnects does not stop it.
    func reload(_ request: HTTPRequest, _ exchange: HTTPExchange) {
        let requestID = requestIDs.id(for: request.head)
        guard !isDraining else {
            exchange.respond(problem(503, "the server is shutting down", .reload, requestID))
            return
        }
        var name: String?
        do throws(CallError) {
            if !request.body.isEmpty {
                name = try operatorFields(request) { (fields) throws(JSONError) in
                    try fields.contains("model") ? fields.string("model") : nil
                }
            }
        } catch {
            exchange.respond(problem(error.status, error.detail, .reload, requestID))
            return
        }
        fleetLoader.reload(name) { result in
            self.stateFile.save(self.fleet) { _ in
                exchange.respond(self.modelReply(result, 200, .reload, requestID))
            }
        }
    }

    /// The description of a model, or the error.
    ///
    /// - Parameter isPersisted: whether the change survives a restart; nil: the reply does not say.
    func modelReply(
        _ result: Result<ServedModel, FleetError>,
        _ status: Int,
        _ route: Route,
        _ requestID: String,
        isPersisted: Bool? = nil
    ) -> HTTPResponse {
        switch result {
        case .success(let model):
            var writer = JSONWriter()
            writer.beginObject()
            writer.key("model")
            let standing = fleet.standings.first { $0.member.model?.isSame(as: model) ?? false }
            (standing?.member.model ?? model).write(to: &writer, standing)
            writer.member("persisted", isPersisted)
            writer.endObject()
            return json(status, writer.bytes, route, requestID)
        case .failure(let error):
            return problem(error.status, error.message, route, requestID)
        }
    }

    /// Reads the object in the body of an operator's request.
    func operatorFields<Value>(
        _ request: HTTPRequest,
        _ read: (inout JSONFields) throws(JSONError) -> Value
    ) throws(CallError) -> Value {
        do throws(JSONError) {
            let value = try request.body.withUnsafeBufferPointer { bytes throws(JSONError) in
                try JSONValue(parsing: UnsafeRawBufferPointer(bytes))
            }
            var fields = try JSONFields(value)
            let result = try read(&fields)
            try fields.end()
            return result
        } catch {
            throw CallError(error)
        }
    }
}

extension FleetError {
    /// The HTTP status.
    var status: Int {
        switch code {
        case .unknown: 404
        case .conflict: 409
        case .unusable: 422
        case .unavailable: 503
        case .full: 507
        }
    }
}
