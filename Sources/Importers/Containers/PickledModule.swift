// Models saved whole, by `torch.save(model)`. The pickle has objects of their classes, which are not instantiated here.
// Their attributes contain the state dictionary: parameters and buffers by name, and submodules by name that contain
// the same (torch/nn/modules/module.py, `state_dict`).

extension PickleGraph {
    /// The most tensors of a module and its submodules, which may be shared.
    private static let stateLimit = 1 << 16
    /// The maximum nesting depth of modules.
    private static let depthLimit = 64

    /// The state dictionary of a module object, with the names of `state_dict()`. Nil for anything else, and for a
    /// module without tensors.
    func moduleState(_ id: PickleID) -> [(name: String, value: PickleID)]? {
        guard isModule(id) else { return nil }
        var state: [(name: String, value: PickleID)] = []
        // Last in, first out. The limits stop a module that contains itself.
        var waiting = [(prefix: "", id: id, depth: 0)]
        var visits = 0
        while let (prefix, id, depth) = waiting.popLast(), state.count < Self.stateLimit, visits < Self.stateLimit {
            visits += 1
            let attributes = attributes(id)
            let hidden = attributes["_non_persistent_buffers_set"].map { strings($0) } ?? []
            for key in ["_parameters", "_buffers"] {
                for (name, value) in attributes[key].flatMap({ entries($0) }) ?? [] where !hidden.contains(name) {
                    if tensor(value) != nil { state.append((prefix + name, value)) }
                }
            }
            guard depth < Self.depthLimit else { continue }
            for (name, value) in (attributes["_modules"].flatMap { entries($0) } ?? []).reversed() where isModule(value)
            {
                waiting.append((prefix + name + ".", value, depth + 1))
            }
        }
        return state.isEmpty ? nil : state
    }

    private func isModule(_ id: PickleID) -> Bool {
        guard case .object = self[id] else { return false }
        let attributes = attributes(id)
        return attributes["_parameters"] != nil && attributes["_modules"] != nil
    }

    /// The attributes that BUILD has set; the last of duplicates counts.
    private func attributes(_ id: PickleID) -> [String: PickleID] {
        Dictionary((entries(id) ?? []).map { ($0.key, $0.value) }, uniquingKeysWith: { $1 })
    }

    /// The strings of a set: a list here or, in old protocols, an object that holds one.
    private func strings(_ id: PickleID) -> Set<String> {
        var found: Set<String> = []
        var level = [id]
        for _ in 0..<4 {
            for id in level { if case .string(let text) = self[id] { found.insert(text) } }
            level = level.flatMap { children($0).map(\.value) }
        }
        return found
    }
}
