// Loads models while the server runs: beside others (`POST /admin/models`) or in place of one (`POST /admin/reload`).
// Knows nothing of HTTP.

internal import Dispatch
internal import Engine
internal import Files
internal import Locking
internal import Logging
internal import Models

/// A version of a model, written `name:version`.
struct ModelReference: Sendable, Equatable {
    var name: String
    var version: String

    init?(_ text: String) {
        guard let colon = text.lastIndex(of: ":"), colon != text.startIndex, text.index(after: colon) != text.endIndex
        else { return nil }
        name = String(text[..<colon])
        version = String(text[text.index(after: colon)...])
    }
}

/// Loads bundles for a fleet.
final class FleetLoader: Sendable {
    typealias Completion = @Sendable (Result<ServedModel, FleetError>) -> Void

    private struct State {
        var isReloading = false
        var isStopped = false
    }

    /// Where the changes are saved.
    let stateFile: FleetStateFile
    private let fleet: Fleet
    private let loader: ModelLoader
    private let metrics: ServiceMetrics
    private let logger: Logger
    /// Loads one bundle at a time, in order.
    private let queue = DispatchQueue(label: "genrec.reload")
    private let state = Lock(State())

    init(
        fleet: Fleet,
        stateFile: FleetStateFile,
        loader: ModelLoader,
        metrics: ServiceMetrics,
        logger: Logger
    ) {
        self.stateFile = stateFile
        self.fleet = fleet
        self.loader = loader
        self.metrics = metrics
        self.logger = logger
    }

    /// Reloads the directory of a model and replaces the model by what is in it now. Returns at once; `completion` is
    /// called once, on any thread.
    ///
    /// - Parameter name: nil: the default model. Of several versions, the one with the largest share is reloaded.
    func reload(_ name: String?, _ completion: @escaping Completion) {
        do throws(FleetError) {
            try requireReady()
            let model = try fleet.main(of: name)
            try reload(model, completion)
        } catch {
            completion(.failure(error))
        }
    }

    /// Reloads the directory of a model because its files have changed. The log has the outcome.
    func reload(_ model: ServedModel) {
        do throws(FleetError) {
            try requireReady()
            try reload(model) { [self] result in
                if case .success = result { stateFile.save(fleet) }
            }
        } catch {
            logger.error("the model was not replaced", metadata: ["error": "\(error.message)"])
        }
    }

    /// Whether a model can be loaded in the place of another now: the server is ready, and no other reload is under way.
    var canReload: Bool {
        guard case .ready = fleet.engines.phase else { return false }
        return state.withLock { !$0.isReloading && !$0.isStopped }
    }

    private func reload(_ model: ServedModel, _ completion: @escaping Completion) throws(FleetError) {
        let isBusy = state.withLock { state in
            defer { state.isReloading = true }
            return state.isReloading
        }
        guard !isBusy else { throw FleetError(.conflict, "a reload is in progress") }
        inTurn {
            self.replace(model) { result in
                self.state.withLock { $0.isReloading = false }
                self.endReload(result)
                completion(result)
            }
        }
    }

    /// Loads a bundle beside the served ones. It gets no requests yet, unless it is the first of its name.
    ///
    /// - Parameter replaced: a model to remove first, where memory does not suffice for both. The bundle takes its
    ///   place; until the bundle is loaded, requests are refused. If that fails, the removed model is reloaded.
    func add(_ directory: String, replacing replaced: ModelReference? = nil, _ completion: @escaping Completion) {
        do throws(FleetError) {
            try requireReady()
        } catch {
            return completion(.failure(error))
        }
        inTurn {
            if let replaced {
                self.load(ModelOrigin(directory), replacing: replaced, completion)
            } else {
                self.load(ModelOrigin(directory), completion)
            }
        }
    }

    /// Refuses further attempts. Those in progress fail when the engines stop.
    func stop() { state.withLock { $0.isStopped = true } }

