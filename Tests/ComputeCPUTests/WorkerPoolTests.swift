// The worker pool: every task runs once, on whichever thread, in many short operations and after sleep.

import Glibc
import Synchronization
import Testing

@testable import ComputeCPU

/// The output of a test's tasks: one slot each.
private struct Record {
    var runs: UnsafeMutablePointer<Int32>
    var workers: UnsafeMutablePointer<Int32>
}

private func note(_ job: UnsafeRawPointer?, _ index: Int, _ worker: Int) {
    guard let record = job?.assumingMemoryBound(to: Record.self).pointee else { return }
    record.runs[index] += 1
    record.workers[index] = Int32(worker)
}

struct WorkerPoolTests {
    private func check(_ pool: WorkerPool, tasks: Int, repeats: Int32 = 1) {
        let runs = UnsafeMutablePointer<Int32>.allocate(capacity: tasks + 1)
        let workers = UnsafeMutablePointer<Int32>.allocate(capacity: tasks + 1)
        defer {
            runs.deallocate()
            workers.deallocate()
        }
        runs.initialize(repeating: 0, count: tasks + 1)
        workers.initialize(repeating: -1, count: tasks + 1)
        var record = Record(runs: runs, workers: workers)
        for _ in 0..<repeats { pool.run(note, job: &record, count: tasks) }
        #expect((0..<tasks).allSatisfy { runs[$0] == repeats })
        #expect((0..<tasks).allSatisfy { (0..<pool.threads).contains(Int(workers[$0])) })
        #expect(runs[tasks] == 0)
    }

    @Test(arguments: [1, 2, 3, 8])
    func runsEveryTaskOnce_WithAnyNumberOfThreads(_ threads: Int) throws {
        let pool = try WorkerPool(threads: threads)
        for tasks in [0, 1, 2, 3, 7, 64, 1000] { check(pool, tasks: tasks) }
    }

    @Test
    func losesNothing_OverManyShortOperations() throws {
        let pool = try WorkerPool(threads: 3)
        check(pool, tasks: 3, repeats: 20_000)
        check(pool, tasks: 40, repeats: 1000)
    }

    @Test
    func wakes_AfterItsWorkersSlept() throws {
        let pool = try WorkerPool(threads: 2)
        for _ in 0..<20 {
            // Far longer than a worker spins.
            usleep(2000)
            check(pool, tasks: 8)
        }
    }

    @Test
    func waitsForATaskThatAnotherThreadTook() throws {
        let pool = try WorkerPool(threads: 2)
        let done = UnsafeMutablePointer<Int32>.allocate(capacity: 2)
        defer { done.deallocate() }
        for _ in 0..<20 {
            done.initialize(repeating: 0, count: 2)
            pool.run(
                { job, index, _ in
                    usleep(500)
                    job.map { UnsafeMutableRawPointer(mutating: $0).assumingMemoryBound(to: Int32.self)[index] = 1 }
                },
                job: done,
                count: 2
            )
            #expect(done[0] == 1 && done[1] == 1)
        }
    }

    @Test
    func startsAndStops_WithoutWork() throws {
        for threads in 1...6 { _ = try WorkerPool(threads: threads) }
    }
}
