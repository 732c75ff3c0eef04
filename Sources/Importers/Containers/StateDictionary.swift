// The tensors of a model by name. Trainers and their wrappers put them under many keys and prefixes, so they are
// searched for: by a few names that the importer needs, which share one prefix in one dictionary or in a model saved as
// an object.

internal import JSON
import Models

/// Where a checkpoint holds the tensors.
package struct WeightsOrigin: Sendable, Equatable {
    /// The keys that lead to the dictionary, joined by dots; empty: the whole checkpoint.
    package let dictionary: String
    /// The prefix of every name; empty or ending in a dot.
    package let prefix: String

    /// Its name for `--weights`.
    var key: String {
        [dictionary, String(prefix.dropLast())].filter { !$0.isEmpty }.joined(separator: ".")
    }

    /// A phrase for people.
    package var description: String {
        (dictionary.isEmpty ? "the whole checkpoint" : quoted(dictionary))
            + (prefix.isEmpty ? ", without a prefix" : ", prefix \(quoted(prefix))")
    }
}

/// The tensors of a model by name.
struct StateDictionary: TensorSource {
    /// Parts that wrappers insert into names (`torch.compile`, FSDP, activation checkpointing). They can occur anywhere
    /// in a name and are never part of a model's own.
    private static let wrappers: Set<Substring> = ["_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"]

    private let checkpoint: TorchCheckpoint
    private let tensors: [String: TorchTensor]
    let origin: WeightsOrigin?
    /// Tensors of the same dictionary outside the prefix, by their names there.
    let outside: [String]

    var path: String { checkpoint.path }
    var names: Set<String> { Set(tensors.keys) }

    /// Finds the model.
    ///
    /// - Parameters:
    ///   - anchors: names that every such model has.
    ///   - choice: selects one of several models, the value of `--weights`; nil: there is only one.
    /// - Throws: `ImportError` that names what was searched for and the nearest match, or all models that fit.
    init(_ checkpoint: TorchCheckpoint, anchors: [String], choice: String?) throws(ImportError) {
        self.checkpoint = checkpoint
        let dictionaries = Self.dictionaries(checkpoint.graph)
        var candidates = dictionaries.flatMap { $0.candidates(anchors) }
        guard !candidates.isEmpty else {
            throw Self.nothingFound(checkpoint.path, dictionaries, anchors)
        }
        let all = candidates
        // An import says the prefix with its dot.
        let choice = choice.map { $0.hasSuffix(".") ? String($0.dropLast()) : $0 }
        if let choice {
            candidates = all.filter { $0.origin.key == choice }
            if candidates.isEmpty {
                candidates = all.filter { $0.origin.dictionary == choice || $0.origin.prefix == choice + "." }
            }
        }
        // Two dictionaries of the same views are one model.
        guard let found = candidates.first, candidates.allSatisfy({ $0.tensors == found.tensors }) else {
            let keys = all.map { quoted($0.origin.key) }.joined(separator: ", ")
            let problem = choice.map { "--weights \(quoted($0)) is none of them" } ?? "choose one with --weights"
            throw ImportError(.mismatched, "\(checkpoint.path) holds several models; \(problem): \(keys)")
        }
        if let twice = found.twice {
            throw ImportError(.mismatched, "\(checkpoint.path): the tensor \(quoted(twice)) appears twice")
        }
        tensors = found.tensors
        origin = found.origin
        outside = found.outside
    }

    /// All tensors of the checkpoint itself, by its names.
    ///
    /// - Throws: `ImportError` where it is neither a dictionary of tensors nor a model.
    init(whole checkpoint: TorchCheckpoint) throws(ImportError) {
        self.checkpoint = checkpoint
        guard let dictionary = Self.dictionaries(checkpoint.graph).first(where: \.path.isEmpty) else {
            throw ImportError(.mismatched, "\(checkpoint.path) is not a dictionary of tensors")
        }
        let all = Candidate(dictionary, prefix: "")
        if let twice = all.twice {
            throw ImportError(.mismatched, "\(checkpoint.path): the tensor \(quoted(twice)) appears twice")
        }
        tensors = all.tensors
        origin = nil
        outside = []
    }

    func shape(of name: String) throws(ImportError) -> [Int]? {
        guard let tensor = tensors[name] else { return nil }
        try checkpoint.locate(tensor, name: name)
        return tensor.shape
    }

    func dtype(of name: String) -> TorchDType? { tensors[name]?.storage.dtype }

    func read(_ name: String) throws(ImportError) -> TensorContent {
        guard let tensor = tensors[name] else { throw missing(name) }
        return try checkpoint.read(tensor, name: name)
    }

    // MARK: - The search

    /// A dictionary of a checkpoint that holds at least one tensor.
    private struct Dictionary {
        /// The keys that lead to it.
        let path: String
        /// Names without wrappers' parts; nil: not a tensor.
        let entries: [(name: String, stated: String, tensor: TorchTensor?)]

