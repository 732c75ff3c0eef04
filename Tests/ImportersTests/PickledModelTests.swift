// Models saved whole, and PyTorch's first container: both import to the bundle of the plain checkpoint.

import Models
import TestSupport
import Testing

@testable import Importers

@Suite struct PickledModelTests {
    private let folder: TemporaryDirectory
    private let plain = TinyCheckpoint(prefix: "")

    init() throws {
        folder = try TemporaryDirectory()
    }

    /// The weights that an import writes, and their origin in the file.
    private func imported(_ bytes: [UInt8]) throws -> (weights: [UInt8], origin: WeightsOrigin?) {
        let path = try folder.write("checkpoint.pt", bytes)
        let describe = try folder.write("import.json", tinyDescription.utf8)
        let output = try TemporaryDirectory()
        let summary = try runImport(path, describe: describe, into: output)
        return (Array(try contents(of: output.path + "/bundle/model.safetensors")), summary.origin)
    }

    private func message(_ bytes: [UInt8]) throws -> String {
        do {
            _ = try imported(bytes)
            return "no error"
        } catch let error as ImportError {
            return error.message
        }
    }

    /// Tensors with distinct contents.
    private var checkpoint: TinyCheckpoint {
        var checkpoint = plain
        for index in checkpoint.tensors.indices {
            let tensor = checkpoint.tensors[index]
            checkpoint.tensors[index].content = (0..<tensor.count).flatMap {
                [UInt8($0 % 256), UInt8(index), 0x80, 0x3F]
            }
        }
        return checkpoint
    }

    // MARK: - Modules

    /// A module's object as Python pickles it: created from its class, then given its attributes.
    private func module(
        _ pickle: inout PickleBuilder,
        _ tensors: [(path: [Substring], tensor: TinyTensor)],
        hidden: [String] = []
    ) {
        pickle.global("trainer.models", "Part")
        pickle.op(.emptyTuple)
        pickle.op(.newobj)
        pickle.op(.emptyDict)
        pickle.op(.mark)
        pickle.string("training")
        pickle.op(.newfalse)
        pickle.string("_parameters")
        dictionary(&pickle, tensors.filter { $0.path.count == 1 }.map { (String($0.path[0]), $0.tensor) })
        pickle.string("_buffers")
        dictionary(&pickle, hidden.map { ($0, plain.tensors[0]) })
        pickle.string("_non_persistent_buffers_set")
        pickle.global("builtins", "set")
        pickle.op(.emptyList)
        for name in hidden {
            pickle.string(name)
            pickle.op(.append)
        }
        pickle.op(.tuple1)
        pickle.op(.reduce)
        pickle.string("_modules")
        pickle.global("collections", "OrderedDict")
        pickle.op(.emptyTuple)
        pickle.op(.reduce)
        let inner = tensors.filter { $0.path.count > 1 }
        for name in Set(inner.map(\.path[0])).sorted() {
            pickle.string(String(name))
            module(&pickle, inner.filter { $0.path[0] == name }.map { (Array($0.path.dropFirst()), $0.tensor) })
            pickle.op(.setitem)
        }
        pickle.op(.setitems)
        pickle.op(.build)
    }

    private func dictionary(_ pickle: inout PickleBuilder, _ entries: [(String, TinyTensor)]) {
        pickle.global("collections", "OrderedDict")
        pickle.op(.emptyTuple)
        pickle.op(.reduce)
        pickle.op(.mark)
        for (name, tensor) in entries {
            pickle.string(name)
            pickle.tensor(tensor)
        }
        pickle.op(.setitems)
    }

    /// `torch.save(model)`, of a model whose wrappers add this prefix.
    private func saved(prefix: String = "", hidden: [String] = []) -> [UInt8] {
        var pickle = PickleBuilder()
        let tensors = checkpoint.tensors.map { tensor in
            ((prefix + tensor.name).split(separator: "."), tensor)
        }
        module(&pickle, tensors, hidden: hidden)
        pickle.op(.stop)
        var files = checkpoint.entries
        files[0] = ZipBuilderEntry("tiny/data.pkl", pickle.bytes)
        return zip(files)
    }

    @Test(arguments: ["", "module.", "_orig_mod.", "trainer.model."])
    func wholeModel_GivesTheBundleOfItsStateDictionary(prefix: String) throws {
        let found = try imported(saved(prefix: prefix))
        #expect(try found.weights == imported(checkpoint.bytes).weights)
        #expect(found.origin == WeightsOrigin(dictionary: "", prefix: prefix == "_orig_mod." ? "" : prefix))
    }

    /// The import leaves out the same tensors as `state_dict()`.
    @Test func buffersThatAreNotPersistent_AreNoTensorsOfTheModel() throws {
        #expect(try message(saved(hidden: ["causal_mask"])) == "no error")
    }

