// The stages of a server's life, and the tasks that wait for them.

internal import Engine
internal import Locking

/// The stage that a server has reached. Every waiter is resumed exactly once, outside the lock.
final class Lifecycle: Sendable {
    /// The stages of stopping.
    enum Ending: Comparable {
        case none
        /// Readiness is refused and replies say `Connection: close`, but requests are still accepted.
        case announced
        /// Nothing is accepted any more.
        case draining
    }

    private struct State {
        var loaded: EnginePhase?
        var loadWaiter: CheckedContinuation<EnginePhase, Never>?
        var ending = Ending.none
        var hasHTTPEnded = false
        /// Engines whose threads run or are about to run.
        var engines = 0
        var hasStartedEngine = false
        var stopWaiter: CheckedContinuation<Void, Never>?
        var signals: [SignalSource] = []

        var isStopped: Bool { hasHTTPEnded && hasStartedEngine && engines == 0 }

        mutating func takeStopWaiter() -> CheckedContinuation<Void, Never>? {
            guard isStopped else { return nil }
            defer { stopWaiter = nil }
            return stopWaiter
        }
    }

    private let state = Lock(State())

    var ending: Ending { state.withLock { $0.ending } }

    /// Enters a later stage of stopping. False if the server had already reached it.
    func advance(to ending: Ending) -> Bool {
        state.withLock { state in
            guard state.ending < ending else { return false }
            state.ending = ending
            return true
        }
    }

    /// Whether the engines have ever been ready.
    var hasBeenReady: Bool {
        if case .ready? = state.withLock({ $0.loaded }) { true } else { false }
    }

    /// Records the first outcome of loading: the engines are ready, or one has failed or stopped.
    func engineLoaded(_ phase: EnginePhase) {
        let waiter = state.withLock { state in
            if state.loaded == nil { state.loaded = phase }
            defer { state.loadWaiter = nil }
            return state.loadWaiter
        }
        waiter?.resume(returning: phase)
    }

    /// Every call is followed by one of `engineEnded`.
    func engineStarts() {
        state.withLock { state in
            state.hasStartedEngine = true
            state.engines += 1
        }
    }

    func engineEnded() {
        state.withLock { state in
            state.engines -= 1
            return state.takeStopWaiter()
        }?.resume()
    }

    func httpEnded() {
        state.withLock { state in
            state.hasHTTPEnded = true
            return state.takeStopWaiter()
        }?.resume()
    }

    /// Called once.
    func untilLoaded() async -> EnginePhase {
        await withCheckedContinuation { continuation in
            let known = state.withLock { state in
                if state.loaded == nil { state.loadWaiter = continuation }
                return state.loaded
            }
            if let known { continuation.resume(returning: known) }
        }
    }

    /// Called once.
    func untilStopped() async {
        await withCheckedContinuation { continuation in
            let isStopped = state.withLock { state in
                if !state.isStopped { state.stopWaiter = continuation }
                return state.isStopped
            }
            if isStopped { continuation.resume() }
        }
    }

    /// Keeps signal handlers alive as long as the server.
    func keep(_ signals: [SignalSource]) { state.withLock { $0.signals = signals } }
}