        /// A candidate for each prefix under which all anchors exist.
        func candidates(_ anchors: [String]) -> [Candidate] {
            guard let first = anchors.first else { return [] }
            let names = Set(entries.lazy.filter { $0.tensor != nil }.map(\.name))
            let prefixes = Set(entries.lazy.compactMap { $0.name.prefix(before: first) })
            let fitting = prefixes.filter { prefix in anchors.allSatisfy { names.contains(prefix + $0) } }
            // At most as many as a person would look through.
            return fitting.sorted().prefix(16).map { Candidate(self, prefix: $0) }
        }

        /// The prefix with the most anchors or, if there are none, the one that all names share; for error messages.
        func believedPrefix(_ anchors: [String]) -> (prefix: String, found: Int) {
            let names = Set(entries.map(\.name))
            let prefixes = Set(anchors.flatMap { anchor in entries.compactMap { $0.name.prefix(before: anchor) } })
            let counts = prefixes.sorted().map { prefix in
                (prefix: prefix, found: anchors.count { names.contains(prefix + $0) })
            }
            if let best = counts.max(by: { $0.found < $1.found }) { return best }
            var shared = entries.first?.name.split(separator: ".", omittingEmptySubsequences: false).dropLast() ?? []
            for entry in entries {
                let parts = entry.name.split(separator: ".", omittingEmptySubsequences: false)
                while !shared.isEmpty, !parts.starts(with: shared) { shared.removeLast() }
            }
            return (shared.map { $0 + "." }.joined(), 0)
        }
    }

    /// The tensors of a dictionary under one prefix.
    private struct Candidate {
        let origin: WeightsOrigin
        private(set) var tensors: [String: TorchTensor] = [:]
        /// The first duplicate name, as in the checkpoint.
        private(set) var twice: String?
        private(set) var outside: [String] = []

        init(_ dictionary: Dictionary, prefix: String) {
            origin = WeightsOrigin(dictionary: dictionary.path, prefix: prefix)
            for entry in dictionary.entries {
                guard let tensor = entry.tensor else { continue }
                guard entry.name.hasPrefix(prefix) else {
                    outside.append(entry.stated)
                    continue
                }
                let name = String(entry.name.dropFirst(prefix.count))
                if tensors.updateValue(tensor, forKey: name) != nil { twice = twice ?? entry.stated }
            }
        }
    }

    /// All dictionaries with tensors, each once, outer ones first. A checkpoint may contain itself.
    private static func dictionaries(_ graph: PickleGraph) -> [Dictionary] {
        var found: [Dictionary] = []
        var seen: Set<PickleID> = [graph.root]
        var queue = [(path: "", id: graph.root)]
        var next = 0
        while next < queue.count {
            let (path, id) = queue[next]
            next += 1
            if let state = graph.moduleState(id) {
                found.append(
                    Dictionary(path: path, entries: state.map { (unwrapped($0.name), $0.name, graph.tensor($0.value)) })
                )
            } else if let entries = graph.entries(id), entries.contains(where: { graph.tensor($0.value) != nil }) {
                found.append(
                    Dictionary(
                        path: path,
                        entries: entries.map { (unwrapped($0.key), $0.key, graph.tensor($0.value)) }
                    )
                )
            }
            for child in graph.children(id) where seen.insert(child.value).inserted {
                // A chain of lists must not make paths as long as itself.
                let childPath = path.utf8.count > 256 ? path : path.isEmpty ? child.name : path + "." + child.name
                queue.append((childPath, child.value))
            }
        }
        return found
    }

    private static func unwrapped(_ name: String) -> String {
        let parts = name.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.contains(where: wrappers.contains) else { return name }
        return parts.filter { !wrappers.contains($0) }.joined(separator: ".")
    }

    private static func nothingFound(
        _ path: String,
        _ dictionaries: [Dictionary],
        _ anchors: [String]
    ) -> ImportError {
        let wanted = anchors.map { quoted($0) }.joined(separator: " and ")
        let best = dictionaries.map { dictionary in
            let (prefix, found) = dictionary.believedPrefix(anchors)
            return (dictionary: dictionary, prefix: prefix, found: found)
        }.max { ($0.found, $0.dictionary.entries.count) < ($1.found, $1.dictionary.entries.count) }
        guard let best else {
            return ImportError(.mismatched, "\(path) holds no dictionary of tensors; looked for \(wanted)")
        }
        let names = best.dictionary.entries.filter { $0.tensor != nil }.map(\.name)
        let missing = anchors.filter { !names.contains(best.prefix + $0) }
        let near = missing.map { anchor in
            nearestName(to: best.prefix + anchor, among: names).map { "nearest to \(quoted(anchor)) is \(quoted($0))" }
                ?? "nothing is close to \(quoted(anchor))"
        }
        let origin = WeightsOrigin(dictionary: best.dictionary.path, prefix: best.prefix)
        return ImportError(
            .mismatched,
            "\(path): no dictionary has \(wanted) under one prefix; in the closest (\(origin.description), "
                + "\(names.count) tensors) \(near.joined(separator: ", "))"
        )
    }
}

extension String {
    /// The part of this name before `name`: empty, or parts that end in a dot. Nil if this does not end in `name`.
    fileprivate func prefix(before name: String) -> String? {
        guard hasSuffix(name) else { return nil }
        let prefix = String(dropLast(name.count))
        return prefix.isEmpty || prefix.hasSuffix(".") ? prefix : nil
    }
}
