// Loads a model into a serving engine. If the device accepts weights on any thread, a background thread packs the
// weights and runs the golden cases and the warm-up, and the engine's thread only takes the model over. On other
// devices the engine's thread does all of it step by step, between batches of requests.

internal import CLinux
internal import Compute
internal import Dispatch
internal import Locking
internal import Models

/// A model that is being loaded.
///
/// `@unchecked Sendable`: one thread owns it at a time, and each change of owner passes through the engine's lock. The
/// background thread owns it from its start until it queues the next errand; otherwise the engine's thread does.
final class Loading: @unchecked Sendable {
    /// The result on one device.
    struct Part {
        /// The engine's own device, or the fallback.
        let base: any Device
        /// The device as used for the model.
        let device: any Device
        /// Bytes for the keys and values of the model's users.
        let cacheBytes: Int
        /// Set once the model is packed.
        var trial: Result<Trial, any Error>?
    }

    let hosted: HostedModel
    let lane: Int
    let loaded: @Sendable (Result<Void, any Error>) -> Void
    /// The engine's own device first, if it is available, then the fallback.
    var parts: [Part] = []
    /// Whether the measurement for the device's variant has been tried.
    var isPrepared = false
    /// The device that is measuring; nil if none is.
    var base: (any Device)?

    init(_ hosted: HostedModel, lane: Int, _ loaded: @escaping @Sendable (Result<Void, any Error>) -> Void) {
        self.hosted = hosted
        self.lane = lane
        self.loaded = loaded
    }
}

extension Engine {
    /// Advances the loading of a model by one step; it is queued again as an errand until it is loaded.
    ///
    /// - Returns: the device, if the step lost it.
    func goOn(_ loading: Loading, _ executors: inout Executors) -> Loss? {
        let places = [executors.primary, executors.fallback].compactMap(\.self)
        // If the device was lost meanwhile, the weights packed for it are lost too.
        let isStale = !zip(places, loading.parts).allSatisfy { $0.device === $1.base }
        do {
            if !loading.isPrepared, prepare(loading, places) { return nil }
            if isStale || places.count != loading.parts.count {
                loading.parts = try parts(for: loading.hosted.source, &executors)
                begin(loading, places)
                return nil
            }
            for index in loading.parts.indices {
                guard var trial = try loading.parts[index].trial?.get() else { continue }
                let goesOn = try trial.next()
                loading.parts[index].trial = .success(trial)
                if goesOn {
                    comeBack(loading)
                    return nil
                }
            }
        } catch {
            state.withLock { $0.freeLane(loading.lane) }?()
            loading.loaded(.failure(error))
            guard let error = error as? ComputeError, error.code.losesDevice, executors.primary != nil else {
                return nil
            }
            return Loss(error: error, jobs: [])
        }
        settle(loading, &executors)
        loading.loaded(.success(()))
        return nil
    }

    /// Measures in the background what the device would otherwise measure on the engine's thread when it makes the
    /// variant.
    ///
    /// - Returns: whether it does; the model is then queued as an errand afterwards.
    private func prepare(_ loading: Loading, _ places: [Workplace]) -> Bool {
        loading.isPrepared = true
        guard let device = places.first?.device, let dtype = loading.hosted.source.dtype,
            device.takesWeightsOnAnyThread
        else { return false }
        loading.base = device
        return EngineThread.startInBackground(name: "genrec-packing") {
            // If it fails, the variant measures again and reports the error.
            try? loading.base?.prepareVariant(dtype: dtype)
            loading.base = nil
            self.comeBack(loading)
        }
    }

    private func parts(for source: ModelSource, _ executors: inout Executors) throws -> [Loading.Part] {
        var parts: [Loading.Part] = []
        if let base = executors.primary?.device, let device = try executors.primary?.device(for: source) {
            parts.append(Loading.Part(base: base, device: device, cacheBytes: source.cacheBytes))
        }
        if let device = executors.fallback?.device {
            parts.append(Loading.Part(base: device, device: device, cacheBytes: 0))
        }
        return parts
    }

