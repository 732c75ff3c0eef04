// A process started by a test. Foundation's Process learns of the end through a descriptor, which another process that
// another thread starts at the same moment may inherit. This one inherits exactly three descriptors, and asks the
// kernel.

import Foundation
import Locking

/// A program that runs until it ends, is told to end, or exceeds a limit longer than any test.
final class ChildProcess: Sendable {
    /// How it ended.
    enum End: Equatable {
        case exited(Int32)
        case killed(signal: Int32)

        init(_ status: Int32) {
            let signal = status & 0x7F
            self = signal == 0 ? .exited((status >> 8) & 0xFF) : .killed(signal: signal)
        }

        /// The exit status, or the number of the signal.
        var status: Int32 {
            switch self {
            case .exited(let status): status
            case .killed(let signal): signal
            }
        }
    }

    /// The destination of an output.
    enum Output {
        case discarded
        /// The test's output.
        case inherited
        case handle(FileHandle)
        /// A pipe whose writing end only the process holds.
        case pipe(Pipe)
    }

    /// A hanging process must fail its own test, not block all tests.
    private static let limitSeconds = 600.0

    /// `posix_spawn_file_actions_addclosefrom_np`, which Swift's Glibc module does not export.
    private static let closeFrom = dlsym(nil, "posix_spawn_file_actions_addclosefrom_np").map {
        unsafeBitCast($0, to: (@convention(c) (UnsafeMutablePointer<posix_spawn_file_actions_t>, Int32) -> Int32).self)
    }

    let processIdentifier: Int32
    private let end = Lock<End?>(nil)
    private let ended = DispatchGroup()

    /// Starts a program.
    ///
    /// - Parameters:
    ///   - environment: the complete environment.
    ///   - input: standard input; nil: empty.
    /// - Throws: `Genrec.Failure` if it cannot be started.
    init(
        _ program: String,
        _ arguments: [String],
        environment: [String: String],
        input: FileHandle? = nil,
        output: Output = .discarded,
        errors: Output = .discarded
    ) throws {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        // The descriptors are first duplicated to numbers above the targets, so that none is overwritten before it is
        // copied.
        var copies: [Int32] = []
        defer { for copy in copies { close(copy) } }
        func take(_ descriptor: Int32, as target: Int32) {
            let copy = fcntl(descriptor, F_DUPFD_CLOEXEC, 3)
            copies.append(copy)
            posix_spawn_file_actions_adddup2(&actions, copy, target)
        }
        if let input {
            take(input.fileDescriptor, as: 0)
        } else {
            posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        }
        for (target, output) in [(Int32(1), output), (2, errors)] {
            switch output {
            case .discarded: posix_spawn_file_actions_addopen(&actions, target, "/dev/null", O_WRONLY, 0)
            case .inherited: break
            case .handle(let handle): take(handle.fileDescriptor, as: target)
            case .pipe(let pipe): take(pipe.fileHandleForWriting.fileDescriptor, as: target)
            }
        }
        guard let closeFrom = Self.closeFrom else { throw Genrec.Failure(description: "a glibc from 2.34 is wanted") }
        _ = closeFrom(&actions, 3)
        let words = ([program] + arguments).map { strdup($0) } + [nil]
        let variables = environment.map { strdup("\($0.key)=\($0.value)") } + [nil]
        defer { for text in words + variables { free(text) } }
        var identifier: pid_t = 0
        let result = posix_spawn(&identifier, program, &actions, nil, words, variables)
        for case .pipe(let pipe) in [output, errors] { try pipe.fileHandleForWriting.close() }
        guard result == 0 else {
            throw Genrec.Failure(description: "cannot start \(program): \(String(cString: strerror(result)))")
        }
        processIdentifier = identifier
        ended.enter()
        Thread.detachNewThread { [self] in
            // The process is reaped under the lock that `signal` takes, so no other process can get its number and be
            // signalled.
            var information = siginfo_t()
            while waitid(P_PID, id_t(processIdentifier), &information, WEXITED | WNOWAIT) != 0, errno == EINTR {}
            end.withLock { end in
                var status: Int32 = 0
                while waitpid(processIdentifier, &status, 0) < 0, errno == EINTR {}
                end = End(status)
            }
            ended.leave()
        }
        DispatchQueue.global().asyncAfter(deadline: .now() + Self.limitSeconds) { [weak self] in self?.signal(SIGKILL) }
    }

    var isRunning: Bool { end.withLock { $0 == nil } }

    /// Sends a signal, unless the process has ended.
    func signal(_ number: Int32) {
        end.withLock { end in
            if end == nil { kill(processIdentifier, number) }
        }
    }

    /// Waits for the end.
    @discardableResult
    func waitUntilExit() -> End {
        ended.wait()
        // The dispatch group is left once the end is known.
        return end.withLock { $0 ?? .killed(signal: 0) }
    }
}
