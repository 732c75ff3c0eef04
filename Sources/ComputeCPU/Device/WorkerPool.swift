// The threads that compute: the engine thread and workers that sleep between operations. An operation is divided into
// tasks that threads take from a counter, so that a late or disturbed thread takes fewer. The caller takes tasks too,
// and waits only for tasks that others took, so a worker that has not been scheduled yet costs nothing.

internal import CLinux
internal import Compute
internal import Glibc
internal import Synchronization

/// Runs the tasks of one operation at a time on a fixed number of threads. Belongs to the thread that made it.
final class WorkerPool {
    /// Runs one task of an operation. Parameters: the operation's description, the task's number, the number of the
    /// thread that runs it (0 ..< threads; the caller is 0).
    typealias Task = @convention(c) (UnsafeRawPointer?, Int, Int) -> Void

    /// Threads that compute, the caller included.
    let threads: Int
    private let state: PoolState
    private var handles: [pthread_t] = []

    /// Starts `threads` − 1 workers.
    init(threads: Int) throws(ComputeError) {
        precondition(threads >= 1, "a pool has at least the calling thread")
        self.threads = threads
        state = PoolState()
        for number in 1..<max(threads, 1) {
            var handle = pthread_t()
            let start = WorkerStart(state: state, number: number)
            let context = Unmanaged.passRetained(start)
            let code = pthread_create(
                &handle,
                nil,
                { context in
                    guard let context else { return nil }
                    let start = Unmanaged<WorkerStart>.fromOpaque(context).takeRetainedValue()
                    CLinux_becomeWorker("genrec-kernel-\(start.number)")
                    start.state.work(as: start.number)
                    return nil
                },
                context.toOpaque()
            )
            guard code == 0 else {
                context.release()
                stop()
                throw ComputeError(
                    .outOfMemory,
                    "kernel thread \(number) of \(threads) cannot be started: errno \(code)"
                )
            }
            handles.append(handle)
        }
    }

    deinit { stop() }

    /// Operations so far in which workers could take part.
    var operations: UInt32 { state.operations }

    /// Begins a batch: until it ends, a worker waits longer for the next operation before it sleeps.
    func beginBatch() { state.isInBatch.store(true, ordering: .relaxed) }

    /// Ends a batch: no operation follows soon.
    func endBatch() { state.isInBatch.store(false, ordering: .relaxed) }

    /// Runs tasks 0 ..< count and returns when all have run. Each thread takes them in increasing order.
    func run(_ task: Task, job: UnsafeRawPointer, count: Int) {
        if threads == 1 || count <= 1 {
            for index in 0..<count { task(job, index, 0) }
            return
        }
        state.run(task, job: job, count: count)
    }

    private func stop() {
        state.stop()
        for handle in handles { pthread_join(handle, nil) }
        handles = []
    }
}

private final class WorkerStart {
    let state: PoolState
    let number: Int

    init(state: PoolState, number: Int) {
        self.state = state
        self.number = number
    }
}

/// The state shared by the caller and the workers.
///
/// `@unchecked Sendable`: everything is atomic except the description of the current operation. The caller writes it
/// before it raises `remaining` (release), while no task is left or running. A thread reads it only after it took a
/// task (acquire), and a task cannot end before its reader has finished.
private final class PoolState: @unchecked Sendable {
    /// How long a thread without work spins before it sleeps.
    private static let spinNanoseconds: UInt64 = 5_000
    /// How long it spins within a batch, where another operation follows. Waking a thread takes longer than most gaps
    /// between operations, even the long ones of a batch of one row, which reads everything from memory.
    private static let spinNanosecondsInBatch: UInt64 = 50_000

    private var task: WorkerPool.Task = { _, _, _ in }
    private var job: UnsafeRawPointer?
    private var count = 0

    /// Tasks not yet taken.
    private let remaining = Atomic<Int>(0)
    /// Tasks that have not ended.
    private let unfinished = Atomic<Int>(0)
    private let isStopping = Atomic<Bool>(false)
    /// Only affects how long threads spin.
    let isInBatch = Atomic<Bool>(false)

    /// Incremented with every operation. Workers sleep on this word.
    private let epoch = FutexWord()
    private let sleepers = Atomic<Int>(0)
    /// 1 while the caller sleeps on this word until the last tasks end.
    private let callerSleeps = FutexWord()

