// Bundles: a written bundle loads, and every inconsistency is refused with its name.

import Catalogue
import Compute
import Files
import Foundation
import JSON
import TestSupport
import Testing

@testable import Models

@Suite struct ModelBundleTests {
    private let folder: TemporaryDirectory
    private var directory: String { folder.path + "/bundle" }

    init() throws {
        folder = try TemporaryDirectory()
    }

    private func message() -> String {
        do {
            _ = try ModelBundle.load(directory: directory)
            return "no error"
        } catch {
            return "\(error)"
        }
    }

    /// Replaces text in a file of the bundle.
    private func edit(_ name: String, _ part: String, _ replacement: String) throws {
        let before = String(decoding: try contents(of: directory + "/" + name), as: UTF8.self)
        let after = before.replacing(part, with: replacement)
        #expect(before != after)
        _ = try folder.write("bundle/" + name, after.utf8)
    }

    @Test func writtenBundle_Loads() throws {
        let configuration = try writeTinyBundle(directory, model: try tinyConfiguration())
        #expect(try folder.names() == ["bundle"])
        #expect(try folder.names(in: "bundle") == ["catalogue.jsonl", "config.json", "model.safetensors"])
        let bundle = try ModelBundle.load(directory: directory)
        #expect(bundle.configuration == configuration)
        #expect(bundle.catalogue.count == 6)
        let tensor = try bundle.tensor("layers.0.uvqk.weight")
        withExtendedLifetime(tensor) {
            #expect(tensor.bytes.bindMemory(to: Float.self).allSatisfy { $0 == 0.5 })
        }
        #expect(throws: FileError(.mismatched, "")) { try bundle.tensor("other") }
    }

    @Test func weightsThatChangeAfterwards_AreRefused() throws {
        try writeTinyBundle(directory, model: try tinyConfiguration())
        let bundle = try ModelBundle.load(directory: directory)
        let path = directory + "/model.safetensors"
        let bytes = try contents(of: path)
        let handle = try FileHandle(forWritingTo: URL(fileURLWithPath: path))
        try handle.truncate(atOffset: UInt64(bytes.count - 1))
        #expect(throws: FileError.self) { try bundle.tensor("layers.0.uvqk.weight") }
        do {
            _ = try bundle.tensor("layers.0.uvqk.weight")
        } catch {
            #expect(error.message == "\(path) became shorter while it was read")
        }
    }

    @Test(arguments: ["config.json", "model.safetensors", "catalogue.jsonl"])
    func missingFile_IsNamed(name: String) throws {
        try writeTinyBundle(directory, model: try tinyConfiguration())
        try FileManager.default.removeItem(atPath: directory + "/" + name)
        #expect(message() == "cannot open \(directory)/\(name): No such file or directory")
    }

