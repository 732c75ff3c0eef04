// Routes that add and remove models and divide requests among versions.

internal import HTTP
internal import JSON
internal import Logging

extension RouteDeclaration {
    static let addModel = RouteDeclaration(
        "/admin/models",
        .operators,
        RouteOperation(
            [.post],
            .order("AddModel"),
            id: "addModel",
            summary: """
                Loads a bundle in addition to the models already served. It gets no share of the requests yet, unless \
                it is the first of its name. The reply is sent once it is loaded and warm. With `replace`, another \
                model is removed first; until the reply, requests for that model get 503.
                """,
            replies: [.json("The loaded model.", "AddedModel", status: 201)],
            problems: [404, 409, 411, 422]
        ) { $0.addModel($1, $2) }
    ) { _ in
        let members: [(key: String, value: JSONValue)] = [
            ("model", ContractSchemas.reference("LoadedModel")), ("persisted", ContractSchemas.persisted),
        ]
        return [("AddModel", ContractSchemas.addModel), ("AddedModel", ContractSchemas.object(members, required: nil))]
    }

    static let model = RouteDeclaration(
        "/admin/models/{name}/{version}",
        .operators,
        RouteOperation(
            [.delete],
            .refused,
            id: "removeModel",
            summary:
                "Removes a model that has no share. Its requests are answered first, then its memory is freed.",
            parameters: [.modelName, .path("version", "The model's version, percent-encoded.")],
            replies: [.json("The remaining models.", "Models")],
            problems: [404, 409, 422]
        ) { $0.removeModel($1.head, $2) }
    )

    static let routing = RouteDeclaration(
        "/admin/routing/{name}",
        .operators,
        RouteOperation(
            [.put],
            .order("Routing"),
            id: "setRouting",
            summary: """
                Replaces the shares of a name's requests by version, in one step. A user always gets the same version \
                under the same shares.
                """,
            parameters: [.modelName],
            replies: [.json("The new shares.", "RoutingReply")],
            problems: [404, 409, 411, 422]
        ) { $0.changeRouting($1, $2) }
    ) { _ in [("Routing", ContractSchemas.routing), ("RoutingReply", ContractSchemas.routingReply)] }

    static let rollback = RouteDeclaration(
        "/admin/routing/{name}/rollback",
        .operators,
        RouteOperation(
            [.post],
            .refused,
            id: "rollBack",
            summary: "Restores the shares from before the last change.",
            parameters: [.modelName],
            replies: [.json("The new shares.", "RoutingReply")],
            problems: [404, 409, 411, 422]
        ) { $0.rollBack($1.head, $2) }
    )
}

extension ContractParameter {
    fileprivate static let modelName = path("name", "The name of a model, percent-encoded.")
}

/// The body of `POST /admin/models`.
private struct ModelOrder {
    let directory: String
    let replaced: ModelReference?

    init(_ fields: inout JSONFields) throws(JSONError) {
        directory = try fields.string("bundle")
        // The system ends a path at a NUL, and an empty one would mean the root folder.
        guard !directory.isEmpty, !directory.utf8.contains(0) else {
            throw JSONError("bundle must be the path of a directory")
        }
        guard fields.contains("replace") else {
            replaced = nil
            return
        }
        replaced = ModelReference(try fields.string("replace"))
        if replaced == nil { throw JSONError("replace must be the NAME:VERSION of a model") }
    }
}

extension RequestHandler {
    /// `POST /admin/models`: loads another bundle. The reply is sent when loading has succeeded or failed. A client
    /// that disconnects does not stop it.
    func addModel(_ request: HTTPRequest, _ exchange: HTTPExchange) {
        let requestID = requestIDs.id(for: request.head)
        guard !isDraining else {
            exchange.respond(problem(503, "the server is shutting down", .addModel, requestID))
            return
        }
        do throws(CallError) {
            let order = try operatorFields(request) { (fields) throws(JSONError) in try ModelOrder(&fields) }
            fleetLoader.add(order.directory, replacing: order.replaced) { result in
                self.stateFile.save(self.fleet) { isPersisted in
                    exchange.respond(self.modelReply(result, 201, .addModel, requestID, isPersisted: isPersisted))
                }
            }
        } catch {
            exchange.respond(problem(error.status, error.detail, .addModel, requestID))
        }
    }

    /// `DELETE /admin/models/{name}/{version}`: removes a model without a share.
    func removeModel(_ head: HTTPRequestHead, _ exchange: HTTPExchange) {
        let requestID = requestIDs.id(for: head)
        do throws(CallError) {
            let names = Route.model.names(in: head.path) ?? []
            guard names.count == 2 else { throw CallError(.unusable, "the path must name a model and a version") }
            let name = try PathName.decode(names[0], as: "name")
            let version = try PathName.decode(names[1], as: "version")
            do throws(FleetError) {
                if let gone = try fleet.remove(name, version) { metrics.removed(gone) }
            } catch {
                return exchange.respond(problem(error.status, error.message, .model, requestID))
            }
            logger.notice("a model was removed", metadata: ["model.name": "\(name)", "model.version": "\(version)"])
            stateFile.save(fleet) { _ in exchange.respond(self.modelsReply(head, .model)) }
        } catch {
            exchange.respond(problem(error.status, error.detail, .model, requestID))
        }
    }

    /// `PUT /admin/routing/{name}`: replaces the split of a model's requests, and its shadow.
    func changeRouting(_ request: HTTPRequest, _ exchange: HTTPExchange) {
        let requestID = requestIDs.id(for: request.head)
        do throws(CallError) {
            let name = try PathName.decode(Route.routing.names(in: request.head.path)?.first ?? "", as: "name")
            let routing = try operatorFields(request) { (fields) throws(JSONError) in
                try Fleet.Routing(&fields)
            }
            changeRouting(name, .routing, requestID, exchange) { (fleet) throws(FleetError) in
                try fleet.setRouting(name, routing)
            }
        } catch {
            exchange.respond(problem(error.status, error.detail, .routing, requestID))
        }
    }

    /// `POST /admin/routing/{name}/rollback`: restores the split before the last change.
    func rollBack(_ head: HTTPRequestHead, _ exchange: HTTPExchange) {
        let requestID = requestIDs.id(for: head)
        do throws(CallError) {
            let name = try PathName.decode(Route.rollback.names(in: head.path)?.first ?? "", as: "name")
            changeRouting(name, .rollback, requestID, exchange) { (fleet) throws(FleetError) in
                try fleet.rollBack(name)
            }
        } catch {
            exchange.respond(problem(error.status, error.detail, .rollback, requestID))
        }
    }

    private func changeRouting(
        _ name: String,
        _ route: Route,
        _ requestID: String,
        _ exchange: HTTPExchange,
        _ change: (Fleet) throws(FleetError) -> Void
    ) {
        do throws(FleetError) {
            try change(fleet)
            let routing = try fleet.routing(of: name)
            logger.notice("the routing was changed", metadata: ["model.name": "\(name)"])
            stateFile.save(fleet) { isPersisted in
                let body: JSONValue = [
                    "name": .string(name), "split": Fleet.Routing.json(routing.split.shares),
                    "shadow": Fleet.Routing.json(routing.shadow), "persisted": .boolean(isPersisted),
                ]
                exchange.respond(self.json(200, body, route, requestID))
            }
        } catch {
            exchange.respond(problem(error.status, error.message, route, requestID))
        }
    }

    /// A percentage as people write it: without a fraction if it is whole.
    static func number(_ percent: Double) -> JSONValue {
        Int(exactly: percent).map { .integer($0) } ?? .real(percent)
    }
}
