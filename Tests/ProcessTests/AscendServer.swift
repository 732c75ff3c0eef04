// A server on the emulator of an NPU, which is made the CANN of that process and of no other.

import AscendEmulatorSupport
import Foundation
import Testing

/// A chip as the emulator plays it.
struct EmulatedChip: Sendable, CustomTestStringConvertible {
    var soc: String
    /// The folder of CANN's libraries.
    var layout: String
    var generation: String
    /// What the ready line calls the chip, and the dtype that it gets when none is asked for.
    var name: String
    var dtype: String

    static let a2 = EmulatedChip(
        soc: "Ascend910B3",
        layout: "8.1",
        generation: "8",
        name: "910B3",
        dtype: "bfloat16"
    )
    static let inference = EmulatedChip(
        soc: "Ascend310P3",
        layout: "9.x",
        generation: "9",
        name: "310P3",
        dtype: "float16"
    )

    var testDescription: String { name }
}

/// What the emulator had been asked for by the time that a server was ready: faults are counted from there.
struct EmulatorCounts {
    var allocations = 0
    var launches = 0
    var waits = 0

    /// - Parameter trace: the calls, a line each: thread, name, arguments.
    init(trace: String) {
        for line in trace.split(separator: "\n") {
            switch line.split(separator: " ").dropFirst().first {
            case "aclrtMalloc": allocations += 1
            case "launch": launches += 1
            case "aclrtSynchronizeStreamWithTimeout", "aclrtSynchronizeEventWithTimeout": waits += 1
            default: break
            }
        }
    }
}

extension RunningServer {
    /// Settings under which the emulator is as quick as it can be, and a failed device is tried again soon. The pool of pages is
    /// small because the emulator goes through all of it with every operator that reads it.
    private static let quick = [
        "ASCEND_EMULATOR_DELAY": "0", "ASCEND_EMULATOR_DEVICES": "1", "GENREC_CACHE_BYTES": "1048576",
        "GENREC_ENGINE_RECOVERY_BACKOFF_MS": "20",
        "GENREC_ENGINE_RECOVERY_BACKOFF_MAX_MS": "100",
    ]

    static func environment(_ chip: EmulatedChip) throws -> [String: String] {
        let home = try Emulator.folder.get().appendingPathComponent(chip.layout).path
        return quick.merging([
            "ASCEND_HOME_PATH": home, "ASCEND_TOOLKIT_HOME": "", "ASCEND_CUSTOM_OPP_PATH": "",
            "ASCEND_EMULATOR_SOC": chip.soc, "ASCEND_EMULATOR_GENERATION": chip.generation,
        ]) { $1 }
    }

    /// Starts `genrec serve` on emulated NPUs.
    static func ascend(
        _ chip: EmulatedChip = .a2,
        device: String = "ascend:0",
        _ arguments: [String] = [],
        environment: [String: String] = [:]
    ) throws -> RunningServer {
        try RunningServer(
            ["--device", device] + arguments,
            environment: try Self.environment(chip).merging(environment) { $1 }
        )
    }

    /// What a server of the demo bundle has asked of the emulator when it is ready and `body` has returned.
    static func counts(
        environment: [String: String] = [:],
        after body: (TestConnection) throws -> Void = { _ in }
    ) throws -> EmulatorCounts {
        try Genrec.withTemporaryFolder { folder in
            let file = folder.appendingPathComponent("trace")
            let environment = environment.merging(["ASCEND_EMULATOR_TRACE": file.path]) { $1 }
            let server = try ascend(environment: environment)
            defer { server.stop() }
            try body(try server.connect())
            return EmulatorCounts(trace: try String(contentsOf: file, encoding: .utf8))
        }
    }
}

/// Asks again and again until the answer is as wanted, for at most half a minute.
func eventually(_ isTrue: () throws -> Bool) throws -> Bool {
    let deadline = Date(timeIntervalSinceNow: 30)
    while Date() < deadline {
        if try isTrue() { return true }
    }
    return false
}