    @Test func weightsOfAnotherModel_AreRefusedByTensor() throws {
        try writeTinyBundle(directory, model: try tinyConfiguration())
        try edit("config.json", "\"concat_ua\": false", "\"concat_ua\": true")
        #expect(
            message().contains(
                "model.safetensors: tensor \"layers.0.output.weight\" has shape (4, 4), but config.json requires (4, 12)"
            )
        )
        try edit("config.json", "\"concat_ua\": true", "\"concat_ua\": false")
        try edit(
            "config.json",
            "\"relative_attention_bias\": \"position_and_time\"",
            "\"relative_attention_bias\": \"none\""
        )
        #expect(
            message().contains(
                "tensor \"layers.0.relative_bias.time\" does not belong to architecture hstu of this size"
            )
        )
        try edit(
            "config.json",
            "\"relative_attention_bias\": \"none\"",
            "\"relative_attention_bias\": \"position_and_time\""
        )
        try edit("config.json", "\"layers\": 1", "\"layers\": 2")
        #expect(message().contains("tensor \"layers.1.uvqk.weight\" is missing"))
        try edit("config.json", "\"layers\": 2", "\"layers\": 1")
        try edit("config.json", "float32", "bfloat16")
        #expect(message().contains("is float32, but config.json says bfloat16"))
    }

    @Test func weightThatIsNotANumber_IsRefusedByTensor() throws {
        try writeTinyBundle(directory, model: try tinyConfiguration())
        var bytes = try contents(of: directory + "/model.safetensors")
        // The last tensor is the bias of the output.
        bytes.replaceSubrange((bytes.count - 4)..., with: [0, 0, 0xC0, 0x7F])
        _ = try folder.write("bundle/model.safetensors", bytes)
        #expect(message().contains("tensor \"layers.0.output.bias\" holds infinities or NaN"))
    }

    @Test func truncatedWeights_AreRefused() throws {
        try writeTinyBundle(directory, model: try tinyConfiguration())
        let bytes = try contents(of: directory + "/model.safetensors")
        for count in stride(from: 0, to: bytes.count, by: 53) {
            _ = try folder.write("bundle/model.safetensors", bytes[..<count])
            #expect(message().contains("model.safetensors: "))
        }
    }

    @Test func catalogueOfAnotherTable_IsRefusedByLine() throws {
        try writeTinyBundle(directory, model: try tinyConfiguration())
        try edit("catalogue.jsonl", "\"index\":6", "\"index\":7")
        #expect(
            message().hasSuffix("catalogue.jsonl, line 6: index 7 is outside the item table, whose rows are 1 to 6")
        )
    }

    @Test func configurationThatIsNotJSON_IsRefused() throws {
        try writeTinyBundle(directory, model: try tinyConfiguration())
        _ = try folder.write("bundle/config.json", "{".utf8)
        #expect(message().hasPrefix("\(directory)/config.json: "))
        _ = try folder.write("bundle/config.json", [UInt8](repeating: 0x20, count: 1 << 20 + 1))
        #expect(message().hasPrefix("\(directory)/config.json"))
    }

    @Test func demoOfTheProject_Loads() throws {
        let root = #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(3).joined(separator: "/")
        let bundle = try ModelBundle.load(directory: root + "/Config/demo")
        #expect(bundle.configuration.name == "demo")
        #expect(bundle.catalogue.count == 1200)
        #expect(bundle.catalogue.title(bundle.catalogue.row(of: "drama-1-02") ?? 0) == "Drama 1, episode 2")
    }

    // MARK: - Writing

    @Test func emptyDirectory_IsTakenAndOthersAreNot() throws {
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: false)
        try writeTinyBundle(directory + "/", model: try tinyConfiguration())
        #expect(message() == "no error")
        do {
            try writeTinyBundle(directory, model: try tinyConfiguration(rows: 9))
            Issue.record("no error")
        } catch {
            #expect("\(error)".contains("is not empty; a bundle is never changed"))
        }
        #expect(try folder.names() == ["bundle"])
        let file = try folder.write("file", [1])
        #expect(throws: FileError(.unwritable, "")) { try writeTinyBundle(file, model: try tinyConfiguration()) }
    }

    @Test func failureWhileWriting_LeavesNothing() throws {
        struct Failure: Error {}
        let configuration = try tinyBundleConfiguration(try tinyConfiguration())
        #expect(throws: Failure.self) {
            try BundleWriter.write(
                directory: directory,
                configuration: configuration,
                catalogue: Catalogue.numbered(rows: 7)
            ) { _ in throw Failure() }
        }
        #expect(throws: FileError(.mismatched, "")) {
            try BundleWriter.write(
                directory: directory,
                configuration: configuration,
                catalogue: Catalogue.numbered(rows: 7)
            ) { _ in }
        }
        #expect(try folder.names() == [])
    }

    // MARK: - Inspection

    @Test func inspection_TellsTheFacts() throws {
        try writeTinyBundle(directory, model: try tinyConfiguration())
        let inspection = BundleInspection(try ModelBundle.load(directory: directory))
        let parameters = 28 + 24 + 48 + 129 + 11 + 16 + 4
        #expect(inspection.parameterCount == parameters)
        #expect(inspection.parameterCountWithoutItems == parameters - 28)
        #expect(inspection.weightBytes == 4 * parameters)
        #expect(inspection.itemCount == 6)
        #expect(inspection.idsAreIntegers)
        #expect(inspection.cacheBytesPerEvent == 2 * 3 * 4)
        #expect(inspection.text.contains("layers.0.relative_bias.time      (129)    516 bytes\n"))
        #expect(inspection.text.contains("window                5 events\n"))
        #expect(inspection.json["parameters"] == .integer(parameters))
        #expect(inspection.json["architecture"] == .string("hstu"))
    }
}
