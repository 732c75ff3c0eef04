// `genrec golden` writes the expected answers of a bundle; every load of the bundle checks them.

import Foundation
import Testing

@Suite struct GoldenCasesProcessTests {
    /// Tensors of the demo bundle.
    private enum Flip {
        static let layerTensor = "layers.1.uvqk.weight"
        static let itemTensor = "item_embedding.weight"
    }

    /// Calls `body` with a copy of the demo bundle that has golden cases.
    private func withGoldenBundle(version: String = "2", _ body: (URL) throws -> Void) throws {
        try Genrec.withTemporaryFolder { folder in
            let bundle = folder.appendingPathComponent("bundle")
            try FileManager.default.copyItem(atPath: Genrec.demoBundle, toPath: bundle.path)
            let file = bundle.appendingPathComponent("config.json")
            try String(contentsOf: file, encoding: .utf8)
                .replacing("\"version\": \"1\"", with: "\"version\": \"\(version)\"")
                .write(to: file, atomically: true, encoding: .utf8)
            try record(bundle, cases: 32)
            try body(bundle)
        }
    }

    private func record(_ bundle: URL, cases: Int) throws {
        let arguments = [
            "golden", "--bundle", bundle.path, "--interactions", Genrec.demoInteractions, "--cases", "\(cases)",
        ]
        let output = try Genrec.run(arguments)
        try #require(output.status == 0, "\(output.standardError)")
        #expect(output.standardOutput.contains("\(cases) golden cases"))
    }

