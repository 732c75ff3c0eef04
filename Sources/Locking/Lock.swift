// The project's only lock: a pthread mutex with the value that it guards. The thread sanitizer knows pthread's mutexes.
// The slow path of `Synchronization.Mutex` is in a library without instrumentation, so false reports about correct
// programs drowned the true ones (decision record 0060).

public import Glibc

/// A value that one thread at a time may use.
///
/// The interface is that of `Synchronization.Mutex`. It is not recursive. It is public because the compiler specialises
/// only public declarations for other targets; unspecialised, a lock costs six times as much.
public struct Lock<Value>: ~Copyable, @unchecked Sendable {
    @usableFromInline
    struct Storage {
        @usableFromInline var mutex = pthread_mutex_t()
        @usableFromInline var value: Value

        @inlinable
        init(_ value: consuming sending Value) { self.value = value }
    }

    // On the heap, because a mutex must not move. One block for both, because locks are made for every request.
    @usableFromInline let storage: UnsafeMutablePointer<Storage>

    /// A free lock with its value.
    @inlinable
    public init(_ initial: consuming sending Value) {
        storage = .allocate(capacity: 1)
        storage.initialize(to: Storage(initial))
        // Fails only because of attributes, and there are none.
        pthread_mutex_init(mutex, nil)
    }

    @inlinable
    deinit {
        pthread_mutex_destroy(mutex)
        storage.deinitialize(count: 1)
        storage.deallocate()
    }

    /// Swift lays out a struct's properties in order, so the first one has the struct's address.
    @inlinable var mutex: UnsafeMutablePointer<pthread_mutex_t> {
        UnsafeMutableRawPointer(storage).assumingMemoryBound(to: pthread_mutex_t.self)
    }

    /// Calls `body` with exclusive access to the value.
    @inlinable
    public func withLock<Result, Failure: Error>(
        _ body: (inout sending Value) throws(Failure) -> sending Result
    ) throws(Failure) -> sending Result {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return try body(&storage.pointee.value)
    }
}
