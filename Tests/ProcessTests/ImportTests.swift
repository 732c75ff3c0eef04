// `genrec import` as a program: its output and its questions.

import Foundation
import Testing

@Suite struct ImportTests {
    private func run(_ arguments: [String], _ folder: URL) throws -> Genrec.Output {
        try Genrec.run(
            ["import", "--name", "t", "--version", "1", "--output", folder.appendingPathComponent("bundle").path]
                + arguments
        )
    }

    @Test func whereTheWeightsWereFound_IsSaid() throws {
        try Genrec.withTemporaryFolder { folder in
            let output = try run(
                [
                    "--from", "meta", "--checkpoint", Genrec.fixture("wrapped-hstu/lightning.ckpt"), "--describe",
                    Genrec.fixture("hstu-small/cases.json"),
                ],
                folder
            )
            #expect(output.status == 0)
            #expect(output.standardError.contains("weights: \"state_dict\", prefix \"model.\"\n"))
            #expect(output.standardError.contains("the ids of items are their row numbers\n"))
            #expect(output.standardOutput.hasPrefix("wrote "))
        }
    }

    @Test func whatIsMissing_IsAskedForAtOnce() throws {
        try Genrec.withTemporaryFolder { folder in
            let output = try run(
                ["--from", "sasrec.pytorch", "--checkpoint", Genrec.fixture("wrapped-sasrec/legacy.pt")],
                folder
            )
            #expect(output.status == 1)
            #expect(output.standardError.contains("{\"heads\":null,\"layer_order\":null,\"max_sequence_length\":null}"))
            #expect(output.standardError.split(whereSeparator: \.isNewline).count == 1)
        }
    }

    @Test func huggingFaceFolder_NeedsNoDescription() throws {
        try Genrec.withTemporaryFolder { folder in
            let output = try run(
                ["--from", "huggingface", "--checkpoint", Genrec.fixture("llama-small"), "--json"],
                folder
            )
            #expect(output.status == 0, "\(output.standardError)")
            #expect(output.standardOutput.hasPrefix("{\"architecture\":\"llama\""))
        }
    }

    @Test func semanticIDs_AreSummedUp() throws {
        try Genrec.withTemporaryFolder { folder in
            let output = try run(
                [
                    "--from", "huggingface", "--checkpoint", Genrec.fixture("sid-llama"), "--describe",
                    Genrec.fixture("sid-llama/cases.json"),
                ],
                folder
            )
            #expect(output.status == 0, "\(output.standardError)")
            #expect(output.standardOutput.contains("semantic ids: 4 levels, 500 items on "))
            #expect(output.standardOutput.contains("a history of three items is laid out as 1 14 6 20 5 9 "))
        }
    }
}
