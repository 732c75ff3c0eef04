// Checkpoints as wrappers and trainers really save them: the importer finds the model under any keys and prefixes, and
// makes the same bundle as from the plain one.

import Models
import TestSupport
import Testing

@testable import Importers

@Suite struct WrappedCheckpointTests {
    private let folder: TemporaryDirectory

    init() throws {
        folder = try TemporaryDirectory()
    }

    // MARK: - Fixtures

    @Test(
        arguments: ["state_dict.pt", "lightning.ckpt", "compiled.pt", "extra_tensor.pt", "legacy.pt"],
        [true, false]
    )
    func wrappedFixture_GivesTheBundleOfThePlainOne(file: String, isHSTU: Bool) throws {
        let plain = isHSTU ? "hstu-small/checkpoint.pt" : "sasrec-original/checkpoint.pth"
        let describe = fixture((isHSTU ? "hstu-small" : "sasrec-original") + "/cases.json")
        let format = isHSTU ? "meta" : "sasrec.pytorch"
        try runImport(fixture(plain), describe: describe, format: format, into: folder)
        let other = try TemporaryDirectory()
        let path = fixture((isHSTU ? "wrapped-hstu/" : "wrapped-sasrec/") + file)
        let summary = try runImport(path, describe: describe, format: format, into: other)
        let weights = "/bundle/model.safetensors"
        #expect(try contents(of: other.path + weights) == contents(of: folder.path + weights))
        let origins = [
            "state_dict.pt": WeightsOrigin(dictionary: "state_dict", prefix: ""),
            "lightning.ckpt": WeightsOrigin(dictionary: "state_dict", prefix: "model."),
            "compiled.pt": WeightsOrigin(dictionary: "model_state_dict", prefix: ""),
            "extra_tensor.pt": WeightsOrigin(dictionary: "model_state_dict", prefix: "module."),
            "legacy.pt": WeightsOrigin(dictionary: "model_state_dict", prefix: "module."),
        ]
        #expect(summary.origin == origins[file])
        #expect(summary.ignoredTensors.contains("loss_scale") == (file == "extra_tensor.pt"))
    }

    // MARK: - Synthetic

    /// A dictionary in a pickle being written.
    private struct Entry {
        let key: String
        let write: (inout PickleBuilder) -> Void
    }

    private func dictionary(_ key: String, _ entries: [Entry]) -> Entry {
        Entry(key: key) { pickle in
            pickle.string(key)
            pickle.op(.emptyDict)
            pickle.op(.mark)
            for entry in entries { entry.write(&pickle) }
            pickle.op(.setitems)
        }
    }

    private func tensors(_ checkpoint: TinyCheckpoint, prefix: String = "") -> [Entry] {
        checkpoint.tensors.map { tensor in
            Entry(key: tensor.name) { pickle in
                pickle.string(prefix + tensor.name)
                pickle.tensor(tensor)
            }
        }
    }

    private let plain = TinyCheckpoint(prefix: "")

    /// An import's message about a checkpoint whose root has these entries and whose storages are those of `storages`.
    private func importing(
        _ entries: [Entry],
        storages: TinyCheckpoint? = nil,
        weights: String? = nil
    ) throws -> Result<ImportSummary, ImportError> {
        var pickle = PickleBuilder()
        pickle.op(.emptyDict)
        pickle.op(.mark)
        for entry in entries { entry.write(&pickle) }
        pickle.op(.setitems)
        pickle.op(.stop)
        var files = (storages ?? plain).entries
        files[0] = ZipBuilderEntry("tiny/data.pkl", pickle.bytes)
        let path = try folder.write("checkpoint.pt", zip(files))
        let describe = try folder.write("import.json", tinyDescription.utf8)
        let output = try TemporaryDirectory()
        do {
            return .success(try runImport(path, describe: describe, weights: weights, into: output))
        } catch let error as ImportError {
            return .failure(error)
        }
    }

    private func origin(_ entries: [Entry], weights: String? = nil) throws -> WeightsOrigin? {
        try importing(entries, weights: weights).get().origin
    }

    private func message(_ entries: [Entry], weights: String? = nil) throws -> String {
        switch try importing(entries, weights: weights) {
        case .success: "no error"
        case .failure(let error): error.message
        }
    }

