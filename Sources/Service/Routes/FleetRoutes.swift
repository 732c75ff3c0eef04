// Routes for operators of several models: one more, one less, and who gets which version.

internal import HTTP
internal import JSON
internal import Logging

/// The body of `POST /admin/models`.
private struct ModelOrder {
    let directory: String
    let replaced: ModelReference?

    init(_ fields: inout JSONFields) throws(JSONError) {
        directory = try fields.string("bundle")
        guard fields.contains("replace") else {
            replaced = nil
            return
        }
        replaced = ModelReference(try fields.string("replace"))
        if replaced == nil { throw JSONError("replace must be the NAME:VERSION of a model") }
    }
}

extension RequestHandler {
    /// `POST /admin/models`: loads a bundle beside those that are served. The reply comes when it is loaded or cannot be; a client
    /// that disconnects does not end it.
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

    /// `DELETE /admin/models/{name}/{version}`: takes a model without a share away.
    func removeModel(_ head: HTTPRequestHead, _ exchange: HTTPExchange) {
        let requestID = requestIDs.id(for: head)
        do throws(CallError) {
            let names = Route.model.names(in: head.path) ?? []
            guard names.count == 2 else { throw CallError(.unusable, "the path names no version of a model") }
            let name = try PathName.decode(names[0], as: "name")
            let version = try PathName.decode(names[1], as: "version")
            do throws(FleetError) {
                if let gone = try fleet.remove(name, version) { metrics.removed(gone) }
            } catch {
                return exchange.respond(problem(error.status, error.message, .model, requestID))
            }
            logger.notice("a model was taken away", metadata: ["model.name": "\(name)", "model.version": "\(version)"])
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

    /// `POST /admin/routing/{name}/rollback`: the split before the last change.
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
                exchange.respond(self.json(200, body.compact, route, requestID))
            }
        } catch {
            exchange.respond(problem(error.status, error.message, route, requestID))
        }
    }

    /// A share as people write it.
    static func number(_ percent: Double) -> JSONValue {
        Int(exactly: percent).map { .integer($0) } ?? .real(percent)
    }
}
