// `GET /models`: the loaded models and their devices. Does not wait for the engine.

internal import Catalogue
internal import Compute
internal import Devices
internal import Engine
internal import HTTP
internal import JSON
internal import Models

extension RouteDeclaration {
    static let models = RouteDeclaration(
        "/models",
        .callers,
        access: .role(.admin),
        RouteOperation.reading(
            id: "models",
            summary: "The models that are loaded.",
            parameters: [
                .query(
                    "length",
                    """
                    Length in events of the history for which operations are counted; lengths above the window count \
                    as the window.
                    """,
                    [
                        "type": "integer", "minimum": 1,
                        "maximum": .integer(RequestHandler.maximumCountedEvents),
                    ]
                )
            ],
            replies: [.json("The loaded models.", "Models")],
            problems: [422]
        ) { $0.modelsReply($1) }
    ) { _ in
        let models: JSONValue = ["type": "array", "items": ContractSchemas.reference("LoadedModel")]
        return [
            ("Models", ContractSchemas.object([("models", models)], required: nil)),
            ("LoadedModel", ContractSchemas.loadedModel),
        ]
    }
}

extension RequestHandler {
    /// The longest history that `?length=N` can name: the largest possible `limits.max_history`.
    static let maximumCountedEvents = 1_000_000

    /// `GET /models`: the served models and their devices. With `?length=N` the operations are those of a request with
    /// N events, limited to the window; without it, those of a full window.
    func modelsReply(_ head: HTTPRequestHead, _ route: Route = .models) -> HTTPResponse {
        var length: Int?
        if let query = head.query {
            guard query.hasPrefix("length="), let asked = Int(query.dropFirst(7)),
                1...Self.maximumCountedEvents ~= asked
            else {
                let detail = "the query must be length=N with N from 1 to \(Self.maximumCountedEvents)"
                return problem(422, detail, .models, requestIDs.id(for: head))
            }
            length = asked
        }
        var writer = JSONWriter()
        writer.beginObject()
        writer.beginArray("models")
        for standing in fleet.standings { standing.write(to: &writer, length: length) }
        writer.endArray()
        writer.endObject()
        return json(200, writer.bytes, route, requestIDs.id(for: head))
    }
}

extension Fleet.Standing {
    /// The description of a model for operators.
    ///
    /// - Parameter length: events of the history for which operations are counted, limited to the window; nil: a full
    ///   window.
    func write(to writer: inout JSONWriter, length: Int? = nil) {
        guard let model = member.model else {
            writer.beginObject()
            writer.member("name", member.name)
            writer.member("version", member.version)
            writer.member("state", member.failure == nil ? "loading" : "failed")
            writer.member("reason", member.failure)
            writer.endObject()
            return
        }
        model.write(to: &writer, length: length, self)
    }
}

extension ServedModel {
    /// - Parameter standing: nil: the model's share and place among others are omitted.
    func write(to writer: inout JSONWriter, length: Int? = nil, _ standing: Fleet.Standing? = nil) {
        let architecture = bundle.architecture
        let configuration = architecture.configuration
        let length = min(length ?? .max, configuration.maxSequenceLength)
        let operations = configuration.operations(length: length)
        writer.beginObject()
        writer.member("name", name.name)
        writer.member("version", name.version)
        writer.member("architecture", architecture.name.rawValue)
        writer.member("parameters", configuration.parameterCount)
        writer.member("catalogue_size", bundle.catalogue.count)
        writer.member("window", configuration.maxSequenceLength)
        writer.key("configuration")
        configuration.json.write(to: &writer)
        writer.beginObject("operations_per_request")
        writer.member("length", length)
        writer.member("linear", operations.linear)
        writer.member("attention", operations.attention)
        writer.member("scoring", operations.scoring)
        writer.member("total", operations.total)
        writer.endObject()
        writer.member("cache_bytes_per_event", configuration.cacheBytesPerEvent(.float32))
        if let paths = model.paths { Self.write(paths, to: &writer) }
        let standings = engines.engines.map { EngineStanding($0, model.id) }
        // The first serving device represents all.
        let first = standings.first { $0.device != nil } ?? standings.first
        first?.writeMembers(to: &writer)
        writer.beginArray("devices")
        for (name, standing) in zip(devices, standings) {
            writer.beginObject()
            writer.member("name", name)
            standing.writeMembers(to: &writer)
            writer.member("state", standing.state)
            writer.member("reason", standing.degradation)
            writer.endObject()
        }
        writer.endArray()
        let serves = standings.contains { $0.device != nil }
        let isWhole = standings.allSatisfy { $0.state == "ready" }
        let state = serves && !isWhole ? "degraded" : first?.state ?? ""
        writer.member("state", standing?.isRetiring ?? false ? "retiring" : state)
        if let standing {
            writer.key("share")
            RequestHandler.number(standing.share).write(to: &writer)
            writer.key("shadow")
            RequestHandler.number(standing.shadow).write(to: &writer)
            writer.beginObject("catalogue")
            writer.member("items", model.catalogue.count)
            writer.member("unavailable", model.catalogue.unavailableCount)
            writer.member("changed", model.catalogue.changedCount)
            writer.endObject()
        }
        writer.endObject()
    }
}

