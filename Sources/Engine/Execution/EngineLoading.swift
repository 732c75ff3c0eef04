// Loading a model into a serving engine: its weights are packed, then its warm-up runs, batch by batch.

internal import CLinux
internal import Compute
internal import Dispatch
internal import Locking
internal import Models

/// A model on its way to the devices.
///
/// `@unchecked Sendable`: the engine's thread has it while it is no errand and no packing runs; the packing thread has it from when
/// it is started until it leaves the next errand. It passes through the engine's lock each time.
final class Loading: @unchecked Sendable {
    /// The result on one device.
    struct Part {
        /// Of the engine, or the fallback.
        let base: any Device
        /// The device as used for the model.
        let device: any Device
        /// Set by the packing.
        var resident: Result<ResidentModel, any Error>?
        /// Set when the warm-up begins.
        var executor: BatchExecutor?
        var check: GoldenCheck?
        var warmUp = WarmUp()
    }

    let hosted: HostedModel
    let lane: Int
    let loaded: @Sendable (Result<Void, any Error>) -> Void
    /// The engine's own device first, if it is there, and the fallback.
    var parts: [Part] = []

    init(_ hosted: HostedModel, lane: Int, _ loaded: @escaping @Sendable (Result<Void, any Error>) -> Void) {
        self.hosted = hosted
        self.lane = lane
        self.loaded = loaded
    }

    func pack() {
        for index in parts.indices {
            let device = parts[index].device
            parts[index].resident = Result { try hosted.source.load(device) }
        }
    }
}

extension Engine {
    /// Advances the loading of a model by one step; it is queued again as an errand until it is loaded.
    ///
    /// - Returns: the device, if the step lost it.
    func goOn(_ loading: Loading, _ executors: inout Executors) -> Loss? {
        let places = [executors.primary, executors.fallback].compactMap(\.self)
        // If the device was lost meanwhile, what was packed for it is lost too.
        let isStale = !zip(places, loading.parts).allSatisfy { $0.device === $1.base }
        do {
            if isStale || places.count != loading.parts.count {
                loading.parts = try parts(for: loading.hosted.source, &executors)
                pack(loading)
                return nil
            }
            for index in places.indices {
                if try goOn(
                    &loading.parts[index],
                    loading,
                    places[index],
                    keepsRows: index == 0 && executors.primary != nil
                ) {
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

    /// - Returns: whether there is more to do.
    private func goOn(
        _ part: inout Loading.Part,
        _ loading: Loading,
        _ place: Workplace,
        keepsRows: Bool
    ) throws -> Bool {
        if part.executor == nil {
            guard let resident = try part.resident?.get() else { return false }
            let bytes = keepsRows ? loading.hosted.source.cacheBytes : 0
            let executor = try BatchExecutor(resident, stream: place.stream(of: part.device), cacheBytes: bytes)
            part.executor = executor
            part.check = GoldenCheck(loading.hosted)
            part.warmUp = warmUp(of: executor, loading.hosted.model)
        }
        guard let executor = part.executor else { return false }
        if try part.check?.next(executor) == true { return true }
        return try part.warmUp.next(executor)
    }

    private func parts(for source: ModelSource, _ executors: inout Executors) throws -> [Loading.Part] {
        var parts: [Loading.Part] = []
        if let base = executors.primary?.device, let device = try executors.primary?.device(for: source) {
            parts.append(Loading.Part(base: base, device: device))
        }
        if let device = executors.fallback?.device { parts.append(Loading.Part(base: device, device: device)) }
        return parts
    }

    private func pack(_ loading: Loading) {
        if !loading.parts.isEmpty, loading.parts.allSatisfy({ $0.device.takesWeightsOnAnyThread }) {
            let started = EngineThread.startInBackground(name: "genrec-packing") {
                loading.pack()
                self.comeBack(loading)
            }
            if started { return }
        }
        loading.pack()
        comeBack(loading)
    }

    private func comeBack(_ loading: Loading) {
        let (isTaken, wakes) = state.withLock { state in
            if case .stopped = state.phase { return (false, false) }
            return (true, state.add(.load(loading)))
        }
        if !isTaken { loading.loaded(.failure(EngineError(.unavailable, "the server is shutting down"))) }
        if wakes { wakeUp.signal() }
    }

    /// Lets requests find the model.
    private func settle(_ loading: Loading, _ executors: inout Executors) {
        let lane = loading.lane
        executors.hosted[lane] = loading.hosted
        var parts = loading.parts[...]
        if executors.primary != nil, let part = parts.popFirst(), let executor = part.executor {
            executors.primary?.add(executor, part.warmUp.times, lane: lane)
        }
        if executors.fallback != nil, let part = parts.popFirst(), let executor = part.executor {
            executors.fallback?.add(executor, part.warmUp.times, lane: lane)
        }
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

    /// Tells those who wait for models that the engine has ended.
    func refuseErrands() {
        let (errands, places) = state.withLock { state in
            defer { state.errands = [] }
            return (state.errands, state.places)
        }
        for case .load(let loading) in errands {
            loading.loaded(.failure(EngineError(.unavailable, "the server is shutting down")))
        }
        for place in places { place?.retired?() }
    }
}
