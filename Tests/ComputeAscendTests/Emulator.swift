// The emulator of an Ascend NPU, built from Tests/AscendEmulator: the C and C++ compilers of the Swift toolchain make its
// libraries once, beside the package's own products.

import Foundation

/// The emulator's libraries, in the layouts of CANN 8.1 and 9.x.
enum Emulator {
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    /// What a program said before it ended.
    struct Output {
        let status: Int32
        let text: String
    }

    private static let package = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    /// The folder that holds the layouts: built when the first test asks, after which `make` finds nothing to do.
    static let folder: Result<URL, Failure> = {
        let folder = package.appendingPathComponent(".build/ascend-emulator")
        do {
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
            // Test processes that start together take turns.
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

    /// Runs a program to its end with both outputs in one.
    static func run(
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

    /// The names of the emulator's own checks.
    static func checks() throws -> [String] {
        let checks = try folder.get().appendingPathComponent("checks").path
        return try run(checks, ["--list"]).text.split(separator: "\n").map(String.init)
    }
}
