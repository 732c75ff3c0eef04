// Routes for operators of several models: one more, one less, and who gets which version.

internal import HTTP
internal import JSON
internal import Logging

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
            let directory = try operatorFields(request) { (fields) throws(JSONError) in try fields.string("bundle") }
            fleetLoader.add(directory) { result in
                exchange.respond(self.modelReply(result, 201, .addModel, requestID))
            }
        } catch {
            exchange.respond(problem(error.status, error.detail, .addModel, requestID))
        }
    }

    /// `DELETE /admin/models/{name}/{version}`: takes a model without a share away.
    func removeModel(_ head: HTTPRequestHead) -> HTTPResponse {
        let requestID = requestIDs.id(for: head)
        do throws(CallError) {
            let names = Route.model.names(in: head.path) ?? []
            guard names.count == 2 else { throw CallError(.unusable, "the path names no version of a model") }
            let name = try PathName.decode(names[0], as: "name")
            let version = try PathName.decode(names[1], as: "version")
            let gone = try? fleet.model(name, version, user: "")
            do throws(FleetError) {
                try fleet.remove(name, version)
            } catch {
                return problem(error.status, error.message, .model, requestID)
            }
            if let gone { metrics.model.removed(gone) }
            logger.notice("a model was taken away", metadata: ["model.name": "\(name)", "model.version": "\(version)"])
            return modelsReply(head, .model)
        } catch {
            return problem(error.status, error.detail, .model, requestID)
        }
    }

    /// `PUT /admin/routing/{name}`: replaces the split of a model's requests, and its shadow.
    func changeRouting(_ request: HTTPRequest) -> HTTPResponse {
        let requestID = requestIDs.id(for: request.head)
        do throws(CallError) {
            let name = try PathName.decode(Route.routing.names(in: request.head.path)?.first ?? "", as: "name")
            let routing = try operatorFields(request) { (fields) throws(JSONError) in
                var routing = Fleet.Routing(split: TrafficSplit(try Self.shares("split", &fields)))
                let sum = routing.split.shares.reduce(0) { $0 + $1.percent }
                guard abs(sum - 100) < 1e-6 else {
                    throw JSONError(.unusable, at: 0, "split sums to \(sum), not to 100")
                }
                if fields.contains("shadow") { routing.shadow = try Self.shares("shadow", &fields) }
                return routing
            }
            return routingReply(name, .routing, requestID) { (fleet) throws(FleetError) in
                try fleet.setRouting(name, routing)
            }
        } catch {
            return problem(error.status, error.detail, .routing, requestID)
        }
    }

    /// `POST /admin/routing/{name}/rollback`: the split before the last change.
    func rollBack(_ head: HTTPRequestHead) -> HTTPResponse {
        let requestID = requestIDs.id(for: head)
        do throws(CallError) {
            let name = try PathName.decode(Route.rollback.names(in: head.path)?.first ?? "", as: "name")
            return routingReply(name, .rollback, requestID) { (fleet) throws(FleetError) in try fleet.rollBack(name) }
        } catch {
            return problem(error.status, error.detail, .rollback, requestID)
        }
    }

    private func routingReply(
        _ name: String,
        _ route: Route,
        _ requestID: String,
        _ change: (Fleet) throws(FleetError) -> Void
    ) -> HTTPResponse {
        do throws(FleetError) {
            try change(fleet)
            let routing = try fleet.routing(of: name)
            logger.notice("the routing was changed", metadata: ["model.name": "\(name)"])
            let body: JSONValue = [
                "name": .string(name), "split": Self.json(routing.split.shares), "shadow": Self.json(routing.shadow),
            ]
            return json(200, body.compact, route, requestID)
        } catch {
            return problem(error.status, error.message, route, requestID)
        }
    }

    /// A share as people write it.
    static func number(_ percent: Double) -> JSONValue {
        Int(exactly: percent).map { .integer($0) } ?? .real(percent)
    }

    private static func json(_ shares: [TrafficSplit.Share]) -> JSONValue {
        .object(pairs: shares.map { (key: $0.version, value: number($0.percent)) })
    }

    /// An object of shares by version, each from 0 to 100.
    private static func shares(
        _ key: String,
        _ fields: inout JSONFields
    ) throws(JSONError) -> [TrafficSplit.Share] {
        var shares: [TrafficSplit.Share] = []
        var object = try fields.object(key)
        for version in object.names {
            let percent: Double
            switch try object.value(version) {
            case .integer(let value): percent = Double(value)
            case .real(let value): percent = value
            default: percent = -1
            }
            guard 0...100 ~= percent else {
                throw JSONError(.unusable, at: 0, "\(key).\(version) must be a number from 0 to 100")
            }
            shares.append(TrafficSplit.Share(version, percent))
        }
        return shares
    }
}
