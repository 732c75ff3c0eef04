// The bundle that is served together with the engines that compute it, and the place where requests find it.

internal import Engine
internal import Locking
internal import Models

/// A bundle and its engines. A request takes one of these when it comes and keeps it until it is answered, so that ids are
/// read and written by the catalogue that its rows belong to, whatever is loaded meanwhile.
final class ServedModel: Sendable {
    let bundle: ModelBundle
    /// One for each device.
    let engines: EngineGroup
    /// Names of the devices, in the order of the engines.
    let devices: [String]
    /// What replies call it.
    let name: RecommendReply.Model

    init(bundle: ModelBundle, engines: EngineGroup, devices: [String]) {
        self.bundle = bundle
        self.engines = engines
        self.devices = devices
        name = RecommendReply.Model(name: bundle.configuration.name, version: bundle.configuration.version)
    }

    /// Nobody holds the model any more: it has been replaced, and every request that began with it is answered. No request
    /// can therefore come to an engine that is going away.
    deinit { engines.drain() }

    /// Why no request would be served; empty: requests are.
    var unreadiness: [String] {
        if case .ready = engines.phase { return [] }
        var reasons: [String] = []
        for phase in engines.engines.map(\.phase) {
            // One that is ready waits for the others to be loaded.
            if case .ready = phase { continue }
            if !reasons.contains(phase.reason) { reasons.append(phase.reason) }
        }
        return reasons
    }
}

/// The model that new requests are served by.
final class ModelSlot: Sendable {
    private let model: Lock<ServedModel>

    init(_ model: ServedModel) {
        self.model = Lock(model)
    }

    var current: ServedModel { model.withLock { $0 } }

    /// Serves another model from now on.
    ///
    /// - Returns: the one before, so that letting it go is up to the caller and does not happen under the lock.
    func replace(by next: ServedModel) -> ServedModel {
        model.withLock { model in
            defer { model = next }
            return model
        }
    }
}