    /// Flips one bit of a tensor's element.
    private func flip(_ bundle: URL, _ tensor: String, element: Int, bit: Int) throws {
        let file = bundle.appendingPathComponent("model.safetensors")
        var bytes = try Data(contentsOf: file)
        let length = bytes.prefix(8).enumerated().reduce(0) { $0 | Int($1.element) << (8 * $1.offset) }
        let header = try #require(
            try JSONSerialization.jsonObject(with: bytes[8..<8 + length]) as? [String: [String: Any]]
        )
        let start = try #require((header[tensor]?["data_offsets"] as? [Int])?.first)
        bytes[8 + length + start + 4 * element + bit / 8] ^= 1 << (bit % 8)
        try bytes.write(to: file, options: .atomic)
    }

    /// Makes the golden cases claim to belong to the current weights.
    private func claimWeights(_ bundle: URL) throws {
        let sum = try Genrec.run(program: "/usr/bin/sha256sum", [bundle.path + "/model.safetensors"])
        try edit(bundle) { text in
            text.replace(
                #/"weights_sha256":"[0-9a-f]*"/#,
                with: "\"weights_sha256\":\"\(sum.standardOutput.prefix(64))\""
            )
        }
    }

    private func edit(_ bundle: URL, _ change: (inout String) throws -> Void) throws {
        let file = bundle.appendingPathComponent("golden.json")
        var text = try String(contentsOf: file, encoding: .utf8)
        let before = text
        try change(&text)
        #expect(text != before)
        try text.write(to: file, atomically: true, encoding: .utf8)
    }

    /// A server does not start with the bundle, and a running server refuses it.
    private func expectRefusal(_ bundle: URL, _ part: String, options: [String] = []) throws {
        let output = try Genrec.run(["serve", "--listen", "127.0.0.1:0", "--bundle", bundle.path] + options)
        #expect(output.status == 1)
        #expect(output.standardError.split(separator: "\n").count == 1)
        #expect(output.standardError.contains(part), "\(output.standardError)")
        let server = try RunningServer(options)
        defer { server.stop() }
        let connection = try server.connect()
        let reply = try connection.post("/admin/models", "{\"bundle\":\"\(bundle.path)\"}")
        #expect(reply.status == 422)
        #expect((try reply.json()["detail"] as? String)?.contains(part) == true, "\(reply.text)")
        #expect(try connection.recommend("{\"history\":[{\"item\":\"anime-4-01\"}]}").status == 200)
    }

    @Test func bundleThatAnswersAsItShould_IsServedInEveryType() throws {
        try withGoldenBundle { bundle in
            for dtype in ["f32", "bf16", "int8"] {
                let server = try RunningServer(["--bundle", bundle.path, "--dtype", dtype])
                defer { server.stop() }
                #expect(try server.connect().get("/health/ready").status == 200)
            }
            let inspected = try Genrec.run(["inspect", bundle.path])
            #expect(inspected.standardOutput.contains("  32, for these weights\n"))
            // A second run replaces the existing cases, even those of other weights.
            try flip(bundle, Flip.layerTensor, element: 7, bit: 30)
            try record(bundle, cases: 5)
            #expect(
                try Genrec.run(["inspect", bundle.path]).standardOutput.contains("  5, for these weights\n")
            )
        }
    }

    @Test func oneFlippedBit_IsFound_AlsoWhereNoRequestCanShowIt() throws {
        try withGoldenBundle { bundle in
            // The last mantissa bit of an item that no history contains.
            try flip(bundle, Flip.itemTensor, element: 1_200 * 32 + 31, bit: 0)
            let part = "golden.json: recorded with other weights"
            try expectRefusal(bundle, part)
            let output = try Genrec.run(["inspect", bundle.path])
            #expect(output.status == 1 && output.standardError.contains(part))
        }
    }

    @Test func oneFlippedBit_IsFoundByTheAnswers_WhenTheDigestIsRight() throws {
        try withGoldenBundle { bundle in
            try flip(bundle, Flip.layerTensor, element: 1_000, bit: 29)
            try claimWeights(bundle)
            try expectRefusal(bundle, "golden case ")
        }
    }

    @Test func scoresOfAnotherVersion_AreRefused() throws {
        try withGoldenBundle { bundle in
            try withGoldenBundle(version: "3") { other in
                try flip(other, Flip.layerTensor, element: 1_000, bit: 29)
                try record(other, cases: 32)
                let (golden, name) = (bundle.appendingPathComponent("golden.json"), "golden.json")
                try FileManager.default.removeItem(at: golden)
                try FileManager.default.copyItem(at: other.appendingPathComponent(name), to: golden)
                try expectRefusal(bundle, "golden.json: recorded with other weights")
                try claimWeights(bundle)
                try expectRefusal(bundle, "golden case ")
            }
        }
    }

    @Test func typeThatChangesTheAnswers_IsRefused() throws {
        try withGoldenBundle { bundle in
            // The golden cases name other items, so that other types disagree enough to be refused.
            try edit(bundle) { text in
                text.replace(#/"item":"([a-z]+)-\d+-\d+"/#) { "\"item\":\"\($0.1)-1-01\"" }
            }
            try expectRefusal(
                bundle,
                "of the ten best items match those of float32, but 0.98 is needed",
                options: ["--dtype", "bf16"]
            )
            try expectRefusal(
                bundle,
                "of the ten best items match those of float32, but 0.95 is needed",
                options: ["--dtype", "int8"]
            )
            // A type other than that of the weights.
            let file = bundle.appendingPathComponent("config.json")
            try String(contentsOf: file, encoding: .utf8)
                .replacing("\"dtype\": \"float32\"", with: "\"dtype\": \"bfloat16\"")
                .write(to: file, atomically: true, encoding: .utf8)
            try expectRefusal(bundle, "is float32, but config.json says bfloat16")
        }
    }

    @Test func commandThatCannotRecord_SaysWhy() throws {
        try Genrec.withTemporaryFolder { folder in
            let file = folder.appendingPathComponent("log.tsv")
            try "user\titem\ttimestamp\nu\tnothing\t1\nu\tmore\t2\n".write(to: file, atomically: true, encoding: .utf8)
            let output = try Genrec.run(["golden", "--bundle", Genrec.demoBundle, "--interactions", file.path])
            #expect(output.status == 1)
            #expect(output.standardError.contains("no user has a history of items that the bundle knows"))
            #expect(try Genrec.run(["golden", "--bundle", "x", "--interactions", "y", "--cases", "0"]).status == 2)
        }
    }
}