extension ServedModel {
    private static func write(_ paths: PathCatalogue, to writer: inout JSONWriter) {
        let (ids, trie) = (paths.ids, paths.trie)
        writer.beginObject("semantic_ids")
        writer.member("levels", ids.levels)
        writer.member("paths", trie.pathCount)
        writer.member("items", trie.itemCount)
        writer.member("largest_path", paths.largestPath)
        writer.member("normalization", ids.normalization.rawValue)
        writer.member("score_tail", ids.scoreTail)
        writer.member("default_beams", ids.defaultBeams)
        writer.member("max_items", ids.maxItems)
        writer.beginObject("template_tokens")
        writer.member("before", ids.template.before.count)
        writer.member("between", ids.template.between.count)
        writer.member("open", ids.template.open.count)
        writer.member("close", ids.template.close.count)
        writer.member("after", ids.template.after.count)
        writer.member("tail", ids.template.tail.count)
        writer.endObject()
        writer.member("trie_bytes", trie.byteCount)
        writer.member("trie_build_ms", thousandths: Int(paths.buildNanoseconds / 1_000))
        writer.endObject()
    }
}

/// The device and state of one engine.
private struct EngineStanding {
    /// nil: the engine does not serve.
    var device: DeviceDescription?
    let cache: PrefixCacheDescription?
    let degradation: String?
    let state: String

    init(_ engine: Engine, _ model: ModelID) {
        let phase = engine.phase
        if case .ready(let description) = phase { device = description }
        cache = engine.prefixCache(of: model)
        degradation = engine.degradation
        if degradation == nil, device != nil, let own = engine.device(of: model) { device = own }
        state = degradation != nil && device != nil ? "degraded" : phase.reason
    }

    func writeMembers(to writer: inout JSONWriter) {
        if let cache { write(cache, to: &writer) }
        guard let device else { return }
        writer.member("device", device.name)
        writer.member("instruction_set", device.architecture)
        writer.member("dtype", device.dtype.rawValue)
        writer.member("threads", device.threads)
        if device.catalogueCopy != .none { writer.member("catalogue_copy", device.catalogueCopy.rawValue) }
        if device.catalogueCopyBytes > 0 { writer.member("catalogue_copy_bytes", device.catalogueCopyBytes) }
        guard !device.kernelRates.isEmpty else { return }
        writer.beginObject("tuning")
        writer.member("kernels", device.architecture)
        writer.key("gflops_per_thread")
        device.kernelRates.json.write(to: &writer)
        writer.endObject()
    }

    /// Whether the cached rows of histories are reused, and the size of their pool.
    private func write(_ cache: PrefixCacheDescription, to writer: inout JSONWriter) {
        writer.beginObject("prefix_cache")
        switch cache {
        case .none(let reason):
            writer.member("reuse", "none")
            writer.member("reason", reason)
        case .exact(let pool) where !pool.keepsRows:
            writer.member("reuse", "none")
            writer.member("reason", "cache.bytes is 0")
        case .exact(let pool):
            writer.member("reuse", "exact")
            writer.member("bytes", pool.byteCount)
            writer.member("page_rows", pool.pageRows)
            writer.member("bytes_per_event", pool.bytesPerEvent)
        }
        writer.endObject()
    }
}
