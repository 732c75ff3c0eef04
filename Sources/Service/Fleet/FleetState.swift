// The changes made to a fleet over HTTP, saved in `state.directory` to survive restarts.

internal import Dispatch
internal import Files
internal import Foundation
internal import JSON
internal import Logging

/// The changes: added models, and changed routing.
struct FleetState: Sendable, Equatable {
    /// The routing of a name.
    struct Entry: Sendable, Equatable {
        var routing: Fleet.Routing
        /// The state that a rollback restores.
        var previous: Fleet.Routing?
        /// The configuration file's routing at the time of the change. Once the file differs, the change is void.
        var configured: Fleet.Routing?
    }

    /// A model of the configuration file that another has replaced.
    struct Replaced: Sendable, Equatable {
        /// The directory of its bundle.
        var directory: String
        var name: String
        var version: String
    }

    /// A model that was added.
    struct Model: Sendable, Equatable {
        /// The directory of its bundle.
        var directory: String
        /// The model that it replaces; nil: it was added beside those of the file.
        var replaced: Replaced?
    }

    var models: [Model] = []
    var routing: [String: Entry] = [:]
}

// MARK: - JSON

extension FleetState {
    private static let formatVersion = 1

    var json: JSONValue {
        [
            "format_version": .integer(Self.formatVersion),
            "models": .array(models.map(\.json)),
            "routing": .object(
                pairs: routing.sorted { $0.key < $1.key }.map { name, entry -> (key: String, value: JSONValue) in
                    var members = [JSONMember("current", entry.routing.json)]
                    if let previous = entry.previous { members.append(JSONMember("previous", previous.json)) }
                    if let configured = entry.configured { members.append(JSONMember("configured", configured.json)) }
                    return (key: name, value: .object(members))
                }
            ),
        ]
    }

    init(_ value: JSONValue) throws(JSONError) {
        var fields = try JSONFields(value)
        _ = try fields.integer("format_version", in: Self.formatVersion...Self.formatVersion)
        guard case .array(let models) = try fields.value("models") else {
            throw JSONError("models must be an array")
        }
        for (index, model) in models.enumerated() {
            var model = try JSONFields(model, path: "models[\(index)]")
            self.models.append(try Model(&model))
            try model.end()
        }
        var routing = try fields.object("routing")
        for name in routing.names {
            var entry = try routing.object(name)
            func read(_ key: String) throws(JSONError) -> Fleet.Routing? {
                guard entry.contains(key) else { return nil }
                var object = try entry.object(key)
                let routing = try Fleet.Routing(&object)
                try object.end()
                return routing
            }
            guard let current = try read("current") else { throw JSONError("\(routing.path(name)).current is missing") }
            self.routing[name] = Entry(
                routing: current,
                previous: try read("previous"),
                configured: try read("configured")
            )
            try entry.end()
        }
        try fields.end()
    }
}

extension FleetState.Model {
    fileprivate var json: JSONValue {
        var members = [JSONMember("bundle", .string(directory))]
        if let replaced {
            members.append(
                JSONMember(
                    "replaces",
                    [
                        "bundle": .string(replaced.directory), "name": .string(replaced.name),
                        "version": .string(replaced.version),
                    ]
                )
            )
        }
        return .object(members)
    }

    fileprivate init(_ fields: inout JSONFields) throws(JSONError) {
        directory = try fields.string("bundle")
        guard fields.contains("replaces") else { return }
        var object = try fields.object("replaces")
        replaced = FleetState.Replaced(
            directory: try object.string("bundle"),
            name: try object.string("name"),
            version: try object.string("version")
        )
        try object.end()
    }
}

extension FleetSettings.Routing {
    var json: JSONValue {
        var members = [JSONMember("split", Self.json(split.shares))]
        if !shadow.isEmpty { members.append(JSONMember("shadow", Self.json(shadow))) }
        return .object(members)
    }

    static func json(_ shares: [TrafficSplit.Share]) -> JSONValue {
        .object(pairs: shares.map { (key: $0.version, value: RequestHandler.number($0.percent)) })
    }

    /// Reads `split` and the optional `shadow`.
    init(_ fields: inout JSONFields) throws(JSONError) {
        let split = try Self.shares("split", &fields)
        if let fault = TrafficSplit.fault(split) { throw JSONError(.unusable, at: 0, fault) }
        self.init(split: TrafficSplit(split))
        if fields.contains("shadow") { shadow = try Self.shares("shadow", &fields) }
    }

    /// An object of shares by version, each from 0 to 100.
    private static func shares(
        _ key: String,
        _ fields: inout JSONFields
    ) throws(JSONError) -> [TrafficSplit.Share] {
        var shares: [TrafficSplit.Share] = []
        var object = try fields.object(key)
        for version in object.names {
            let percent: Double
            switch try object.value(version) {
            case .integer(let value): percent = Double(value)
            case .real(let value): percent = value
            default: percent = -1
            }
            guard 0...100 ~= percent else {
                throw JSONError(.unusable, at: 0, "\(key).\(version) must be a number from 0 to 100")
            }
            shares.append(TrafficSplit.Share(version, percent))
        }
        return shares
    }
}

// MARK: - The file

/// `fleet.json` in the folder of the server's state.
final class FleetStateFile: Sendable {
    private static let byteLimit = 16 << 20

    private let path: String?
    private let logger: Logger
    /// Writes states in order, on a queue: an fsync takes longer than a loop may.
    private let queue = DispatchQueue(label: "genrec.state", qos: .userInitiated)

    /// - Parameter directory: created if missing; nil: nothing is saved.
    init(directory: String?, logger: Logger) throws {
        if let directory {
            do throws(FileError) { try makeFolder(directory) } catch {
                throw ConfigurationError(description: "state.directory: \(error.message)")
            }
        }
        path = directory.map { $0 + "/fleet.json" }
        self.logger = logger
    }

    /// The last written state.
    ///
    /// - Throws: `FileError` for an existing but unusable file.
    func load() throws(FileError) -> FleetState {
        guard let path, FileManager.default.fileExists(atPath: path) else { return FleetState() }
        let content = try InputFile.contents(of: path, atMost: Self.byteLimit)
        do throws(JSONError) {
            return try FleetState(
                content.withBytes { bytes throws(JSONError) in try JSONValue(parsing: bytes) }
            )
        } catch {
            throw FileError(.malformed, "\(path): \(error.description)")
        }
    }

    /// Writes the state that the fleet has when the write starts.
    ///
    /// - Parameter done: called with whether it is on the disk; immediately if there is no folder.
    func save(_ fleet: Fleet, _ done: @escaping @Sendable (Bool) -> Void = { _ in }) {
        guard let path else { return done(false) }
        queue.async { [logger] in
            do throws(FileError) {
                var file = try FileWriter(path: path)
                try file.append(fleet.changes.json.prettyPrinted.utf8)
                try file.commit()
                done(true)
            } catch {
                logger.error("the state could not be written", metadata: ["error": "\(error.message)"])
                done(false)
            }
        }
    }
}
