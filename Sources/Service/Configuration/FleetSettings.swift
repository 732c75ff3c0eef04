// The settings `models` and `routing`: the initial bundles, and the split of requests by version. Only the file can set
// them.

internal import Compute
package import Devices
internal import Files
internal import JSON
internal import Models

/// How a model is computed where that differs from `engine`.
package struct ModelPlacement: Sendable, Equatable {
    /// A subset of `engine.device`; nil: all of them.
    package var devices: [ComputeSettings.DeviceKind]?
    /// Overrides `engine.dtype`; nil: does not.
    package var dtype: String?
    package var threads: Int?

    package init() {}
}

/// A model's bundle, and how to compute it.
package struct ModelOrigin: Sendable, Equatable {
    /// The directory of the bundle, or a link to one.
    package var directory: String
    package var placement = ModelPlacement()
    /// Whether to reload when the path's target changes.
    package var isWatched = false

    package init(_ directory: String) { self.directory = directory }
}

/// The models and routing of the configuration file.
package struct FleetSettings: Sendable, Equatable {
    /// How a model's requests are divided.
    package struct Routing: Sendable, Equatable {
        package var split: TrafficSplit
        package var shadow: [TrafficSplit.Share] = []

        package init(split: TrafficSplit, shadow: [TrafficSplit.Share] = []) {
            self.split = split
            self.shadow = shadow
        }
    }

    /// A value and its place: `genrec.yaml:12:3`.
    package struct Placed<Value: Sendable & Equatable>: Sendable, Equatable {
        package var value: Value
        package var place: String
    }

    /// The keys of the file that are read here.
    static let keys: Set<String> = ["models", "routing"]

    /// Empty: the server serves the bundle under `bundle`.
    package var models: [Placed<ModelOrigin>] = []
    /// Keyed by model name.
    package var routing: [String: Placed<Routing>] = [:]

    package init() {}
}

// MARK: - Reading

extension FleetSettings {
    /// Reads the values under `keys`.
    ///
    /// - Parameter faults: receives the faults, each with its place.
    init(_ nodes: [String: SettingsNode], file: String, _ faults: inout [ConfigurationError]) {
        var reader = Reader(file: file)
        if let node = nodes["models"] { models = reader.models(node) }
        if let node = nodes["routing"] { routing = reader.routing(node) }
        faults += reader.faults
    }

    private struct Reader {
        let file: String
        var faults: [ConfigurationError] = []

        mutating func note(_ place: String, _ problem: String) {
            faults.append(ConfigurationError(description: "\(file):\(place): \(problem)"))
        }

        mutating func models(_ node: SettingsNode) -> [Placed<ModelOrigin>] {
            if case .scalar("", _) = node { return [] }
            guard case .list(let entries, _) = node else {
                note(node.place, "models must be a list of bundles, each '- bundle: DIRECTORY'")
                return []
            }
            return entries.enumerated().compactMap { index, entry in model(entry, "models[\(index)]") }
        }

        private mutating func model(_ node: SettingsNode, _ path: String) -> Placed<ModelOrigin>? {
            guard case .mapping(let members, let place) = node else {
                note(node.place, "\(path) must be a mapping with a bundle")
                return nil
            }
            var origin = ModelOrigin("")
            for member in members {
                guard case .scalar(let text, let place) = member.value else {
                    note(member.value.place, "\(path).\(member.key) must be a single value")
                    continue
                }
                switch member.key {
                case "bundle": origin.directory = text
                case "device":
                    do throws(DeviceSelectionError) {
                        origin.placement.devices = try ComputeSettings.devices(text)
                    } catch {
                        note(place, "\(path).device: \(error.description)")
                    }
                case "dtype": origin.placement.dtype = text
                case "threads":
                    let cores = ComputeSettings.availableThreads
                    origin.placement.threads = Int(text)
                    if !(0...cores ~= Int(text) ?? -1) {
                        note(place, "\(path).threads must be a whole number from 0 to \(cores), not '\(text)'")
                    } else if origin.placement.threads == 0 {
                        origin.placement.threads = cores
                    }
                case "watch":
                    guard ["true", "false"].contains(text) else {
                        note(place, "\(path).watch must be true or false, not '\(text)'")
                        continue
                    }
                    origin.isWatched = text == "true"
                default:
                    let known = ["bundle", "device", "dtype", "threads", "watch"]
                    let near = nearestName(to: member.key, among: known).map { "; did you mean '\($0)'?" } ?? ""
                    note(member.keyPlace, "\(path) has no setting '\(member.key)'\(near)")
                }
            }
            guard !origin.directory.isEmpty else {
                note(place, "\(path).bundle is missing")
                return nil
            }
            return Placed(value: origin, place: "\(file):\(place)")
        }

