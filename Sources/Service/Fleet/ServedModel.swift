// A bundle that is served, on engines that it shares with others.

internal import Dispatch
internal import Engine
internal import Models

/// A bundle and where it is computed. A request takes one of these when it comes and keeps it until it is answered, so that ids are
/// read and written by the catalogue that its rows belong to, whatever is loaded meanwhile.
final class ServedModel: Sendable {
    let bundle: ModelBundle
    /// What requests name.
    let model: LoadedModel
    /// One for each device.
    let engines: EngineGroup
    /// Names of the devices, in the order of the engines.
    let devices: [String]
    /// What replies call it.
    let name: RecommendReply.Model

    init(bundle: ModelBundle, model: LoadedModel, engines: EngineGroup, devices: [String]) {
        self.bundle = bundle
        self.model = model
        self.engines = engines
        self.devices = devices
        name = RecommendReply.Model(name: bundle.configuration.name, version: bundle.configuration.version)
    }

    /// Nobody holds the model any more: it is served no longer, and every request that began with it is answered. Whoever let go of
    /// it last may hold an engine's lock.
    deinit { DispatchQueue.global().async { [engines, id = model.id] in engines.retire(id) } }
}
