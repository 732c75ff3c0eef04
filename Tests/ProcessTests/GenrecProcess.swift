// Starts the real binary, as a user would: runs commands to their end, and keeps servers running while a test talks to them.

import Dispatch
import Foundation
import Locking

/// The genrec binary that was built beside these tests.
enum Genrec {
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    struct Output: Sendable {
        var status: Int32
        var standardOutput: String
        var standardError: String
    }

    static let path: String = {
        // `swift test` runs a binary that lies beside the products.
        let program = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
        var directory = URL(fileURLWithPath: program).deletingLastPathComponent()
        while directory.path != "/" {
            let candidate = directory.appendingPathComponent("genrec").path
            if FileManager.default.isExecutableFile(atPath: candidate), !candidate.hasSuffix("/Sources/genrec") {
                return candidate
            }
            directory.deleteLastPathComponent()
        }
        // With the swiftpm helper as host, the test bundle's path is among the arguments instead.
        for argument in CommandLine.arguments where argument.hasSuffix(".xctest") {
            return URL(fileURLWithPath: argument).deletingLastPathComponent().appendingPathComponent("genrec").path
        }
        return "genrec"
    }()

    /// A sanitizer has taken malloc's place, and with it all that can be said of memory.
    static let isSanitized = ["__asan_init", "__tsan_init"].contains { (name: String) in dlsym(nil, name) != nil }

    /// The top of the checkout.
    static let root = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    static func fixture(_ name: String) -> String { root.appendingPathComponent("Tests/Fixtures/\(name)").path }

    static let demoBundle = root.appendingPathComponent("Config/demo").path
    static let demoInteractions = demoBundle + "/interactions.tsv"

    /// A process that inherits the tests' environment, without the NPU that other tests of this process emulate.
    static func process(
        program: String = path,
        _ arguments: [String],
        environment: [String: String] = [:]
    ) -> Process {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: program)
        process.arguments = arguments
        process.environment = ProcessInfo.processInfo.environment
            .filter { !$0.key.hasPrefix("ASCEND_") }
            .merging(environment) { $1 }
        process.standardInput = FileHandle.nullDevice
        return process
    }

    /// Runs a command to its end. One that does not end within five minutes is killed, so that a server that should
    /// have failed to start fails its test instead of holding up all of them.
    static func run(
        program: String = path,
        _ arguments: [String],
        environment: [String: String] = [:]
    ) throws -> Output {
        let process = process(program: program, arguments, environment: environment)
        let output = Pipe()
        let errors = Pipe()
        process.standardOutput = output
        process.standardError = errors
        try process.run()
        let identifier = process.processIdentifier
        let killer = DispatchWorkItem { kill(identifier, SIGKILL) }
        DispatchQueue.global().asyncAfter(deadline: .now() + 300, execute: killer)
        defer { killer.cancel() }
        let collector = StreamCollector(errors.fileHandleForReading)
        let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        return Output(
            status: process.terminationStatus,
            standardOutput: text,
            standardError: collector.waitForEnd()
        )
    }

    /// A folder of its own for one test, gone when `body` returns.
    static func withTemporaryFolder<Result>(_ body: (URL) throws -> Result) throws -> Result {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("genrec-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        return try body(folder)
    }
}

/// Reads a stream to its end on a thread of its own, so that the writer never waits for room in the pipe.
final class StreamCollector: Sendable {
    private let text = Lock("")
    private let group = DispatchGroup()

    init(_ handle: FileHandle) {
        let descriptor = dup(handle.fileDescriptor)
        group.enter()
        Thread.detachNewThread { [self] in
            let own = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
            let all = String(decoding: own.readDataToEndOfFile(), as: UTF8.self)
            text.withLock { $0 = all }
            group.leave()
        }
    }

    /// Everything that was written, once the writer has closed.
    func waitForEnd() -> String {
        group.wait()
        return text.withLock { $0 }
    }
}

/// A server that runs for the length of a test.
final class RunningServer {
    let port: UInt16
    /// The port of `admin.listen`; nil: there is no such listener, or it is no TCP port.
    let adminPort: UInt16?
    let readyLine: String
    private let process: Process
    /// nil: standard error is the test's.
    private let errors: StreamCollector?

    /// Starts `genrec serve` on a free port and waits for its ready line.
    ///
    /// - Parameter standardError: where the server logs to; nil: to a collector, which `waitUntilExit` returns.
    init(_ arguments: [String] = [], environment: [String: String] = [:], standardError: FileHandle? = nil) throws {
        process = Genrec.process(["serve", "--listen", "127.0.0.1:0"] + arguments, environment: environment)
        let output = Pipe()
        let errorPipe = Pipe()
        process.standardOutput = output
        process.standardError = standardError ?? errorPipe.fileHandleForWriting
        try process.run()
        try errorPipe.fileHandleForWriting.close()
        errors = standardError == nil ? StreamCollector(errorPipe.fileHandleForReading) : nil
        let line = Self.firstLine(of: output.fileHandleForReading)
        readyLine = line
        guard let match = line.firstMatch(of: #/https?://127\.0\.0\.1:(\d+)/#), let port = UInt16(match.1) else {
            process.terminate()
            throw Genrec.Failure(description: "the server did not become ready: \(line) \(errors?.waitForEnd() ?? "")")
        }
        self.port = port
        adminPort = line.firstMatch(of: #/admin https?://127\.0\.0\.1:(\d+)/#).flatMap { UInt16($0.1) }
    }

    private static func firstLine(of handle: FileHandle) -> String {
        var bytes: [UInt8] = []
        while let byte = try? handle.read(upToCount: 1), let first = byte.first, first != UInt8(ascii: "\n") {
            bytes.append(first)
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    func connect() throws -> TestConnection { try TestConnection(port: port) }

    func signal(_ number: Int32) { kill(process.processIdentifier, number) }

    var isRunning: Bool { process.isRunning }
    var processIdentifier: Int32 { process.processIdentifier }

    /// Waits for the process to end by itself; its exit status and everything it logged.
    func waitUntilExit() -> (status: Int32, log: String) {
        process.waitUntilExit()
        return (process.terminationStatus, errors?.waitForEnd() ?? "")
    }

    /// Ends the server in order.
    @discardableResult
    func stop() -> (status: Int32, log: String) {
        signal(SIGTERM)
        return waitUntilExit()
    }
}
