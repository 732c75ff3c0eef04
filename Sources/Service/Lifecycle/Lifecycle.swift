// The stages of a server's life, and who waits for which.

internal import Engine
internal import Synchronization

/// Where a server stands. Every waiter is resumed exactly once, outside the lock.
final class Lifecycle: Sendable {
    private struct State {
        var loaded: EnginePhase?
        var loadWaiter: CheckedContinuation<EnginePhase, Never>?
        var isDraining = false
        var hasHTTPEnded = false
        /// Engines whose threads run, or are about to.
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

    private let state = Mutex(State())

    var isDraining: Bool { state.withLock { $0.isDraining } }

    /// False if it had begun before.
    func beginDraining() -> Bool {
        state.withLock { state in
            defer { state.isDraining = true }
            return !state.isDraining
        }
    }

    /// The engine has come as far as it will: ready, failed or stopped.
    func engineLoaded(_ phase: EnginePhase) {
        let waiter = state.withLock { state in
            if state.loaded == nil { state.loaded = phase }
            defer { state.loadWaiter = nil }
            return state.loadWaiter
        }
        waiter?.resume(returning: phase)
    }

    /// Followed by one `engineEnded`.
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

    /// Keeps signal handlers for the life of the server.
    func keep(_ signals: [SignalSource]) { state.withLock { $0.signals = signals } }
}