    private func requireReady() throws(FleetError) {
        guard !state.withLock({ $0.isStopped }) else { throw FleetError(.unavailable, "the server is shutting down") }
        // Not while the first model loads or the engines stop.
        let phase = fleet.engines.phase
        guard case .ready = phase else { throw FleetError(.unavailable, "not ready: \(phase.reason)") }
    }

    /// Calls `body` after those queued before it.
    private func inTurn(_ body: @escaping @Sendable () -> Void) { queue.async(execute: body) }

    /// Runs work that takes seconds on a thread that runs only when no other wants the processor, and waits for it. The
    /// work must not start threads or use Dispatch queues, which start some: those would inherit the scheduling policy.
    private func inBackground<Made: Sendable>(
        _ work: @escaping @Sendable () throws(FleetError) -> Made
    ) throws(FleetError) -> Made {
        let made = Lock<Result<Made, FleetError>?>(nil)
        let ended = DispatchSemaphore(value: 0)
        let isStarted = EngineThread.startInBackground(name: "genrec-loading") {
            let result: Result<Made, FleetError>
            do throws(FleetError) { result = .success(try work()) } catch { result = .failure(error) }
            made.withLock { $0 = result }
            ended.signal()
        }
        if isStarted { ended.wait() }
        guard let result = made.withLock({ $0 }) else { return try work() }
        return try result.get()
    }

    private func bundle(_ directory: String) throws(FleetError) -> ModelBundle {
        try inBackground { [loader] () throws(FleetError) in
            do throws(FileError) {
                return try loader.loadBundle(directory)
            } catch {
                throw FleetError(.unusable, error.message)
            }
        }
    }

    /// A bundle's model with all catalogue changes.
    private func model(_ bundle: ModelBundle, _ placement: ModelPlacement) throws(FleetError) -> ServedModel {
        try inBackground { [fleet, loader] () throws(FleetError) in
            try fleet.catalogues.current(loader.makeModel(bundle, placement, on: fleet.engines))
        }
    }

    private static func refusal(_ error: any Error) -> FleetError {
        FleetError(error is GoldenCaseError ? .unusable : .unavailable, "the model cannot be loaded: \(error)")
    }

    // MARK: - Replacing a model

    private func replace(_ old: ServedModel, _ completion: @escaping Completion) {
        do throws(FleetError) {
            guard let origin = fleet.origin(of: old) else {
                throw FleetError(.conflict, "the model was removed in the meantime")
            }
            let bundle = try bundle(origin.directory)
            let withItsItems = try inBackground { [fleet, loader] () throws(FleetError) -> ServedModel? in
                guard let next = loader.model(old, withItemsOf: bundle) else { return nil }
                return try fleet.catalogues.current(next)
            }
            if let next = withItsItems { return completion(.success(try exchange(old, next))) }
            try loader.requireMemory(for: bundle, origin.placement)
            let next = try model(bundle, origin.placement)
            loader.load(next, origin.placement) { result in
                do {
                    try result.get()
                } catch {
                    return completion(.failure(Self.refusal(error)))
                }
                do throws(FleetError) {
                    completion(.success(try self.exchange(old, next)))
                } catch {
                    completion(.failure(error))
                }
            }
        } catch {
            completion(.failure(error))
        }
    }

    private func exchange(_ old: ServedModel, _ next: ServedModel) throws(FleetError) -> ServedModel {
        try fleet.replace(old, by: next)
        metrics.served(next, replacing: old)
        return next
    }

    private func endReload(_ result: Result<ServedModel, FleetError>) {
        switch result {
        case .success(let model):
            metrics.model.countReload(succeeded: true)
            logger.notice(
                "the model was replaced",
                metadata: ["model.name": "\(model.name.name)", "model.version": "\(model.name.version)"]
            )
        case .failure(let error):
            metrics.model.countReload(succeeded: false)
            logger.error("the model was not replaced", metadata: ["error": "\(error.message)"])
        }
    }

    // MARK: - Adding a model

