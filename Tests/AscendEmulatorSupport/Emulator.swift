// The emulator of an Ascend NPU, built from Tests/AscendEmulator: the Swift toolchain's C and C++ compilers build its
// libraries once, beside the package's products.

package import Foundation

/// The emulator's libraries, in the layouts of CANN 8.1 and 9.x.
package enum Emulator {
    package struct Failure: Error, CustomStringConvertible {
        package let description: String
    }

    /// A program's output and status.
    package struct Output {
        package let status: Int32
        package let text: String
    }

    private static let package = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    /// The folder of the layouts: the first test builds it, after which `make` finds nothing to do.
    package static let folder: Result<URL, Failure> = {
        let folder = package.appendingPathComponent(".build/ascend-emulator")
        do {
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
            // Test processes that start simultaneously take turns.
            let build = try run(
                "/usr/bin/env",
                [
                    "flock", folder.appendingPathComponent("lock").path, "make", "--silent", "-j2", "-C",
                    package.appendingPathComponent("Tests/AscendEmulator").path, "OUT=\(folder.path)",
                ]
            )
            guard build.status == 0 else { return .failure(Failure(description: "make: \(build.text)")) }
            return .success(folder)
        } catch {
            return .failure(Failure(description: "the emulator cannot be built: \(error)"))
        }
    }()

    /// Runs a program to its end, with both outputs combined.
    package static func run(
        _ program: String,
        _ arguments: [String],
        environment: [String: String] = [:]
    ) throws -> Output {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: program)
        process.arguments = arguments
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        let pipe = Pipe()
        process.standardOutput = pipe
        process.standardError = pipe
        try process.run()
        let data = try pipe.fileHandleForReading.readToEnd() ?? Data()
        process.waitUntilExit()
        return Output(status: process.terminationStatus, text: String(decoding: data, as: UTF8.self))
    }

    /// The names of the emulator's checks.
    package static func checks() throws -> [String] {
        let checks = try folder.get().appendingPathComponent("checks").path
        return try run(checks, ["--list"]).text.split(separator: "\n").map(String.init)
    }

    /// Runs the conformance suite's program on a layout; "none": without a library. In the environment, "@" is replaced
    /// by the folder of the layouts.
    package static func conformance(
        _ arguments: [String],
        layout: String,
        environment: [String: String]
    ) throws -> Output {
        let folder = try folder.get()
        let home = folder.appendingPathComponent(layout).path
        let program = products.appendingPathComponent("AscendConformance")
        let defaults = [
            "ASCEND_HOME_PATH": home, "ASCEND_TOOLKIT_HOME": "", "ASCEND_CUSTOM_OPP_PATH": "", "ASCEND_OPP_PATH": "",
        ]
        let own = environment.mapValues { $0.replacingOccurrences(of: "@", with: folder.path) }
        // An emulator's times are meaningless.
        let times = arguments.contains("--times") ? [] : ["--times", "no"]
        return try run(program.path, arguments + times, environment: defaults.merging(own) { $1 })
    }

    /// The folder of the test bundle, which also contains the package's programs.
    private static let products: URL = {
        let bundle = CommandLine.arguments.first { $0.hasSuffix(".xctest") }
        let program = bundle ?? (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
        return URL(fileURLWithPath: program).deletingLastPathComponent()
    }()

    // MARK: In this process

    /// Controls of the emulator beyond ACL (Tests/AscendEmulator/AscendEmulator.h).
    package struct Controls: @unchecked Sendable {
        // Functions of a library that is never unloaded, so they are Sendable.
        fileprivate let calls: @convention(c) (UnsafePointer<CChar>) -> UInt64
        fileprivate let reset: @convention(c) () -> Void
        fileprivate let injected: @convention(c) (UnsafePointer<CChar>) -> Void
        fileprivate let released: @convention(c) () -> Void
        fileprivate let chosen: @convention(c) (UnsafePointer<CChar>) -> Void
        fileprivate let traced: @convention(c) (UnsafeMutablePointer<CChar>?, Int) -> Int

        package func count(_ name: String) -> UInt64 { calls(name) }
        package func resetTrace() { reset() }
        package func inject(_ faults: String) { injected(faults) }
        package func release() { released() }
        /// Only while CANN is not initialised.
        package func setChip(_ name: String) { chosen(name) }

        /// The last calls, one per line: thread, name, arguments.
        package var trace: [Substring] {
            var text = [CChar](repeating: 0, count: traced(nil, 0) + 1)
            _ = traced(&text, text.count)
            let bytes = text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
            return String(decoding: bytes, as: UTF8.self).split(separator: "\n")
        }

        /// Bytes copied to the host by asynchronous copies.
        package var bytesBack: Int {
            trace.reduce(0) { sum, line in
                let words = line.split(separator: " ")
                guard words.count > 5, words[1] == "aclrtMemcpyAsync", line.hasSuffix(" kind 2") else { return sum }
                return sum + (Int(words[5]) ?? 0)
            }
        }
    }

    /// Runs the body with the emulator as this process's CANN: two 910B of CANN 8.1. One body runs at a time, because
    /// the trace and the faults belong to the process.
    package static func exclusively<Result>(_ body: (Controls) throws -> Result) throws -> Result {
        lock.lock()
        defer { lock.unlock() }
        let controls = try controls.get()
        controls.inject("")
        return try body(controls)
    }

    private static let lock = NSLock()

    private static let controls: Result<Controls, Failure> = folder.flatMap { folder in
        setenv("ASCEND_HOME_PATH", folder.appendingPathComponent("8.1").path, 1)
        setenv("ASCEND_EMULATOR_DEVICES", "2", 1)
        // RecSDK's operator is installed; a device uses it by default.
        setenv("ASCEND_CUSTOM_OPP_PATH", folder.appendingPathComponent("packages/vendors/recsdk").path, 1)
        let core = dlopen(folder.appendingPathComponent("libascend_emulator.so").path, RTLD_NOW)
        guard let core,
            let calls = dlsym(core, "AscendEmulator_calls"),
            let reset = dlsym(core, "AscendEmulator_resetTrace"),
            let inject = dlsym(core, "AscendEmulator_inject"),
            let release = dlsym(core, "AscendEmulator_release"),
            let choose = dlsym(core, "AscendEmulator_setChip"),
            let trace = dlsym(core, "AscendEmulator_trace")
        else { return .failure(Failure(description: "the emulator's library has no controls")) }
        let made = Controls(
            calls: unsafeBitCast(calls, to: (@convention(c) (UnsafePointer<CChar>) -> UInt64).self),
            reset: unsafeBitCast(reset, to: (@convention(c) () -> Void).self),
            injected: unsafeBitCast(inject, to: (@convention(c) (UnsafePointer<CChar>) -> Void).self),
            released: unsafeBitCast(release, to: (@convention(c) () -> Void).self),
            chosen: unsafeBitCast(choose, to: (@convention(c) (UnsafePointer<CChar>) -> Void).self),
            traced: unsafeBitCast(
                trace,
                to: (@convention(c) (UnsafeMutablePointer<CChar>?, Int) -> Int).self
            )
        )
        // The core has read its faults now; programs that tests start set their own.
        made.inject("")
        unsetenv("ASCEND_EMULATOR_DEVICES")
        return .success(made)
    }
}
