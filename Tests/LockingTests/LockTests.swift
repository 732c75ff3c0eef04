// The lock excludes, and the thread sanitizer understands it: it reports an unguarded program, and not a guarded one.

import Foundation
import Glibc
import Locking
import Testing

@Suite struct LockTests {
    @Test func oneThreadAtATime_HasTheValue() {
        let numbers = Lock([Int]())
        DispatchQueue.concurrentPerform(iterations: 8) { thread in
            for index in 0..<1_000 { numbers.withLock { $0.append(thread * 1_000 + index) } }
        }
        #expect(numbers.withLock { $0.sorted() } == Array(0..<8_000))
    }

    @Test func errorAndResult_ComeOut_AndTheLockIsFree() throws {
        let lock = Lock(1)
        #expect(throws: CancellationError.self) { try lock.withLock { _ in throw CancellationError() } }
        #expect(lock.withLock { $0 + 1 } == 2)
    }

    @Test func value_IsReleasedWithTheLock() {
        final class Guarded: Sendable {}
        weak var guarded: Guarded?
        do {
            let value = Guarded()
            guarded = value
            let lock = Lock(value)
            #expect(lock.withLock { $0 } === value)
        }
        #expect(guarded == nil)
    }

    /// Six lines that the sanitizer used to misjudge, in both forms, as separate programs.
    @Test(arguments: [true, false]) func sanitizer_IsSilentWhereALockGuards_AndSpeaksWhereNoneDoes(
        isGuarded: Bool
    ) throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("lock-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let source = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().appendingPathComponent("Sources/Locking/Lock.swift")
        let append = isGuarded ? "numbers.withLock { $0 += index }" : "numbers.value += index"
        let main = """
            import Foundation
            final class Unguarded: @unchecked Sendable { var value = 0 }
            let numbers = \(isGuarded ? "Lock(0)" : "Unguarded()")
            // All pass the barrier before any changes the value. On a busy machine threads would else run one after
            // another, ordered by the locks with which they are started and ended.
            nonisolated(unsafe) let barrier = UnsafeMutablePointer<pthread_barrier_t>.allocate(capacity: 1)
            pthread_barrier_init(barrier, nil, 4)
            let ended = DispatchSemaphore(value: 0)
            for _ in 0..<4 {
                Thread {
                    pthread_barrier_wait(barrier)
                    for index in 0..<1_000 { \(append) }
                    ended.signal()
                }.start()
            }
            for _ in 0..<4 { ended.wait() }
            """
        try main.write(to: folder.appendingPathComponent("main.swift"), atomically: true, encoding: .utf8)
        let program = folder.appendingPathComponent("program").path
        let compiled = try run(
            "/usr/bin/env",
            ["swiftc", "-sanitize=thread", "-swift-version", "6", "-package-name", "lock", "-o", program, source.path]
                + [folder.appendingPathComponent("main.swift").path]
        )
        try #require(compiled.status == 0, "\(compiled.text)")
        let outcome = try run(program, [])
        #expect(outcome.text.contains("WARNING: ThreadSanitizer: data race") == !isGuarded, "\(outcome.text)")
    }

    private func run(_ path: String, _ arguments: [String]) throws -> (status: Int32, text: String) {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: path)
        process.arguments = arguments
        let output = Pipe()
        process.standardOutput = output
        process.standardError = output
        try process.run()
        let data = try output.fileHandleForReading.readToEnd() ?? Data()
        process.waitUntilExit()
        return (process.terminationStatus, String(decoding: data, as: UTF8.self))
    }
}
