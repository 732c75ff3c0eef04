// What operators and orchestrators ask: is it alive, is it ready, what is loaded, what are the numbers. None of it waits
// for the engine.

internal import Compute
internal import Engine
internal import HTTP
internal import Models
internal import Telemetry

extension RequestHandler {
    /// `GET /health/live`: the process can answer.
    func liveReply(_ head: HTTPRequestHead) -> HTTPResponse {
        var writer = JSONWriter()
        writer.beginObject()
        writer.key("live")
        writer.bool(true)
        writer.endObject()
        return json(200, writer.bytes, .live, requestIDs.id(for: head))
    }

    /// `GET /health/ready`: requests would be served; else 503 with the reasons why not.
    func readyReply(_ head: HTTPRequestHead) -> HTTPResponse {
        let reasons = unreadiness()
        var writer = JSONWriter()
        writer.beginObject()
        writer.key("ready")
        writer.bool(reasons.isEmpty)
        if !reasons.isEmpty {
            writer.key("reasons")
            writer.beginArray()
            for reason in reasons { writer.string(reason) }
            writer.endArray()
        }
        writer.endObject()
        let requestID = requestIDs.id(for: head)
        var reply = json(reasons.isEmpty ? 200 : 503, writer.bytes, .ready, requestID)
        if !reasons.isEmpty { reply.headers.append(("Retry-After", "1")) }
        return reply
    }

    private func unreadiness() -> [String] {
        var reasons: [String] = []
        let engine = models.current.engine
        let phase = engine.phase
        if isDraining, phase.reason != "draining" { reasons.append("draining") }
        if case .ready = phase {
            if engine.isQueueFull { reasons.append("overloaded") }
        } else {
            reasons.append(phase.reason)
        }
        return reasons
    }

    /// `GET /models`: the bundle that is served, and on what.
    func modelsReply(_ head: HTTPRequestHead) -> HTTPResponse {
        var writer = JSONWriter()
        writer.beginObject()
        writer.key("models")
        writer.beginArray()
        models.current.write(to: &writer)
        writer.endArray()
        writer.endObject()
        return json(200, writer.bytes, .models, requestIDs.id(for: head))
    }

    /// `GET /metrics`, in the format that `Accept` asks for.
    func metricsReply(_ head: HTTPRequestHead) -> HTTPResponse {
        let requestID = requestIDs.id(for: head)
        guard let format = MetricsFormat.negotiate(accept: head.combinedHeader("accept")) else {
            return problem(406, "metrics come as text/plain or application/openmetrics-text", .metrics, requestID)
        }
        return HTTPResponse(
            status: 200,
            headers: [("Content-Type", format.contentType), ("X-Request-Id", requestID), ("Vary", "Accept")],
            body: metrics.registry.exposition(format),
            label: Route.metrics.number
        )
    }

    /// `GET /openapi.json`: the contract, with the type of item ids that the served bundle has.
    func contractReply(_ head: HTTPRequestHead) -> HTTPResponse {
        let idsAreIntegers = models.current.bundle.catalogue.idsAreIntegers
        return json(200, contract.bytes(idsAreIntegers: idsAreIntegers), .openAPI, requestIDs.id(for: head))
    }
}

extension ServedModel {
    /// What operators may know of a model.
    func write(to writer: inout JSONWriter) {
        let architecture = bundle.architecture
        writer.beginObject()
        writer.key("name")
        writer.string(name.name)
        writer.key("version")
        writer.string(name.version)
        writer.key("architecture")
        writer.string(architecture.name.rawValue)
        writer.key("parameters")
        writer.integer(architecture.configuration.parameterCount)
        writer.key("catalogue_size")
        writer.integer(bundle.catalogue.count)
        writer.key("window")
        writer.integer(architecture.configuration.maxSequenceLength)
        let phase = engine.phase
        if case .ready(let device) = phase {
            writer.key("device")
            writer.string(device.name)
            writer.key("instruction_set")
            writer.string(device.architecture)
            writer.key("dtype")
            writer.string(device.dtype.rawValue)
            writer.key("threads")
            writer.integer(device.threads)
        }
        writer.key("state")
        writer.string(phase.reason)
        writer.endObject()
    }
}
