// Starts the real binary as a user would: runs commands to their end, and keeps servers running while a test calls
// them.

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
        // `swift test` runs a binary in the products' folder.
        let program = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
        var directory = URL(fileURLWithPath: program).deletingLastPathComponent()
        while directory.path != "/" {
            let candidate = directory.appendingPathComponent("genrec").path
            if FileManager.default.isExecutableFile(atPath: candidate), !candidate.hasSuffix("/Sources/genrec") {
                return candidate
            }
            directory.deleteLastPathComponent()
        }
        // With the swiftpm helper as host, an argument is the test bundle's path instead.
        for argument in CommandLine.arguments where argument.hasSuffix(".xctest") {
            return URL(fileURLWithPath: argument).deletingLastPathComponent().appendingPathComponent("genrec").path
        }
        return "genrec"
    }()

    /// A sanitizer replaces malloc, which makes memory measurements meaningless.
    static let isSanitized = ["__asan_init", "__tsan_init"].contains { (name: String) in dlsym(nil, name) != nil }

    /// The top of the checkout.
    static let root = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    static func fixture(_ name: String) -> String { root.appendingPathComponent("Tests/Fixtures/\(name)").path }

    static let demoBundle = root.appendingPathComponent("Config/demo").path
    static let demoInteractions = demoBundle + "/interactions.tsv"

    /// Starts a process that inherits the tests' environment, without the NPU that other tests of this process emulate.
    static func start(
        program: String = path,
        _ arguments: [String],
        environment: [String: String] = [:],
        input: FileHandle? = nil,
        output: ChildProcess.Output = .discarded,
        errors: ChildProcess.Output = .discarded
    ) throws -> ChildProcess {
        let inherited = ProcessInfo.processInfo.environment.filter { !$0.key.hasPrefix("ASCEND_") }
        return try ChildProcess(
            program,
            arguments,
            environment: inherited.merging(environment) { $1 },
            input: input,
            output: output,
            errors: errors
        )
    }

    /// Runs a command to its end.
    static func run(
        program: String = path,
        _ arguments: [String],
        environment: [String: String] = [:]
    ) throws -> Output {
        let output = Pipe()
        let errors = Pipe()
        let process = try start(
            program: program,
            arguments,
            environment: environment,
            output: .pipe(output),
            errors: .pipe(errors)
        )
        let collector = StreamCollector(errors.fileHandleForReading)
        let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        return Output(
            status: process.waitUntilExit().status,
            standardOutput: text,
            standardError: collector.waitForEnd()
        )
    }

    /// A library of `Interposers`, to be preloaded with LD_PRELOAD; built with the compiler that Swift ships.
    static func interposer(_ name: String, in folder: URL) throws -> String {
        let library = folder.appendingPathComponent("\(name).so").path
        let source = root.appendingPathComponent("Tests/ProcessTests/Interposers/\(name).c").path
        let arguments = ["clang", "-shared", "-fPIC", "-O2", "-o", library, source, "-ldl"]
        let compiled = try run(program: "/usr/bin/env", arguments)
        guard compiled.status == 0 else { throw Failure(description: compiled.standardError) }
        return library
    }

    /// A temporary folder for one test, removed when `body` returns.
    static func withTemporaryFolder<Result>(_ body: (URL) throws -> Result) throws -> Result {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("genrec-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        return try body(folder)
    }
}

/// Reads a stream to its end on its own thread, so that the writer never waits for room in the pipe.
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

/// A server that runs as long as a test.
final class RunningServer {
    let port: UInt16
    /// The port of `admin.listen`; nil: there is no such listener, or it is a UNIX socket.
    let adminPort: UInt16?
    let readyLine: String
    private let process: ChildProcess
    /// nil: the server writes to the test's standard error.
    private let errors: StreamCollector?

    /// Starts `genrec serve` on a free port and waits for its ready line.
    ///
    /// - Parameter standardError: the log's destination; nil: a collector, whose text `waitUntilExit` returns.
    init(_ arguments: [String] = [], environment: [String: String] = [:], standardError: FileHandle? = nil) throws {
        let output = Pipe()
        let errorPipe = Pipe()
        process = try Genrec.start(
            ["serve", "--listen", "127.0.0.1:0"] + arguments,
            environment: environment,
            output: .pipe(output),
            errors: standardError.map { .handle($0) } ?? .pipe(errorPipe)
        )
        errors = standardError == nil ? StreamCollector(errorPipe.fileHandleForReading) : nil
        let line = Self.firstLine(of: output.fileHandleForReading)
        readyLine = line
        guard let match = line.firstMatch(of: #/https?://127\.0\.0\.1:(\d+)/#), let port = UInt16(match.1) else {
            process.signal(SIGTERM)
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

    func signal(_ number: Int32) { process.signal(number) }

    var isRunning: Bool { process.isRunning }
    var processIdentifier: Int32 { process.processIdentifier }

    /// Waits until the process ends by itself; returns its exit status and its whole log.
    func waitUntilExit() -> (status: Int32, log: String) {
        (process.waitUntilExit().status, errors?.waitForEnd() ?? "")
    }

    /// Shuts the server down in order.
    @discardableResult
    func stop() -> (status: Int32, log: String) {
        signal(SIGTERM)
        return waitUntilExit()
    }
}