        mutating func routing(_ node: SettingsNode) -> [String: Placed<Routing>] {
            if case .scalar("", _) = node { return [:] }
            guard case .mapping(let members, _) = node else {
                note(node.place, "routing must be a mapping of models' names")
                return [:]
            }
            var routing: [String: Placed<Routing>] = [:]
            for member in members {
                if let value = self.routing(member.value, "routing.\(member.key)") {
                    routing[member.key] = Placed(value: value, place: "\(file):\(member.keyPlace)")
                }
            }
            return routing
        }

        private mutating func routing(_ node: SettingsNode, _ path: String) -> Routing? {
            guard case .mapping(let members, let place) = node else {
                note(node.place, "\(path) must be a mapping with a split")
                return nil
            }
            var split: [TrafficSplit.Share]?
            var shadow: [TrafficSplit.Share] = []
            for member in members {
                switch member.key {
                case "split": split = shares(member.value, "\(path).split")
                case "shadow": shadow = shares(member.value, "\(path).shadow") ?? []
                default: note(member.keyPlace, "\(path) has no setting '\(member.key)'; it has split and shadow")
                }
            }
            guard let split else {
                if !members.contains(where: { $0.key == "split" }) { note(place, "\(path).split is missing") }
                return nil
            }
            if let fault = TrafficSplit.fault(split) {
                note(place, "\(path).\(fault)")
                return nil
            }
            return Routing(split: TrafficSplit(split), shadow: shadow)
        }

        private mutating func shares(_ node: SettingsNode, _ path: String) -> [TrafficSplit.Share]? {
            guard case .mapping(let members, _) = node else {
                note(node.place, "\(path) must be a mapping of versions to shares in per cent")
                return nil
            }
            var shares: [TrafficSplit.Share] = []
            for member in members {
                guard case .scalar(let text, _) = member.value, let percent = Double(text), 0...100 ~= percent else {
                    note(member.value.place, "\(path).\(member.key) must be a number from 0 to 100")
                    return nil
                }
                shares.append(TrafficSplit.Share(member.key, percent))
            }
            return shares
        }
    }
}

extension TrafficSplit {
    /// What is wrong with shares that are each from 0 to 100; nil if nothing is.
    static func fault(_ shares: [Share]) -> String? {
        let sum = shares.reduce(0) { $0 + $1.percent }
        return abs(sum - 100) < 1e-6 ? nil : "split sums to \(sum), not to 100"
    }
}

// MARK: - Checking

extension ServiceConfiguration {
    static let fleetSettings: [Setting] = [
        .text(
            "default_model",
            \.defaultModel,
            allowed: "a model's name",
            """
            The model for requests that name none. Required if models of several names are loaded. Empty: the only \
            one.
            """
        ),
        .text(
            "state.directory",
            \.stateDirectory,
            allowed: "a directory",
            """
            The folder for changes made over HTTP: models, routing, catalogues. It is created if missing; one process \
            at a time owns it. Empty: a restart discards such changes, and replies to them say so.
            """
        ),
        .integer(
            "catalogue.max_added",
            \.maxAddedItems,
            0...10_000_000,
            """
            Items that may be added to a model over HTTP. Each takes two rows of the item table's width on every \
            device and one in the server.
            """
        ),
    ]

    /// The keys `models` and `routing` as comments in the file of defaults.
    static let fleetExample = """
        # Several models instead of the one under bundle. Each has the name and version of its bundle.
        # models:
        #   - bundle: bundles/movies-7   # a directory, or a link to one
        #   - bundle: bundles/movies-8
        #     dtype: bf16                # device, dtype and threads can be set per model; default: those under engine
        #     threads: 2                 # device: one or several of those under engine.device
        #     watch: true                # reload when the path's target changes
        # The split of a model's requests by version, in percent, summing to 100; and the percentage that another version
        # also computes, after the reply. Without it the first version gets all requests.
        # routing:
        #   movies:
        #     split: {"7": 95, "8": 5}
        #     shadow: {"9": 10}

        """