    private func renamed(_ change: (String) -> String) -> TinyCheckpoint {
        var checkpoint = plain
        for index in checkpoint.tensors.indices {
            checkpoint.tensors[index].name = change(checkpoint.tensors[index].name)
        }
        return checkpoint
    }

    @Test(arguments: [
        ("", ""), ("module.", "module."), ("module._orig_mod.", "module."), ("_orig_mod.module.", "module."),
        ("_fsdp_wrapped_module.", ""), ("model.", "model."), ("net.encoder.", "net.encoder."),
    ])
    func prefix_IsFound(prefix: String, believed: String) throws {
        #expect(
            try origin([dictionary("state_dict", tensors(plain, prefix: prefix))])
                == WeightsOrigin(dictionary: "state_dict", prefix: believed)
        )
    }

    @Test func wrappersWithinNames_AreTakenOut() throws {
        let wrapped = renamed { name in
            name.replacing("_attention_layers.0.", with: "_attention_layers.0._checkpoint_wrapped_module.")
                .replacing("_embedding_module.", with: "_embedding_module._fsdp_wrapped_module.")
        }
        #expect(try origin(tensors(wrapped)) == WeightsOrigin(dictionary: "", prefix: ""))
    }

    @Test func nesting_IsFollowed() throws {
        let inner = dictionary("model_state_dict", tensors(plain))
        #expect(
            try origin([dictionary("checkpoint", [inner])])
                == WeightsOrigin(dictionary: "checkpoint.model_state_dict", prefix: "")
        )
    }

    /// `torch.optim.swa_utils.AveragedModel`: a counter in addition to the model's prefix.
    @Test func averagedModel_IsFound() throws {
        var checkpoint = plain
        let counter = TinyTensor("n_averaged", [], key: "n")
        checkpoint.tensors.append(counter)
        let entries =
            tensors(plain, prefix: "module.") + [
                Entry(key: "n") {
                    $0.string("n_averaged")
                    $0.tensor(counter)
                }
            ]
        let summary = try importing(entries, storages: checkpoint).get()
        #expect(summary.origin == WeightsOrigin(dictionary: "", prefix: "module."))
        #expect(summary.ignoredTensors == ["n_averaged"])
    }

    @Test func argumentsOfForeignClasses_AreReadPast() throws {
        let arguments = Entry(key: "args") { pickle in
            pickle.string("args")
            pickle.global("argparse", "Namespace")
            pickle.op(.emptyTuple)
            pickle.op(.newobj)
            pickle.op(.emptyDict)
            pickle.string("lr")
            pickle.integer(1)
            pickle.op(.setitem)
            pickle.op(.build)
        }
        #expect(
            try origin([arguments, dictionary("model", tensors(plain))])
                == WeightsOrigin(dictionary: "model", prefix: "")
        )
    }

    /// A checkpoint that contains itself, in a list nested ten thousand deep.
    @Test func cyclesAndDepth_EndTheSearch() throws {
        let nest = Entry(key: "nest") { pickle in
            pickle.string("nest")
            for _ in 0..<10_000 { pickle.op(.emptyList) }
            pickle.op(.memoize)
            pickle.op(.binget, [0])
            for _ in 0..<10_000 { pickle.op(.append) }
        }
        #expect(try origin([nest] + tensors(plain)) == WeightsOrigin(dictionary: "", prefix: ""))
    }

    // MARK: - Several

    private var two: TinyCheckpoint {
        var checkpoint = plain
        checkpoint.tensors += plain.tensors.map { tensor in
            var tensor = tensor
            tensor.key = "ema" + tensor.key
            return tensor
        }
        return checkpoint
    }

    private var second: TinyCheckpoint {
        var checkpoint = plain
        for index in checkpoint.tensors.indices {
            checkpoint.tensors[index].key = "ema" + checkpoint.tensors[index].key
        }
        return checkpoint
    }

    @Test func modelAndAverage_AreListedAndChosen() throws {
        let entries = [dictionary("model", tensors(plain)), dictionary("ema", tensors(second, prefix: "module."))]
        func result(_ weights: String?) throws -> Result<ImportSummary, ImportError> {
            try importing(entries, storages: two, weights: weights)
        }
        #expect(throws: ImportError.self) { try result(nil).get() }
        guard case .failure(let error) = try result(nil) else { return }
        #expect(error.message.hasSuffix("holds several models; choose one with --weights: \"model\", \"ema.module\""))
        #expect(try result("model").get().origin == WeightsOrigin(dictionary: "model", prefix: ""))
        for choice in ["ema.module", "ema", "module"] {
            #expect(try result(choice).get().origin == WeightsOrigin(dictionary: "ema", prefix: "module."))
        }
        guard case .failure(let wrong) = try result("modle") else { return }
        #expect(wrong.message.contains("--weights \"modle\" is none of them: \"model\""))
    }

    @Test func twoPrefixesInOneDictionary_AreListedAndChosen() throws {
        let entries = [
            dictionary("state_dict", tensors(plain, prefix: "model.") + tensors(second, prefix: "ema_model."))
        ]
        // The prefix is printed with its dot, so it is copied with it.
        for choice in ["ema_model", "ema_model.", "state_dict.ema_model."] {
            let origin = try importing(entries, storages: two, weights: choice).get().origin
            #expect(origin == WeightsOrigin(dictionary: "state_dict", prefix: "ema_model."))
        }
        let summary = try importing(entries, storages: two, weights: "ema_model").get()
        #expect(summary.origin == WeightsOrigin(dictionary: "state_dict", prefix: "ema_model."))
        guard case .failure(let error) = try importing(entries, storages: two) else { return }
        #expect(error.message.hasSuffix("\"state_dict.ema_model\", \"state_dict.model\""))
    }

    @Test func theSameModelTwice_IsOneModel() throws {
        let entries = [dictionary("model", tensors(plain)), dictionary("state_dict", tensors(plain))]
        #expect(try origin(entries) == WeightsOrigin(dictionary: "model", prefix: ""))
    }

    // MARK: - None

    @Test func nothingThatFits_NamesTheNearest() throws {
        let wrong = renamed { $0.replacing("_item_emb.", with: "_item_embs.") }
        let message = try message([dictionary("weights", tensors(wrong, prefix: "module."))])
        #expect(message.contains("no dictionary has \"_embedding_module._item_emb.weight\" and \"_input_features"))
        #expect(message.contains("(\"weights\", prefix \"module.\", 7 tensors)"), "\(message)")
        #expect(
            message.hasSuffix(
                "nearest to \"_embedding_module._item_emb.weight\" is \"module._embedding_module._item_embs.weight\""
            ),
            "\(message)"
        )
        #expect(try self.message([]).contains("holds no dictionary of tensors; looked for \"_embedding_module"))
    }

    @Test func missingTensor_NamesPlaceAndNearest() throws {
        let wrong = renamed { $0.replacing("_uvqk", with: "_uvqw") }
        let message = try message([dictionary("weights", tensors(wrong, prefix: "module."))])
        #expect(
            message.contains(
                "\"_hstu._attention_layers.0._uvqk\" is missing (looked for in \"weights\", prefix \"module.\"); "
                    + "the nearest name is \"_hstu._attention_layers.0._uvqw\""
            ),
            "\(message)"
        )
    }

    // MARK: - The container before PyTorch 1.6

    /// `torch.save(…, pickle_protocol=4, _use_new_zipfile_serialization=False)`: a frame begins each pickle.
    @Test(arguments: [4, 5] as [UInt8])
    func legacyContainerOfALaterProtocol_IsRead(version: UInt8) throws {
        var bytes = try contents(of: fixture("wrapped-hstu/legacy.pt"))
        #expect(bytes[..<2] == [0x80, 2] && bytes[14] == 0x2E)
        bytes[1] = version
        bytes.insert(contentsOf: [0x95, 13, 0, 0, 0, 0, 0, 0, 0], at: 2)
        let describe = fixture("hstu-small/cases.json")
        let summary = try runImport(try folder.write("later.pt", bytes[...]), describe: describe, into: folder)
        #expect(summary.origin == WeightsOrigin(dictionary: "model_state_dict", prefix: "module."))
    }

    @Test func everyPrefixOfTheLegacyContainer_IsRefused() throws {
        let bytes = try contents(of: fixture("wrapped-hstu/legacy.pt"))
        let describe = fixture("hstu-small/cases.json")
        for count in stride(from: 0, to: bytes.count, by: 499) {
            let path = try folder.write("legacy.pt", bytes[..<count])
            #expect(throws: ImportError.self) { try runImport(path, describe: describe, into: folder) }
        }
        let path = try folder.write("legacy.pt", bytes + [0])
        #expect(throws: ImportError(.malformed, "")) { try runImport(path, describe: describe, into: folder) }
    }
}
