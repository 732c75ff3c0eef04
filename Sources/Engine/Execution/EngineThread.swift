// Starts a named thread of its own, because Dispatch's workers are not meant to be occupied for the life of a process.

internal import CLinux
internal import Glibc

/// Threads that this process starts itself.
package enum EngineThread {
    /// The values passed to the new thread.
    private final class Body: Sendable {
        let name: String
        let run: @Sendable () -> Void

        init(name: String, run: @escaping @Sendable () -> Void) {
            self.name = name
            self.run = run
        }
    }

    /// Runs the body on a new detached thread. False if the system refuses one.
    static func start(name: String, _ run: @escaping @Sendable () -> Void) -> Bool {
        var thread = pthread_t()
        let body = Unmanaged.passRetained(Body(name: name, run: run))
        let status = pthread_create(
            &thread,
            nil,
            { argument in
                // Never nil: it is the body passed to pthread_create below.
                guard let argument else { return nil }
                let body = Unmanaged<Body>.fromOpaque(argument).takeRetainedValue()
                CLinux_becomeWorker(body.name)
                body.run()
                return nil
            },
            body.toOpaque()
        )
        guard status == 0 else {
            body.release()
            return false
        }
        pthread_detach(thread)
        return true
    }

    /// Runs the body on a new detached thread that runs only when no other thread wants the processor. False if the
    /// system refuses a thread.
    package static func startInBackground(name: String, _ run: @escaping @Sendable () -> Void) -> Bool {
        start(name: name) {
            CLinux_becomeIdle()
            run()
        }
    }
}
