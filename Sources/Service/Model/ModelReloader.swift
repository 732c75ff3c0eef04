// `POST /admin/reload` without the HTTP: loads the bundle anew beside the model that serves, checks it, swaps the two.

internal import Dispatch
internal import Engine
internal import Files
internal import Locking
internal import Logging
internal import Models

/// Why the model was not replaced; the one before still serves.
struct ReloadError: Error, Equatable {
    enum Code: Sendable {
        /// A reload is under way already.
        case busy
        /// The files are not a bundle that can be served.
        case unusableBundle
        /// The device did not take the model, or the server is ending.
        case unavailable
    }

    let code: Code
    /// One sentence.
    let message: String

    static func == (left: ReloadError, right: ReloadError) -> Bool { left.code == right.code }
}

/// Replaces the served model, one attempt at a time.
final class ModelReloader: Sendable {
    typealias Completion = @Sendable (Result<ServedModel, ReloadError>) -> Void

    private struct State {
        var isBusy = false
        /// Counts the attempts; an engine's report counts only for its own.
        var attempt = 0
        /// The model whose engines are loading.
        var candidate: ServedModel?
        var completion: Completion?
        var isStopped = false
    }

    private let slot: ModelSlot
    private let loader: ModelLoader
    private let metrics: ServiceMetrics
    private let logger: Logger
    /// Reads bundles: that takes longer than a loop may.
    private let queue = DispatchQueue(label: "genrec.reload", qos: .utility)
    private let state = Lock(State())

    init(slot: ModelSlot, loader: ModelLoader, metrics: ServiceMetrics, logger: Logger) {
        self.slot = slot
        self.loader = loader
        self.metrics = metrics
        self.logger = logger
    }

    /// Loads the bundle's directory again and serves what is in it now. Returns at once; `completion` is called once, on
    /// some thread.
    func reload(_ completion: @escaping Completion) {
        // The first model is loading, or the last one is ending.
        let phase = slot.current.engines.phase
        let refusal: ReloadError? = state.withLock { state in
            guard !state.isStopped else { return Self.shuttingDown }
            guard case .ready = phase else {
                return ReloadError(code: .unavailable, message: "not ready: \(phase.reason)")
            }
            guard !state.isBusy else { return ReloadError(code: .busy, message: "a reload is under way") }
            state.isBusy = true
            state.attempt += 1
            state.completion = completion
            return nil
        }
        if let refusal {
            completion(.failure(refusal))
            return
        }
        queue.async { self.load() }
    }

    /// Gives up an attempt that is under way, and refuses every further one.
    func stop() {
        let candidate = state.withLock { state in
            state.isStopped = true
            return state.candidate
        }
        candidate?.engines.stop()
    }

    private func load() {
        let attempt = state.withLock { $0.attempt }
        do {
            let bundle = try loader.loadBundle()
            let model = loader.makeModel(bundle, metrics: metrics) { [weak self] phase in
                self?.engineLoaded(phase, attempt)
            }
            let isStopped = state.withLock { state in
                state.candidate = model
                return state.isStopped
            }
            guard !isStopped else { throw Self.shuttingDown }
            try loader.start(model)
        } catch let error as FileError {
            end(attempt) { _ in .failure(ReloadError(code: .unusableBundle, message: error.message)) }
        } catch let error as ReloadError {
            end(attempt) { _ in .failure(error) }
        } catch {
            end(attempt) { _ in .failure(ReloadError(code: .unavailable, message: "\(error)")) }
        }
    }

    /// The candidate's engines are ready, or one has failed, or was stopped while it loaded.
    private func engineLoaded(_ phase: EnginePhase, _ attempt: Int) {
        end(attempt) { candidate in
            guard case .ready = phase, let candidate else {
                candidate?.engines.stop()
                return .failure(ReloadError(code: .unavailable, message: "the model cannot be loaded: \(phase.reason)"))
            }
            let previous = slot.replace(by: candidate)
            metrics.model.served(candidate, replacing: previous)
            // `stop` may have come between, found no candidate any more, and the previous model in the slot.
            if state.withLock({ $0.isStopped }) { candidate.engines.stop() }
            return .success(candidate)
        }
    }

    /// Ends an attempt, if it is under way, with what `conclude` makes of its candidate.
    private func end(_ attempt: Int, _ conclude: (ServedModel?) -> Result<ServedModel, ReloadError>) {
        let (completion, candidate) = state.withLock { state -> (Completion?, ServedModel?) in
            guard state.attempt == attempt else { return (nil, nil) }
            defer {
                state.completion = nil
                state.candidate = nil
            }
            return (state.completion, state.candidate)
        }
        guard let completion else { return }
        let result = conclude(candidate)
        state.withLock { $0.isBusy = false }
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
        completion(result)
    }

    private static let shuttingDown = ReloadError(code: .unavailable, message: "the server is shutting down")
}