    var operations: UInt32 { epoch.load() }

    func run(_ task: WorkerPool.Task, job: UnsafeRawPointer, count: Int) {
        self.task = task
        self.job = job
        self.count = count
        unfinished.store(count, ordering: .relaxed)
        remaining.store(count, ordering: .sequentiallyConsistent)
        epoch.increment()
        // A worker counts itself in `sleepers` before its last look at `remaining`. So either it sees the tasks, or it
        // is counted here.
        let sleeping = sleepers.load(ordering: .sequentiallyConsistent)
        if sleeping > 0 { epoch.wake(min(sleeping, count - 1)) }

        takeTasks(as: 0)
        waitForTheRest()
    }

    func stop() {
        isStopping.store(true, ordering: .sequentiallyConsistent)
        epoch.increment()
        epoch.wake(Int(Int32.max))
    }

    /// The loop of a worker thread.
    func work(as worker: Int) {
        while !isStopping.load(ordering: .acquiring) {
            takeTasks(as: worker)
            if spin(until: { remaining.load(ordering: .relaxed) > 0 || isStopping.load(ordering: .relaxed) }) {
                continue
            }
            let seen = epoch.load()
            sleepers.wrappingAdd(1, ordering: .sequentiallyConsistent)
            if remaining.load(ordering: .sequentiallyConsistent) == 0,
                !isStopping.load(ordering: .sequentiallyConsistent)
            {
                epoch.wait(while: seen)
            }
            sleepers.wrappingSubtract(1, ordering: .sequentiallyConsistent)
        }
    }

    private func takeTasks(as worker: Int) {
        var left = remaining.load(ordering: .relaxed)
        while left > 0 {
            let (taken, now) = remaining.weakCompareExchange(
                expected: left,
                desired: left - 1,
                ordering: .acquiringAndReleasing
            )
            guard taken else {
                left = now
                continue
            }
            task(job, count - left, worker)
            left = remaining.load(ordering: .relaxed)
            if unfinished.wrappingSubtract(1, ordering: .acquiringAndReleasing).newValue == 0,
                callerSleeps.exchange(0) == 1
            {
                callerSleeps.wake(1)
            }
        }
    }

    private func waitForTheRest() {
        if spin(until: { unfinished.load(ordering: .acquiring) == 0 }) { return }
        while true {
            callerSleeps.store(1)
            if unfinished.load(ordering: .sequentiallyConsistent) == 0 { break }
            callerSleeps.wait(while: 1)
            if unfinished.load(ordering: .acquiring) == 0 { break }
        }
        callerSleeps.store(0)
    }

    /// Whether the condition came true within the time to spin.
    private func spin(until condition: () -> Bool) -> Bool {
        if condition() { return true }
        let start = CLinux_monotonicNanoseconds()
        while true {
            for _ in 0..<16 {
                CLinux_pause()
                if condition() { return true }
            }
            let isInBatch = isInBatch.load(ordering: .relaxed)
            let limit = isInBatch ? Self.spinNanosecondsInBatch : Self.spinNanoseconds
            if CLinux_monotonicNanoseconds() - start >= limit { return false }
        }
    }
}

/// A 32-bit word on which threads sleep. Its address identifies its sleepers to the kernel.
private struct FutexWord: ~Copyable, @unchecked Sendable {
    // `@unchecked`: the pointer never changes, and what it points at is atomic.
    private let word: UnsafeMutablePointer<Atomic<UInt32>>

    init() {
        word = .allocate(capacity: 1)
        word.initialize(to: Atomic(0))
    }

    deinit {
        word.deinitialize(count: 1)
        word.deallocate()
    }

    // Sequentially consistent, as the handshakes above require.
    func load() -> UInt32 { word.pointee.load(ordering: .sequentiallyConsistent) }
    func store(_ value: UInt32) { word.pointee.store(value, ordering: .sequentiallyConsistent) }
    func increment() { word.pointee.wrappingAdd(1, ordering: .sequentiallyConsistent) }
    func exchange(_ value: UInt32) -> UInt32 { word.pointee.exchange(value, ordering: .sequentiallyConsistent) }

    func wait(while expected: UInt32) { CLinux_futexWait(word, expected) }
    func wake(_ count: Int) { CLinux_futexWake(word, Int32(clamping: count)) }
}
