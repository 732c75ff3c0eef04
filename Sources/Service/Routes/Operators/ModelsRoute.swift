// `GET /models`: what is loaded, and on what. It does not wait for the engine.

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
            summary: "What is loaded.",
            parameters: [
                .query(
                    "length",
                    """
                    Events of the history for which operations are counted; more than the window holds count as the window.
                    """,
                    [
                        "type": "integer", "minimum": 1,
                        "maximum": .integer(RequestHandler.maximumCountedEvents),
                    ]
                )
            ],
            replies: [.json("The models.", "Models")],
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
    /// The longest history that `?length=N` can name: the most that `limits.max_history` can be.
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
        writer.key("models")
        writer.beginArray()
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
            writer.key("name")
            writer.string(member.name)
            writer.key("version")
            writer.string(member.version)
            writer.key("state")
            writer.string(member.failure == nil ? "loading" : "failed")
            if let failure = member.failure {
                writer.key("reason")
                writer.string(failure)
            }
            writer.endObject()
            return
        }
        model.write(to: &writer, length: length, self)
    }
}

extension ServedModel {
    /// - Parameter standing: nil: nothing is said of the model's place among others.
    func write(to writer: inout JSONWriter, length: Int? = nil, _ standing: Fleet.Standing? = nil) {
        let architecture = bundle.architecture
        let configuration = architecture.configuration
        let length = min(length ?? .max, configuration.maxSequenceLength)
        let operations = configuration.operations(length: length)
        writer.beginObject()
        writer.key("name")
        writer.string(name.name)
        writer.key("version")
        writer.string(name.version)
        writer.key("architecture")
        writer.string(architecture.name.rawValue)
        writer.key("parameters")
        writer.integer(configuration.parameterCount)
        writer.key("catalogue_size")
        writer.integer(bundle.catalogue.count)
        writer.key("window")
        writer.integer(configuration.maxSequenceLength)
        writer.key("configuration")
        writer.value { $0.append(contentsOf: configuration.json.compact) }
        writer.key("operations_per_request")
        writer.beginObject()
        writer.key("length")
        writer.integer(length)
        writer.key("linear")
        writer.integer(operations.linear)
        writer.key("attention")
        writer.integer(operations.attention)
        writer.key("scoring")
        writer.integer(operations.scoring)
        writer.key("total")
        writer.integer(operations.total)
        writer.endObject()
        writer.key("cache_bytes_per_event")
        writer.integer(configuration.cacheBytesPerEvent(.float32))
        if let paths = model.paths { Self.write(paths, to: &writer) }
        let standings = engines.engines.map { EngineStanding($0, model.id) }
        // The first that serves speaks for all.
        let first = standings.first { $0.device != nil } ?? standings.first
        first?.writeMembers(to: &writer)
        writer.key("devices")
        writer.beginArray()
        for (name, standing) in zip(devices, standings) {
            writer.beginObject()
            writer.key("name")
            writer.string(name)
            standing.writeMembers(to: &writer)
            writer.key("state")
            writer.string(standing.state)
            if let reason = standing.degradation {
                writer.key("reason")
                writer.string(reason)
            }
            writer.endObject()
        }
        writer.endArray()
        writer.key("state")
        let serves = standings.contains { $0.device != nil }
        let isWhole = standings.allSatisfy { $0.state == "ready" }
        let state = serves && !isWhole ? "degraded" : first?.state ?? ""
        writer.string(standing?.isRetiring ?? false ? "retiring" : state)
        if let standing {
            writer.key("share")
            writer.value { $0.append(contentsOf: RequestHandler.number(standing.share).compact) }
            writer.key("shadow")
            writer.value { $0.append(contentsOf: RequestHandler.number(standing.shadow).compact) }
            writer.key("catalogue")
            writer.beginObject()
            writer.key("items")
            writer.integer(model.catalogue.count)
            writer.key("unavailable")
            writer.integer(model.catalogue.unavailableCount)
            writer.key("changed")
            writer.integer(model.catalogue.changedCount)
            writer.endObject()
        }
        writer.endObject()
    }
}

extension ServedModel {
    private static func write(_ paths: PathCatalogue, to writer: inout JSONWriter) {
        let (ids, trie) = (paths.ids, paths.trie)
        func write(_ key: StaticString, _ value: Int) {
            writer.key(key)
            writer.integer(value)
        }
        writer.key("semantic_ids")
        writer.beginObject()
        write("levels", ids.levels)
        write("paths", trie.pathCount)
        write("items", trie.itemCount)
        write("largest_path", paths.largestPath)
        writer.key("normalization")
        writer.string(ids.normalization.rawValue)
        writer.key("score_tail")
        writer.bool(ids.scoreTail)
        write("default_beams", ids.defaultBeams)
        write("max_items", ids.maxItems)
        writer.key("template_tokens")
        writer.beginObject()
        write("before", ids.template.before.count)
        write("between", ids.template.between.count)
        write("open", ids.template.open.count)
        write("close", ids.template.close.count)
        write("after", ids.template.after.count)
        write("tail", ids.template.tail.count)
        writer.endObject()
        write("trie_bytes", trie.byteCount)
        writer.key("trie_build_ms")
        writer.thousandths(Int(paths.buildNanoseconds / 1_000))
        writer.endObject()
    }
}

/// The device and state of one engine.
private struct EngineStanding {
    /// nil: nothing serves.
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
        writer.key("device")
        writer.string(device.name)
        writer.key("instruction_set")
        writer.string(device.architecture)
        writer.key("dtype")
        writer.string(device.dtype.rawValue)
        writer.key("threads")
        writer.integer(device.threads)
        if device.catalogueCopy != .none {
            writer.key("catalogue_copy")
            writer.string(device.catalogueCopy.rawValue)
        }
        if device.catalogueCopyBytes > 0 {
            writer.key("catalogue_copy_bytes")
            writer.integer(device.catalogueCopyBytes)
        }
        guard !device.kernelRates.isEmpty else { return }
        writer.key("tuning")
        writer.beginObject()
        writer.key("kernels")
        writer.string(device.architecture)
        writer.key("gflops_per_thread")
        device.kernelRates.json.write(to: &writer)
        writer.endObject()
    }

    /// Whether rows of users' histories are reused, and the size of their pool.
    private func write(_ cache: PrefixCacheDescription, to writer: inout JSONWriter) {
        writer.key("prefix_cache")
        writer.beginObject()
        writer.key("reuse")
        switch cache {
        case .none(let reason):
            writer.string("none")
            writer.key("reason")
            writer.string(reason)
        case .exact(let pool) where !pool.keepsRows:
            writer.string("none")
            writer.key("reason")
            writer.string("cache.bytes is 0")
        case .exact(let pool):
            writer.string("exact")
            writer.key("bytes")
            writer.integer(pool.byteCount)
            writer.key("page_rows")
            writer.integer(pool.pageRows)
            writer.key("bytes_per_event")
            writer.integer(pool.bytesPerEvent)
        }
        writer.endObject()
    }
}
