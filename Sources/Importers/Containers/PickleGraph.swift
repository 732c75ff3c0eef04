// What a pickle of tensors and plain values becomes: nodes in an array, which refer to each other by number. A pickle can
// say that a list holds itself, or that one tuple stands in a million places; in a graph both cost what they are written
// with, and nobody who reads it follows references without end.

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
    /// A plain value that no importer looks at: bytes, an integer beyond 64 bits.
    case opaque
    /// By number of its array in the graph.
    case list(Int32)
    case tuple(Int32)
    /// Keys and values in turn; a key may stand twice, the later one counts.
    case dictionary(Int32)
    /// Something that the pickle named but did not call.
    case global(PickleGlobal)
    /// By number.
    case storage(Int32)
    case tensor(Int32)
}

/// The globals that a pickle may name. There is no way from any other name to a value.
enum PickleGlobal: Equatable {
    case orderedDict
    case rebuildTensor
    case rebuildTensorV2
    case rebuildParameter
    case rebuildParameterWithState
    case storage(TorchDType)
    case dtype

    init?(module: String, name: String) {
        switch (module, name) {
        case ("collections", "OrderedDict"): self = .orderedDict
        case ("torch._utils", "_rebuild_tensor"): self = .rebuildTensor
        case ("torch._utils", "_rebuild_tensor_v2"): self = .rebuildTensorV2
        case ("torch._utils", "_rebuild_parameter"): self = .rebuildParameter
        case ("torch._utils", "_rebuild_parameter_with_state"): self = .rebuildParameterWithState
        case ("torch", _):
            if let dtype = TorchDType.allCases.first(where: { $0.storageName == name }) {
                self = .storage(dtype)
            } else if TorchDType(rawValue: name) != nil {
                self = .dtype
            } else {
                return nil
            }
        default: return nil
        }
    }
}

/// A piece of the checkpoint's memory that tensors are views of.
struct TorchStorage: Equatable {
    /// Its entry in the archive is `data/<key>`.
    let key: String
    let dtype: TorchDType
    /// In elements.
    let count: Int
}

/// A tensor as the pickle states it. Nothing has been checked against the storage's bytes yet.
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
    let tensors: [TorchTensor]

    subscript(id: PickleID) -> PickleNode { nodes[Int(id.index)] }

    /// The entries of a dictionary whose keys are strings, in order; entries with other keys are left out. Nil if the
    /// node is no dictionary.
    func entries(_ id: PickleID) -> [(key: String, value: PickleID)]? {
        guard case .dictionary(let number) = self[id] else { return nil }
        let items = arrays[Int(number)]
        return stride(from: 0, to: items.count - 1, by: 2).compactMap { index in
            guard case .string(let key) = self[items[index]] else { return nil }
            return (key, items[index + 1])
        }
    }

    /// The tensor that a node is; nil if it is none.
    func tensor(_ id: PickleID) -> TorchTensor? {
        guard case .tensor(let number) = self[id] else { return nil }
        return tensors[Int(number)]
    }
}
