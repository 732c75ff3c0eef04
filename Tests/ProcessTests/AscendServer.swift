// A server on an emulated NPU. The emulator replaces CANN for that process only.

import AscendEmulatorSupport
import Foundation
import Testing

/// A chip as the emulator presents it.
struct EmulatedChip: Sendable, CustomTestStringConvertible {
    var soc: String
    /// The folder of CANN's libraries.
    var layout: String
    var generation: String
    /// The chip's name in the ready line, and its default dtype.
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

/// Faults that are given to the emulator while it runs. It counts operations from then on, not from the start.
struct EmulatorFaults {
    private let file = FileManager.default.temporaryDirectory.appendingPathComponent("faults-\(UUID().uuidString)")

    var environment: [String: String] { ["ASCEND_EMULATOR_FAULTS_FILE": file.path] }

    /// - Parameter faults: in the syntax of the emulator's faults.hpp. Only the first ones count. The emulator removes
    ///   the file.
    func begin(_ faults: String) throws { try Data("\(faults)\n".utf8).write(to: file, options: .atomic) }
}

extension RunningServer {
    /// Settings for a fast emulator and early retries of a failed device. The page pool is small because the emulator
    /// goes through all of it for every operator that reads it.
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
}

/// Repeats the condition until it holds, for at most half a minute.
func eventually(_ isTrue: () throws -> Bool) throws -> Bool {
    let deadline = Date(timeIntervalSinceNow: 30)
    while Date() < deadline {
        if try isTrue() { return true }
    }
    return false
}
