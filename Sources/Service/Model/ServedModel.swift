// The bundle that is served together with the engine that computes it, and the place where requests find it.

internal import Engine
internal import Models
internal import Synchronization

/// A bundle and its engine. A request takes one of these when it comes and keeps it until it is answered, so that ids are
/// read and written by the catalogue that its rows belong to, whatever is loaded meanwhile.
final class ServedModel: Sendable {
    let bundle: ModelBundle
    let engine: Engine
    /// What replies call it.
    let name: RecommendReply.Model

    init(bundle: ModelBundle, engine: Engine) {
        self.bundle = bundle
        self.engine = engine
        name = RecommendReply.Model(name: bundle.configuration.name, version: bundle.configuration.version)
    }

    /// Nobody holds the model any more: it has been replaced, and every request that began with it is answered. No request
    /// can therefore come to an engine that is going away.
    deinit { engine.drain() }
}

/// The model that new requests are served by.
final class ModelSlot: Sendable {
    private let model: Mutex<ServedModel>

    init(_ model: ServedModel) {
        self.model = Mutex(model)
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