    /// A module that is its own child.
    @Test func moduleInItself_EndsTheSearch() throws {
        var pickle = PickleBuilder()
        pickle.global("trainer.models", "Part")
        pickle.op(.emptyTuple)
        pickle.op(.newobj)
        pickle.op(.binput, [1])
        pickle.op(.emptyDict)
        for key in ["_parameters", "_modules"] {
            pickle.string(key)
            pickle.op(.emptyDict)
            pickle.string("weight")
            if key == "_modules" { pickle.op(.binget, [1]) } else { pickle.tensor(plain.tensors[0]) }
            pickle.op(.setitem)
            pickle.op(.setitem)
        }
        pickle.op(.build)
        pickle.op(.stop)
        var files = plain.entries
        files[0] = ZipBuilderEntry("tiny/data.pkl", pickle.bytes)
        #expect(try message(zip(files)).contains("no dictionary has "))
    }

    // MARK: - The container in a tar archive

    private struct TarFile {
        var name: String
        var content: [UInt8]
    }

    private func tar(_ files: [TarFile]) -> [UInt8] {
        var bytes: [UInt8] = []
        for file in files {
            var header = [UInt8](repeating: 0, count: 512)
            let size = String(file.content.count, radix: 8)
            let digits = String(repeating: "0", count: 11 - size.count) + size
            header.replaceSubrange(0..<file.name.utf8.count, with: file.name.utf8)
            header.replaceSubrange(124..<135, with: digits.utf8)
            header[156] = UInt8(ascii: "0")
            header.replaceSubrange(257..<263, with: Array("ustar".utf8) + [0])
            bytes += header + file.content
            bytes += [UInt8](repeating: 0, count: (512 - file.content.count % 512) % 512)
        }
        return bytes + [UInt8](repeating: 0, count: 1024)
    }

    private func pickled(_ body: (inout PickleBuilder) -> Void) -> [UInt8] {
        var pickle = PickleBuilder()
        body(&pickle)
        pickle.op(.stop)
        return pickle.bytes
    }

    /// Every tensor is a piece of one storage, whose key is 100 + its number; tensors' keys are 200 and more.
    private func files(_ checkpoint: TinyCheckpoint) -> [TarFile] {
        let tensors = checkpoint.tensors
        var storages = pickled { $0.integer(1) }
        storages += pickled { pickle in
            pickle.integer(99)
            pickle.string("cpu")
            pickle.global("torch", "FloatStorage")
            pickle.op(.tuple3)
        }
        storages.append(little: Int64(tensors.map(\.count).reduce(0, +)))
        storages += tensors.flatMap { $0.content ?? [] }
        var start = 0
        storages += pickled { pickle in
            pickle.op(.emptyList)
            for (number, tensor) in tensors.enumerated() {
                pickle.integers([100 + number, 99, start, tensor.count])
                pickle.op(.append)
                start += tensor.count
            }
        }
        var listed = pickled { $0.integer(tensors.count) }
        for (number, tensor) in tensors.enumerated() {
            listed += pickled { pickle in
                pickle.integer(200 + number)
                pickle.integer(100 + number)
                pickle.global("torch", "FloatTensor")
                pickle.op(.tuple3)
            }
            listed.append(little: Int32(tensor.shape.count))
            listed.append(little: Int32(-1))
            for extent in tensor.shape + tensor.strides + [0] { listed.append(little: Int64(extent)) }
        }
        let object = pickled { pickle in
            pickle.op(.emptyDict)
            pickle.op(.mark)
            for (number, tensor) in tensors.enumerated() {
                pickle.string(tensor.name)
                pickle.string("\(200 + number)")
                pickle.op(.binpersid)
            }
            pickle.op(.setitems)
        }
        let system = pickled { pickle in
            pickle.op(.emptyDict)
            pickle.string("little_endian")
            pickle.op(.newtrue)
            pickle.op(.setitem)
        }
        return [
            TarFile(name: "sys_info", content: system), TarFile(name: "pickle", content: object),
            TarFile(name: "tensors", content: listed), TarFile(name: "storages", content: storages),
        ]
    }

    @Test func tarContainer_GivesTheBundleOfTheLaterOnes() throws {
        let found = try imported(tar(files(checkpoint)))
        #expect(try found.weights == imported(checkpoint.bytes).weights)
        #expect(found.origin == WeightsOrigin(dictionary: "", prefix: ""))
    }

    @Test func everyPrefixOfTheTarContainer_IsRefusedInASentence() throws {
        let bytes = tar(files(checkpoint)).dropLast(1024)
        for count in stride(from: 512, to: bytes.count - 512, by: 37) {
            let message = try message(Array(bytes[..<count]))
            #expect(message != "no error" && !message.contains("\n"), "\(count)")
        }
    }

    @Test func tarContainer_WithALie_IsRefused() throws {
        func changed(_ number: Int, _ body: (inout [UInt8]) -> Void) throws -> String {
            var files = files(checkpoint)
            body(&files[number].content)
            return try message(tar(files))
        }
        #expect(try changed(0) { $0[$0.count - 3] = 0x89 }.contains("is not little-endian"))
        #expect(try changed(2) { $0[3] = 0xFF }.contains("tensors: "))
        #expect(try changed(3) { $0[3] = 2 }.contains("storages: "))
        #expect(
            try message(tar([TarFile(name: "notes.txt", content: [1])])).contains(
                "a tar archive without the file sys_info"
            )
        )
    }
}
