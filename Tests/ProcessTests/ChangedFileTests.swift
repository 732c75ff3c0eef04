// Bundle files that are damaged in place under a running server: it keeps serving, and a reload reports the damage.
// Also files that are damaged while they are read.

import Foundation
import Testing

@Suite struct ChangedFileTests {
    /// Damage to a file of a served bundle.
    enum Damage: String, CaseIterable {
        case truncated, emptied, overwritten

        func apply(to path: String) throws {
            switch self {
            case .truncated: #expect(truncate(path, 100) == 0)
            case .emptied: #expect(truncate(path, 0) == 0)
            case .overwritten:
                let file = try FileHandle(forUpdating: URL(fileURLWithPath: path))
                defer { try? file.close() }
                let size = try file.seekToEnd()
                try file.seek(toOffset: 0)
                try file.write(contentsOf: Data(repeating: 0xFF, count: Int(size)))
            }
        }
    }

    @Test(arguments: Damage.allCases)
    func damagedBundle_IsServedOn(damage: Damage) throws {
        try Genrec.withTemporaryFolder { folder in
            let bundle = folder.appendingPathComponent("bundle")
            try FileManager.default.copyItem(atPath: Genrec.demoBundle, toPath: bundle.path)
            let server = try RunningServer(["--bundle", bundle.path])
            defer { server.stop() }
            let connection = try server.connect()
            let request = "{\"history\":[{\"item\":\"anime-4-01\"},{\"item\":\"anime-4-02\"}],\"k\":50}"
            let before = try connection.recommend(request).items()
            #expect(before.count == 50)
            for name in ["model.safetensors", "catalogue.jsonl", "config.json"] {
                try damage.apply(to: bundle.appendingPathComponent(name).path)
                #expect(try connection.recommend(request).items() == before)
                // New users: rows are gathered from the whole item table.
                for item in ["anime-1-01", "drama-1-01", "scifi-1-01"] {
                    #expect(try connection.recommend("{\"history\":[{\"item\":\"\(item)\"}]}").status == 200)
                }
                // A row that is read from the file now is refused, not made from the damaged bytes.
                let body = "{\"items\":[{\"item\":\"new-1\",\"like\":[\"anime-1-01\"]}]}"
                let liked = try connection.post("/admin/catalogue/demo", body, method: "PATCH")
                #expect(liked.status == 422 && liked.text.contains("cannot be read: the bundle's file has changed"))
                let reply = try connection.post("/admin/reload", "")
                #expect(reply.status == 422)
                let detail = try #require(try reply.json()["detail"] as? String)
                // The configuration is read first, then the weights, then the catalogue.
                let named = name == "catalogue.jsonl" ? "model.safetensors" : name
                #expect(detail.contains(named), "\(detail)")
                #expect(try connection.recommend(request).items() == before)
                #expect(try connection.get("/health/ready").status == 200)
            }
        }
    }

    /// A command, and the file that is cut in half at read number `at`.
    struct Reading: CustomTestStringConvertible, Sendable {
        var command: String
        var file: String
        var at: Int

        var testDescription: String { "\(command): \(file) at \(at)" }
    }

    private static let readings = [
        // Reads of the header's length, the header, and tensors.
        Reading(command: "serve", file: "model.safetensors", at: 1),
        Reading(command: "serve", file: "model.safetensors", at: 2),
        Reading(command: "serve", file: "model.safetensors", at: 20),
        Reading(command: "serve", file: "catalogue.jsonl", at: 1),
        Reading(command: "serve", file: "config.json", at: 1),
        Reading(command: "import", file: "checkpoint.bin", at: 1),
        Reading(command: "import", file: "checkpoint.bin", at: 8),
    ]

    @Test(arguments: readings)
    func fileThatIsCutWhileItIsRead_EndsTheCommandWithOneSentence(reading: Reading) throws {
        try Genrec.withTemporaryFolder { folder in
            let library = try Genrec.interposer("truncate", in: folder)
            let bundle = folder.appendingPathComponent("bundle")
            try FileManager.default.copyItem(atPath: Genrec.demoBundle, toPath: bundle.path)
            let checkpoint = bundle.appendingPathComponent("checkpoint.bin").path
            try FileManager.default.copyItem(
                atPath: Genrec.fixture("wrapped-hstu/lightning.ckpt"),
                toPath: checkpoint
            )
            let arguments =
                reading.command == "serve"
                ? ["serve", "--listen", "127.0.0.1:0", "--bundle", bundle.path]
                : [
                    "import", "--from", "meta", "--name", "t", "--version", "1", "--checkpoint", checkpoint,
                    "--describe",
                    Genrec.fixture("hstu-small/cases.json"), "--output", folder.appendingPathComponent("out").path,
                ]
            let file = bundle.appendingPathComponent(reading.file).path
            let ended = try Genrec.run(
                arguments,
                environment: [
                    "LD_PRELOAD": library, "GENREC_TEST_TRUNCATE": file, "GENREC_TEST_TRUNCATE_AT": "\(reading.at)",
                ]
            )
            #expect(ended.status == 1)
            #expect(ended.standardOutput == "")
            let lines = ended.standardError.split(separator: "\n")
            #expect(lines.count == 1 && lines[0].hasPrefix("genrec: "), "\(ended.standardError)")
            #expect(ended.standardError.contains("\(file) became shorter while it was read"), "\(ended.standardError)")
            #expect(!FileManager.default.fileExists(atPath: folder.appendingPathComponent("out").path))
        }
    }
}