    /// The initial models of a server.
    func origins() throws(FileError) -> [FleetSettings.Placed<ModelOrigin>] {
        guard fleet.models.isEmpty else { return fleet.models }
        let origin = if let bundlePath { ModelOrigin(bundlePath) } else { ModelOrigin(try DemoBundle.locate()) }
        return [FleetSettings.Placed(value: origin, place: "")]
    }

    /// Whether a bundle may still replace a model of the file: the file must still have the same entry for the model
    /// and the same routing for its name. The replaced bundle itself may be gone from the disk.
    func lets(_ next: BundleConfiguration, replace old: FleetState.Replaced, _ changes: FleetState) -> Bool {
        guard (try? origins())?.contains(where: { $0.value.directory == old.directory }) ?? false else { return false }
        if let now = try? ModelBundle.configuration(directory: old.directory) {
            guard now.name == old.name, now.version == old.version else { return false }
        }
        guard next.name == old.name || defaultModel != old.name else { return false }
        let routing = fleet.routing[old.name]?.value
        return routing == nil || changes.routing[old.name]?.configured == routing
    }

    /// Why a model cannot be computed as configured; nil if it can.
    func fault(_ origin: FleetSettings.Placed<ModelOrigin>) -> ConfigurationError? {
        let placement = origin.value.placement
        func fault(_ problem: String) -> ConfigurationError {
            ConfigurationError(description: "\(origin.place): \(problem)")
        }
        if let other = placement.devices?.first(where: { !compute.devices.contains($0) }) {
            return fault("device: \(other) is not listed in engine.device")
        }
        let kind = placement.devices?.first ?? compute.devices[0]
        do throws(DeviceSelectionError) {
            let dtype = try placement.dtype.map { text throws(DeviceSelectionError) in
                try ComputeSettings.dtype(text, for: kind)
            }
            if kind != .cpu, placement.threads != nil || dtype.map({ $0 != compute.dtype }) ?? false {
                return fault("dtype must equal engine.dtype on an NPU, and threads is only for a cpu")
            }
        } catch {
            return fault("dtype: \(error.description)")
        }
        return nil
    }

    /// The faults of names and versions once the bundles are known.
    ///
    /// - Parameter models: the bundles that could be read, in order.
    func faults(_ models: [(name: String, version: String, place: String)]) -> [ConfigurationError] {
        var faults: [ConfigurationError] = []
        for (index, model) in models.enumerated()
        where models[..<index].contains(where: { $0.name == model.name && $0.version == model.version }) {
            faults.append(
                ConfigurationError(
                    description:
                        "\(model.place): version '\(model.version)' of the model '\(model.name)' appears twice"
                )
            )
        }
        let names = Set(models.map(\.name))
        for (name, routing) in fleet.routing.sorted(by: { $0.key < $1.key }) {
            let versions = models.filter { $0.name == name }.map(\.version)
            let missing = (routing.value.split.shares + routing.value.shadow).first { !versions.contains($0.version) }
            if versions.isEmpty {
                let problem = "routing.\(name): there is no model of that name"
                faults.append(ConfigurationError(description: "\(routing.place): \(problem)"))
            } else if let missing {
                let problem = "routing.\(name): there is no version '\(missing.version)'; there are "
                let known = versions.joined(separator: ", ")
                faults.append(ConfigurationError(description: "\(routing.place): \(problem)\(known)"))
            }
        }
        let known = names.sorted().joined(separator: ", ")
        if let defaultModel, !names.contains(defaultModel) {
            let problem = "there is no model '\(defaultModel)'; there are \(known)"
            faults.append(ConfigurationError(description: "default_model: \(problem)"))
        } else if defaultModel == nil, names.count > 1 {
            let problem = "must be set, because there are models of several names: \(known)"
            faults.append(ConfigurationError(description: "default_model \(problem)"))
        }
        return faults
    }
}