    private func load(_ origin: ModelOrigin, _ completion: @escaping Completion) {
        do throws(FleetError) {
            let bundle = try bundle(origin.directory)
            try loader.requireMemory(for: bundle, origin.placement)
            let model = try model(bundle, origin.placement)
            let (name, version) = (model.name.name, model.name.version)
            try fleet.announce(name, version, origin)
            fill(model, origin, completion)
        } catch {
            logger.error("a model was not loaded", metadata: ["error": "\(error.message)"])
            completion(.failure(error))
        }
    }

    /// Loads a model that already is a member.
    private func fill(_ model: ServedModel, _ origin: ModelOrigin, _ completion: @escaping Completion) {
        let (name, version) = (model.name.name, model.name.version)
        loader.load(model, origin.placement) { result in
            switch result {
            case .success:
                // Before requests can name the model and operators can remove it.
                self.metrics.served(model)
                self.fleet.loaded(model)
                self.logger.notice(
                    "a model was loaded",
                    metadata: ["model.name": "\(name)", "model.version": "\(version)"]
                )
                completion(.success(model))
            case .failure(let error):
                self.fleet.failed(name, version, "\(error)")
                self.logger.error("a model was not loaded", metadata: ["error": "\(error)"])
                completion(.failure(Self.refusal(error)))
            }
        }
    }

    // MARK: - Adding a model in place of one that is removed first

    private func load(
        _ origin: ModelOrigin,
        replacing old: ModelReference,
        _ completion: @escaping Completion
    ) {
        do throws(FleetError) {
            // Removes the old model only once the bundle is known to be usable.
            let bundle = try bundle(origin.directory)
            let model = try model(bundle, origin.placement)
            let next = Fleet.Member(name: model.name.name, version: model.name.version, origin: origin, isAdded: true)
            let gone = try fleet.vacate(old.name, old.version, for: next)
            let before = gone.member
            logger.warning(
                "a model was removed to make room; its requests are refused until its replacement is loaded",
                metadata: [
                    "model.name": "\(old.name)", "model.version": "\(old.version)", "next.version": "\(next.version)",
                ]
            )
            metrics.removed(gone.model)
            // Wait until its requests are answered and nobody holds the model, including this function.
            gone.model.residence.whenGone {
                self.inTurn {
                    self.fillIfThereIsRoom(model, origin) { result in
                        guard case .failure(let error) = result else { return completion(result) }
                        self.inTurn { self.restore(before, inPlaceOf: next, after: error, completion) }
                    }
                }
            }
        } catch {
            logger.error("a model was not loaded", metadata: ["error": "\(error.message)"])
            completion(.failure(error))
        }
    }

    private func fillIfThereIsRoom(
        _ model: ServedModel,
        _ origin: ModelOrigin,
        _ completion: @escaping Completion
    ) {
        do throws(FleetError) {
            try loader.requireMemory(for: model.bundle, origin.placement)
            fill(model, origin, completion)
        } catch {
            fleet.failed(model.name.name, model.name.version, error.message)
            completion(.failure(error))
        }
    }

    /// Reloads a removed model after its replacement failed to load.
    private func restore(
        _ before: Fleet.Member,
        inPlaceOf next: Fleet.Member,
        after error: FleetError,
        _ completion: @escaping Completion
    ) {
        @Sendable func end(_ outcome: String) {
            let model = "\(before.name):\(before.version)"
            completion(.failure(FleetError(error.code, "\(error.message); \(model) \(outcome)")))
        }
        do throws(FleetError) {
            let bundle = try bundle(before.origin.directory)
            let model = try model(bundle, before.origin.placement)
            let member = Fleet.Member(
                name: model.name.name,
                version: model.name.version,
                origin: before.origin,
                isAdded: before.isAdded,
                replaced: before.replaced
            )
            try fleet.giveBack(next.name, next.version, to: member)
            fill(model, before.origin) { result in
                switch result {
                case .success: end("was reloaded")
                case .failure(let error): end("could not be reloaded either: \(error.message)")
                }
            }
        } catch {
            end("could not be reloaded either: \(error.message)")
        }
    }
}
