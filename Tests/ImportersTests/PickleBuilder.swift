// Writes pickles opcode by opcode for the tests, and from them small checkpoints with a false value in any place.

@testable import Importers

/// A pickle being written.
struct PickleBuilder {
    private(set) var bytes: [UInt8]

    init(protocol version: UInt8 = 2) {
        bytes = [0x80, version]
    }

    mutating func op(_ opcode: PickleOpcode, _ argument: [UInt8] = []) {
        bytes.append(opcode.rawValue)
        bytes += argument
    }

    mutating func string(_ text: String) {
        op(.binunicode)
        bytes.append(little: UInt32(text.utf8.count))
        bytes += Array(text.utf8)
    }

    mutating func integer(_ value: Int) {
        op(.long1, [8])
        bytes.append(little: Int64(value))
    }

    mutating func global(_ module: String, _ name: String) {
        op(.global, Array("\(module)\n\(name)\n".utf8))
    }

    mutating func integers(_ values: [Int]) {
        op(.mark)
        for value in values { integer(value) }
        op(.tuple)
    }

    mutating func tensor(_ tensor: TinyTensor) {
        global("torch._utils", "_rebuild_tensor_v2")
        tensorArguments(tensor)
        op(.reduce)
    }

    /// The arguments of `_rebuild_tensor_v2`.
    mutating func tensorArguments(_ tensor: TinyTensor) {
        op(.mark)
        op(.mark)
        string("storage")
        global("torch", tensor.storageClass)
        string(tensor.key)
        string("cpu")
        integer(tensor.count)
        op(.tuple)
        op(.binpersid)
        integer(tensor.offset)
        integers(tensor.shape)
        integers(tensor.strides)
        op(.newfalse)
        global("collections", "OrderedDict")
        op(.emptyTuple)
        op(.reduce)
        op(.tuple)
    }
}

/// A tensor of a synthetic checkpoint.
struct TinyTensor {
    var name: String
    var storageClass = "FloatStorage"
    var key: String
    /// The element count of the storage according to the pickle.
    var count: Int
    var offset = 0
    var shape: [Int]
    var strides: [Int]
    /// The storage's bytes; nil: no entry in the archive.
    var content: [UInt8]?

    init(_ name: String, _ shape: [Int], key: String) {
        self.name = name
        self.key = key
        self.shape = shape
        count = shape.reduce(1, *)
        strides = shape.indices.map { shape[($0 + 1)...].reduce(1, *) }
        // 1.0 in every element.
        content = (0..<count).flatMap { _ in [0, 0, 0x80, 0x3F] as [UInt8] }
    }
}

/// A checkpoint that matches `tinyDescription`.
struct TinyCheckpoint {
    var tensors: [TinyTensor]
    var stateKey: String? = "model_state_dict"
    var byteOrder: [UInt8]? = Array("little".utf8)
    var extraEntries: [ZipBuilderEntry] = []

    init(prefix: String = "module.", relativeBias: Bool = true) {
        let layer = "_hstu._attention_layers.0."
        var shapes: [(String, [Int])] = [
            ("_embedding_module._item_emb.weight", [7, 4]),
            ("_input_features_preproc._pos_emb.weight", [6, 4]),
            (layer + "_uvqk", [4, 12]),
            (layer + "_o.weight", [4, 4]),
            (layer + "_o.bias", [4]),
        ]
        if relativeBias {
            shapes += [(layer + "_rel_attn_bias._ts_w", [129]), (layer + "_rel_attn_bias._pos_w", [11])]
        }
        tensors = shapes.enumerated().map { TinyTensor(prefix + $1.0, $1.1, key: "\($0)") }
    }

    /// Changes the tensor whose name has this suffix.
    mutating func change(_ suffix: String, _ body: (inout TinyTensor) -> Void) {
        for index in tensors.indices where tensors[index].name.hasSuffix(suffix) { body(&tensors[index]) }
    }

    var pickle: [UInt8] {
        var pickle = PickleBuilder()
        pickle.op(.emptyDict)
        pickle.op(.mark)
        if let stateKey {
            pickle.string(stateKey)
            pickle.op(.emptyDict)
            pickle.op(.mark)
        }
        for tensor in tensors {
            pickle.string(tensor.name)
            pickle.tensor(tensor)
        }
        pickle.op(.setitems)
        if stateKey != nil { pickle.op(.setitems) }
        pickle.op(.stop)
        return pickle.bytes
    }

    var entries: [ZipBuilderEntry] {
        var entries = [ZipBuilderEntry("tiny/data.pkl", pickle)]
        if let byteOrder { entries.append(ZipBuilderEntry("tiny/byteorder", byteOrder)) }
        var keys: Set<String> = []
        for tensor in tensors where keys.insert(tensor.key).inserted {
            if let content = tensor.content { entries.append(ZipBuilderEntry("tiny/data/\(tensor.key)", content)) }
        }
        return entries + extraEntries
    }

    var bytes: [UInt8] { zip(entries) }
}
