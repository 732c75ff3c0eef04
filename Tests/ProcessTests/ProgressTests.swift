// The progress of an import and of a start: a bar on a terminal, lines elsewhere. The clock of these commands runs
// fast, so that a small model seems to take long.

import Foundation
import Testing

@Suite struct ProgressTests {
    /// A terminal that records its output.
    private final class Screen {
        private let master: Int32
        private let slave: Int32

        /// A file handle for a command's output.
        var output: FileHandle { FileHandle(fileDescriptor: slave) }

        init() throws {
            var ends: (master: Int32, slave: Int32) = (-1, -1)
            try #require(openpty(&ends.master, &ends.slave, nil, nil, nil) == 0)
            (master, slave) = ends
        }

        /// The recorded output, after all writers have closed. It must fit into the terminal's queue, 4 KiB.
        func text() -> String {
            close(slave)
            var bytes: [UInt8] = []
            var chunk = [UInt8](repeating: 0, count: 4_096)
            // Reading a terminal without writers ends with EIO.
            while case let count = read(master, &chunk, chunk.count), count > 0 { bytes += chunk[..<count] }
            close(master)
            return String(decoding: bytes, as: UTF8.self)
        }
    }

    /// The fixture's checkpoint with hidden layers of 16,384 instead of 64, all zeros: 12 MiB.
    private func writeCheckpoint(_ folder: URL) throws {
        let small = URL(fileURLWithPath: Genrec.fixture("llama-small"))
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        let configuration = try String(contentsOf: small.appendingPathComponent("config.json"), encoding: .utf8)
        try configuration.replacing("\"intermediate_size\": 64", with: "\"intermediate_size\": 16384").write(
            to: folder.appendingPathComponent("config.json"),
            atomically: false,
            encoding: .utf8
        )
        let weights = try Data(contentsOf: small.appendingPathComponent("model.safetensors"))
        let length = weights.withUnsafeBytes { Int($0.loadUnaligned(as: UInt64.self)) }
        let object = try JSONSerialization.jsonObject(with: weights[8..<8 + length])
        var header: [String: Any] = [:]
        var end = 0
        for (name, value) in try #require(object as? [String: Any]) where name != "__metadata__" {
            let shape = try #require((value as? [String: Any])?["shape"] as? [Int]).map { $0 == 64 ? 16_384 : $0 }
            let start = end
            end += 4 * shape.reduce(1, *)
            header[name] = ["dtype": "F32", "shape": shape, "data_offsets": [start, end]]
        }
        let text = try JSONSerialization.data(withJSONObject: header)
        var file = withUnsafeBytes(of: UInt64(text.count).littleEndian) { Data($0) } + text
        file += Data(count: end)
        try file.write(to: folder.appendingPathComponent("model.safetensors"))
    }

    private func withCheckpoint(_ body: (_ folder: URL, _ clock: String) throws -> Void) throws {
        try Genrec.withTemporaryFolder { folder in
            try writeCheckpoint(folder.appendingPathComponent("checkpoint"))
            try body(folder, try Genrec.interposer("clock", in: folder))
        }
    }

    private func arguments(_ folder: URL, _ name: String) -> [String] {
        [
            "import", "--from", "huggingface", "--checkpoint", folder.appendingPathComponent("checkpoint").path,
            "--name", "large",
            "--version", "1", "--output", folder.appendingPathComponent(name).path,
        ]
    }

    /// Runs a command whose standard error is a terminal; returns the output there.
    private func seen(_ arguments: [String], _ environment: [String: String]) throws -> String {
        let screen = try Screen()
        let terminal = ["TERM": "xterm", "NO_COLOR": ""].merging(environment) { $1 }
        let process = try Genrec.start(arguments, environment: terminal, errors: .handle(screen.output))
        #expect(process.waitUntilExit() == .exited(0))
        return screen.text()
    }

    @Test func import_DrawsABarOnATerminal_AndWritesLinesElsewhere() throws {
        try withCheckpoint { folder, clock in
            let shown = try seen(arguments(folder, "shown"), ["LD_PRELOAD": clock])
            #expect(shown.hasPrefix("\r[\u{1B}[32m"), "\(shown)")
            #expect(shown.contains("#.") && shown.contains("\u{1B}[0m] 12/12 MiB of weights\r\n"), "\(shown)")
            let plain = try seen(arguments(folder, "plain"), ["LD_PRELOAD": clock, "NO_COLOR": "1"])
            #expect(plain.hasPrefix("\r[") && plain.contains("#] 12/12 MiB of weights\r\n"), "\(plain)")
            #expect(!plain.contains("\u{1B}"))
            let dumb = try seen(arguments(folder, "dumb"), ["LD_PRELOAD": clock, "TERM": "dumb"])
            #expect(dumb.contains("12/12 MiB of weights\r\n") && !dumb.contains("\u{1B}"), "\(dumb)")

            let piped = try Genrec.run(arguments(folder, "piped"), environment: ["LD_PRELOAD": clock])
            #expect(piped.status == 0)
            #expect(piped.standardError.contains("\n12 of 12 MiB of weights\n"), "\(piped.standardError)")
            #expect(!piped.standardError.contains("\r") && !piped.standardError.contains("\u{1B}"))
        }
    }

    @Test func start_DrawsABarOnATerminal_AndNothingIntoALog() throws {
        try withCheckpoint { folder, clock in
            #expect(try Genrec.run(arguments(folder, "bundle")).status == 0)
            let bundle = ["--bundle", folder.appendingPathComponent("bundle").path]
            func seen(_ environment: [String: String]) throws -> String {
                let screen = try Screen()
                let terminal = ["TERM": "xterm", "NO_COLOR": "", "LD_PRELOAD": clock].merging(environment) { $1 }
                let server = try RunningServer(bundle, environment: terminal, standardError: screen.output)
                #expect(server.stop().status == 0)
                return screen.text()
            }
            let shown = try seen([:])
            #expect(shown.contains("\r[\u{1B}[32m#") && shown.contains("#."), "\(shown)")
            let end = "] 12/12 MiB of weights read\r\npacking the weights for the device ...\r\n"
            #expect(shown.contains("\u{1B}[0m" + end), "\(shown)")
            let plain = try seen(["NO_COLOR": "1"])
            #expect(plain.contains("#" + end) && !plain.contains("\u{1B}"), "\(plain)")

            let server = try RunningServer(bundle, environment: ["LD_PRELOAD": clock])
            let ended = server.stop()
            #expect(ended.status == 0)
            #expect(!ended.log.contains("MiB of weights") && !ended.log.contains("packing"), "\(ended.log)")
            #expect(!ended.log.contains("\r") && !ended.log.contains("\u{1B}"))
        }
    }
}
