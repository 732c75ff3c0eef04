// Adds models to an engine and removes them while it serves.

internal import Compute
internal import Dispatch
internal import Locking

extension Engine {
    /// A model's place on the engine.
    struct Place {
        let model: ModelID
        /// The user cache; nil while the model is loading, when no request may name it.
        var prefixCache: PrefixCacheDescription?
        /// The counts of caches that were lost with the device; nil if none was lost.
        var lostCounts: UserCache.Statistics?
        /// The engine's own device as used for the model.
        var device: DeviceDescription?
        /// Set once the model accepts no more requests; called when it is removed.
        var retired: (@Sendable () -> Void)?
    }

    /// Work of the engine's thread other than computing.
    enum Errand {
        /// The next step of loading a model.
        case load(Loading)
        /// The callback that a model's memory has been freed.
        case tell(@Sendable () -> Void)
    }

    /// Loads another model; requests may be submitted to it once it is loaded. If the device accepts weights on any
    /// thread, they are packed on a separate low-priority thread. Warm-up batches alternate with batches of requests.
    ///
    /// - Parameter loaded: called once, with the error if the model cannot be loaded. The other models are not
    ///   affected.
    package func load(
        _ model: LoadedModel,
        _ source: ModelSource,
        loaded: @escaping @Sendable (Result<Void, any Error>) -> Void
    ) {
        let (isTaken, wakes) = state.withLock { state in
            switch state.phase {
            case .draining, .stopped, .failed: return (false, false)
            case .loading, .warming, .ready, .recovering: break
            }
            let hosted = HostedModel(model: model, source: source)
            return (true, state.add(.load(Loading(hosted, lane: state.takeLane(model.id), loaded))))
        }
        if !isTaken { loaded(.failure(EngineError(.unavailable, "not ready: \(phase.reason)"))) }
        if wakes { wakeUp.signal() }
    }

    /// Removes a model: it accepts no more requests, its submitted requests are answered, then its memory is freed.
    ///
    /// - Parameter retired: called on the engine's thread when it is removed; immediately if the engine does not have
    ///   it.
    package func retire(_ model: ModelID, retired: @escaping @Sendable () -> Void = {}) {
        let (isKnown, wakes) = state.withLock { state in
            guard let lane = state.lane(of: model) else { return (false, false) }
            state.places[lane]?.retired = retired
            let wakes = state.isThreadAsleep
            state.isThreadAsleep = false
            return (true, wakes)
        }
        if !isKnown { retired() }
        if wakes { wakeUp.signal() }
    }
}

extension Engine.State {
    /// Queues an errand for the engine's thread.
    ///
    /// - Returns: whether it must be woken.
    mutating func add(_ errand: Engine.Errand) -> Bool {
        errands.append(errand)
        defer { isThreadAsleep = false }
        return isThreadAsleep
    }

    /// The next errand, if it is an errand's turn: errands alternate with batches while both wait.
    mutating func takeErrand() -> Engine.Errand? {
        guard !errands.isEmpty, !hadErrand || scheduler.jobs.isEmpty else {
            hadErrand = false
            return nil
        }
        hadErrand = true
        return errands.removeFirst()
    }

    /// The lane of a model that requests may name, or that is being loaded.
    func lane(of model: ModelID) -> Int? {
        places.firstIndex { $0.map { $0.model == model && $0.retired == nil } ?? false }
    }

    /// A lane for a model.
    mutating func takeLane(_ model: ModelID) -> Int {
        let place = Engine.Place(model: model)
        if let free = places.firstIndex(where: { $0 == nil }) {
            places[free] = place
            return free
        }
        places.append(place)
        return places.count - 1
    }

    /// A lane whose model is being removed and has no jobs left.
    var idleRetiredLane: Int? {
        places.indices.first { lane in
            guard let place = places[lane], place.retired != nil, place.prefixCache != nil else { return false }
            return !table.hasJob(lane: lane)
        }
    }

    /// Releases a lane.
    ///
    /// - Returns: the callback of the model's removal.
    mutating func freeLane(_ lane: Int) -> (@Sendable () -> Void)? {
        defer {
            places[lane] = nil
            table.setCache(nil, lane: lane)
        }
        return places[lane]?.retired
    }
}
