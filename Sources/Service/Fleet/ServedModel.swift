// A bundle that is served, on engines that it may share with other bundles.

internal import Catalogue
internal import Dispatch
internal import Engine
internal import Locking
internal import Models

/// A bundle, its engines and its catalogue snapshot. A request takes one when it arrives and keeps it until it is
/// answered, so that ids are decoded and encoded by the catalogue of its rows, whatever is loaded or changed meanwhile.
final class ServedModel: Sendable {
    /// The model as the engines know it, with its catalogue snapshot.
    let model: LoadedModel
    /// Shared by all snapshots of the catalogue.
    let residence: Residence

    var bundle: ModelBundle { residence.bundle }
    /// One engine per device.
    var engines: EngineGroup { residence.hold.engines }
    /// Names of the devices, in the order of the engines.
    var devices: [String] { residence.devices }
    /// The name and version in replies.
    var name: RecommendReply.Model { residence.logged.name }

    /// A model that is not on any engine yet.
    convenience init(bundle: ModelBundle, model: LoadedModel, engines: EngineGroup, devices: [String]) {
        self.init(Residence(bundle: bundle, model: model, hold: Hold(engines, model.id), devices: devices), model)
    }

    /// The model with the items of another bundle, on the engines that have its weights.
    ///
    /// - Parameters:
    ///   - bundle: checked with `ModelBundle.mayTakeItems(of:)` of this model's bundle.
    ///   - windowStride: as in `LoadedModel`.
    func with(itemsOf bundle: ModelBundle, windowStride: Int) -> ServedModel {
        let next = model.with(itemsOf: bundle, windowStride: windowStride)
        return ServedModel(
            Residence(bundle: bundle, model: next, hold: residence.hold, devices: residence.devices),
            next
        )
    }

    private init(_ residence: Residence, _ model: LoadedModel) {
        self.residence = residence
        self.model = model
    }

    /// The same model with another snapshot of its catalogue.
    func with(_ catalogue: CatalogueSnapshot) -> ServedModel { ServedModel(residence, model.with(catalogue)) }

    /// Whether both are the same model, regardless of their catalogue snapshots.
    func isSame(as other: ServedModel) -> Bool { residence === other.residence }

    /// A model's place on the engines.
    final class Residence: Sendable {
        let bundle: ModelBundle
        fileprivate let hold: Hold
        let devices: [String]
        /// Its name and version, and how the access log writes them.
        let logged: LoggedModel
        /// Its request metrics; nil until the first request.
        let instruments = Lock<ModelInstruments?>(nil)
        private let model: LoadedModel

        fileprivate init(bundle: ModelBundle, model: LoadedModel, hold: Hold, devices: [String]) {
            self.bundle = bundle
            self.model = model
            self.hold = hold
            self.devices = devices
            logged = LoggedModel(
                RecommendReply.Model(name: bundle.configuration.name, version: bundle.configuration.version)
            )
        }

        /// The model as it was loaded.
        var served: ServedModel { ServedModel(self, model) }

        /// Calls `body` once no engine has the model.
        func whenGone(_ body: @escaping @Sendable () -> Void) { hold.whenGone(body) }
    }

    /// Weights on engines, shared by models that differ only in their items.
    fileprivate final class Hold: Sendable {
        let engines: EngineGroup
        private let id: ModelID
        private let gone = Lock<[@Sendable () -> Void]>([])

        init(_ engines: EngineGroup, _ id: ModelID) {
            self.engines = engines
            self.id = id
        }

        /// Retires the weights: the model is no longer served, and all its requests are answered. Asynchronous, since
        /// the last holder may hold an engine's lock.
        deinit {
            let bodies = gone.withLock { $0 }
            DispatchQueue.global().async { [engines, id] in engines.retire(id) { for body in bodies { body() } } }
        }

        /// Calls `body` once no engine has the weights. The last holder does not wait for it.
        func whenGone(_ body: @escaping @Sendable () -> Void) { gone.withLock { $0.append(body) } }
    }
}
