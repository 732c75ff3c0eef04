// The result of reading a pickle of tensors and plain values: an array of nodes that refer to each other by number. A
// pickle can say that a list contains itself, or that one tuple occurs a million times. In a graph both cost only their
// written size, and no reader follows references endlessly.

/// The number of a node in its graph.
struct PickleID: Hashable {
    let index: Int32
}

/// A value of a pickle.
enum PickleNode: Equatable {
    case none
    case boolean(Bool)
    case integer(Int64)
    case real(Double)
    case string(String)
    /// A plain value that no importer reads: bytes, or an integer beyond 64 bits.
    case opaque
    /// The number of its array in the graph, as for the other containers.
    case list(Int32)
    case tuple(Int32)
    /// Keys and values alternate; the last of duplicate keys counts.
    case dictionary(Int32)
    /// A name in the pickle that is not called.
    case global(PickleGlobal)
    /// A call that is not executed: its arguments, items and attributes as a dictionary, with unnamed ones under the
    /// key `none`.
    case object(Int32)
    /// The number of its entry in the graph.
    case storage(Int32)
    case tensor(Int32)
}

/// The globals that a pickle can name. An unknown name can only lead to an inert object.
enum PickleGlobal: Equatable {
    case other
    case orderedDict
    case rebuildTensor
    case rebuildTensorV2
    case rebuildParameter
    case rebuildParameterWithState
    /// (function, class, arguments, state): a tensor of a subclass, or one with attributes.
    case rebuildFromType
    case storage(TorchDType)

    init(module: String, name: String) {
        switch (module, name) {
        case ("collections", "OrderedDict"): self = .orderedDict
        case ("torch._utils", "_rebuild_tensor"): self = .rebuildTensor
        case ("torch._utils", "_rebuild_tensor_v2"): self = .rebuildTensorV2
        case ("torch._utils", "_rebuild_parameter"): self = .rebuildParameter
        case ("torch._utils", "_rebuild_parameter_with_state"): self = .rebuildParameterWithState
        case ("torch._tensor", "_rebuild_from_type_v2"): self = .rebuildFromType
        case ("torch", _), ("torch.cuda", _):
            let dtype = TorchDType.allCases.first { $0.storageName == name }
            self = dtype.map { .storage($0) } ?? .other
        default: self = .other
        }
    }
}

/// A block of the checkpoint's memory that tensors are views of.
struct TorchStorage: Equatable {
    /// Its entry in a zip archive is `data/<key>`.
    let key: String
    let dtype: TorchDType
    /// In elements.
    let count: Int
}

/// A tensor as the pickle states it, not yet checked against its storage's bytes.
struct TorchTensor: Equatable {
    let storage: TorchStorage
    /// In elements from the storage's start; never negative.
    let offset: Int
    /// Outermost first; never negative.
    let shape: [Int]
    /// In elements, one for each extent; never negative.
    let strides: [Int]
}

/// The values of one pickle.
struct PickleGraph {
    let root: PickleID
    let nodes: [PickleNode]
    let arrays: [[PickleID]]
    let storages: [TorchStorage]
    let tensors: [TorchTensor]
    /// The length of the pickle, including STOP.
    let byteCount: Int

    subscript(id: PickleID) -> PickleNode { nodes[Int(id.index)] }

    /// The entries of a dictionary or object whose keys are strings, in order; entries with other keys are skipped. Nil
    /// if the node is neither.
    func entries(_ id: PickleID) -> [(key: String, value: PickleID)]? {
        switch self[id] {
        case .dictionary(let number), .object(let number):
            let items = arrays[Int(number)]
            return stride(from: 0, to: items.count - 1, by: 2).compactMap { index in
                guard case .string(let key) = self[items[index]] else { return nil }
                return (key, items[index + 1])
            }
        default: return nil
        }
    }

    /// The children of a node, named by dictionary and object keys as text or by list positions.
    func children(_ id: PickleID) -> [(name: String, value: PickleID)] {
        switch self[id] {
        case .list(let number), .tuple(let number):
            return arrays[Int(number)].enumerated().map { (String($0), $1) }
        case .dictionary(let number), .object(let number):
            let items = arrays[Int(number)]
            return stride(from: 0, to: items.count - 1, by: 2).map { index in
                switch self[items[index]] {
                case .string(let key): (key, items[index + 1])
                case .integer(let key): (String(key), items[index + 1])
                default: (String(index / 2), items[index + 1])
                }
            }
        default: return []
        }
    }

    /// The tensor of a node; nil if the node is not a tensor.
    func tensor(_ id: PickleID) -> TorchTensor? {
        guard case .tensor(let number) = self[id] else { return nil }
        return tensors[Int(number)]
    }
}
