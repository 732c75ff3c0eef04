// Shows a watchdog that the engine's thread is alive.

internal import Dispatch
internal import Locking
internal import Synchronization

extension Engine {
    /// Turns of the thread's main loop so far. During a long batch the number stays the same.
    package var turns: UInt64 { turnCount.load(ordering: .relaxed) }

    /// Makes the thread take a turn soon, even without work. Signals even a thread that is awake, because it may be
    /// about to sleep; it then returns from its wait immediately.
    package func poke() {
        state.withLock { $0.isThreadAsleep = false }
        wakeUp.signal()
    }
}