    /// Packs a model. If the devices allow it, this and the trial run in the background.
    private func begin(_ loading: Loading, _ places: [Workplace]) {
        if !loading.parts.isEmpty, loading.parts.allSatisfy({ $0.device.takesWeightsOnAnyThread }) {
            let started = EngineThread.startInBackground(name: "genrec-packing") {
                for index in loading.parts.indices {
                    loading.parts[index].trial = Result { try self.tried(loading.parts[index], loading.hosted) }
                }
                self.comeBack(loading)
            }
            if started { return }
        }
        for (index, place) in zip(loading.parts.indices, places) {
            let part = loading.parts[index]
            loading.parts[index].trial = Result {
                try trial(
                    of: loading.hosted.source.load(part.device),
                    loading.hosted,
                    on: place.stream(of: part.device),
                    cacheBytes: part.cacheBytes
                )
            }
        }
        comeBack(loading)
    }

    /// Loads a model and runs its trial, both on the calling thread.
    private func tried(_ part: Loading.Part, _ hosted: HostedModel) throws -> Trial {
        var trial = try trial(
            of: hosted.source.load(part.device),
            hosted,
            on: part.device.makeBackgroundStream(),
            cacheBytes: part.cacheBytes,
            sharedBy: part.device.description.threads
        )
        while try trial.next() {}
        return trial
    }

    private func comeBack(_ loading: Loading) {
        if !leave(.load(loading)) {
            loading.loaded(.failure(EngineError(.unavailable, "the server is shutting down")))
        }
    }

    /// Queues an errand for the engine's thread. False if the thread has ended.
    private func leave(_ errand: Errand) -> Bool {
        let (isTaken, wakes) = state.withLock { state in
            if case .stopped = state.phase { return (false, false) }
            return (true, state.add(errand))
        }
        if wakes { wakeUp.signal() }
        return isTaken
    }

    /// Hands the model over to the executors and lets requests find it.
    private func settle(_ loading: Loading, _ executors: inout Executors) {
        let lane = loading.lane
        executors.hosted[lane] = loading.hosted
        var parts = loading.parts[...]
        if executors.primary != nil, let part = parts.popFirst() { executors.primary?.take(part, lane: lane) }
        if executors.fallback != nil, let part = parts.popFirst() { executors.fallback?.take(part, lane: lane) }
        loading.parts = []
        state.withLock { state in
            if let times = (executors.primary ?? executors.fallback)?.times[lane] {
                state.scheduler.expect(times, lane: lane)
            }
            let fallback = executors.fallback?.executors[lane]
            if let executor = executors.primary?.executors[lane] ?? (fallback?.searchesPaths == true ? fallback : nil) {
                state.settle(executor, lane: lane)
            } else {
                state.table.setCache(nil, lane: lane)
                state.places[lane]?.prefixCache = .none(reason: "the device has failed")
            }
        }
    }

    /// Frees a model's memory, in the background if the devices allow it.
    func free(_ remains: Remains, _ retired: (@Sendable () -> Void)?) {
        if remains.canBeFreedOnAnyThread {
            let isStarted = EngineThread.startInBackground(name: "genrec-freeing") {
                remains.free()
                // Calls back on the engine's thread, because threads inherit the policy of the thread that creates
                // them.
                if let retired, !self.leave(.tell(retired)) { retired() }
            }
            if isStarted { return }
        }
        remains.free()
        retired?()
    }

    /// Tells the callers of pending errands and of `retire` that the engine has ended.
    func refuseErrands() {
        let (errands, places) = state.withLock { state in
            defer { state.errands = [] }
            return (state.errands, state.places)
        }
        for errand in errands {
            switch errand {
            case .load(let loading):
                loading.loaded(.failure(EngineError(.unavailable, "the server is shutting down")))
            case .tell(let body): body()
            }
        }
        for place in places { place?.retired?() }
    }
}
