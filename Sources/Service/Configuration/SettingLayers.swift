// The layers of settings: a YAML file, overridden by environment variables, overridden by command-line options. Every
// value is read as text with its place, which errors name.

internal import Files
internal import JSON

/// The text of each setting that some layer has, and its place.
struct SettingLayers {
    struct Entry {
        let text: String
        /// `genrec.yaml:12:3`, `GENREC_HTTP_LISTEN` or `--listen`; empty for a value without such a name.
        let place: String
    }

    /// By dotted key. The uppermost layer that has a key wins.
    private(set) var entries: [String: Entry] = [:]
    /// Unknown keys, and other faults of the layers themselves.
    private(set) var faults: [ConfigurationError] = []
    /// The values under the keys of `FleetSettings`.
    private(set) var nodes: [String: SettingsNode] = [:]
    /// Whether the file could be read at all.
    private(set) var isReadable = true

    /// - Parameters:
    ///   - file: path of the YAML file; nil: none.
    ///   - environment: all environment variables of the process.
    ///   - flags: values given on the command line, by dotted key.
    ///   - settings: all settings.
    init(file: String?, environment: [String: String], flags: [String: String], settings: [Setting]) {
        let keys = settings.map(\.key)
        if let file { readFile(file, keys: keys) }
        readEnvironment(environment, settings: settings)
        for (key, text) in flags where !text.isEmpty {
            entries[key] = Entry(text: text, place: Setting.options[key] ?? "")
        }
    }

    private mutating func readFile(_ file: String, keys: [String]) {
        let document: SettingsYAML
        do {
            document = try SettingsYAML(contentsOf: file, structured: FleetSettings.keys)
        } catch {
            faults.append(error)
            isReadable = false
            return
        }
        faults += document.faults
        nodes = document.nodes
        for value in document.values {
            let place = "\(file):\(value.keyPlace)"
            if keys.contains(value.key) {
                if !value.text.isEmpty { entries[value.key] = Entry(text: value.text, place: "\(file):\(value.place)") }
            } else if keys.contains(where: { $0.hasPrefix(value.key + ".") }) {
                if value.text.isEmpty { continue }
                let problem = "'\(value.key)' is a section: put its settings on indented lines of their own"
                faults.append(ConfigurationError(description: "\(place): \(problem)"))
            } else {
                let problem = "there is no setting '\(value.key)'" + Self.suggestion(for: value.key, among: keys)
                faults.append(ConfigurationError(description: "\(place): \(problem)"))
            }
        }
    }

    /// Ignores variables that resemble no setting: orchestrators set some on their own (`GENREC_SERVICE_HOST` for a
    /// Kubernetes service of that name), and the tools read others.
    private mutating func readEnvironment(_ environment: [String: String], settings: [Setting]) {
        let known = Dictionary(uniqueKeysWithValues: settings.map { ($0.variable, $0.key) })
        let names = known.keys.sorted()
        for (name, text) in environment.sorted(by: { $0.key < $1.key }) where name.hasPrefix(Setting.variablePrefix) {
            if let key = known[name] {
                if !text.isEmpty { entries[key] = Entry(text: text, place: name) }
            } else if !Self.isSetByOthers(name), let near = nearestName(to: name, among: names, within: 2) {
                let problem = "no setting has the environment variable \(name); did you mean \(near)?"
                faults.append(ConfigurationError(description: problem))
            }
        }
    }

    private static func isSetByOthers(_ name: String) -> Bool {
        // https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables
        name.hasSuffix("_SERVICE_HOST") || name.contains("_SERVICE_PORT") || name.hasSuffix("_PORT")
            || name.contains("_PORT_")
    }

    private static func suggestion(for key: String, among keys: [String]) -> String {
        (nearestName(to: key, among: keys) ?? keys.first { key.count > 3 && $0.hasPrefix(key) }).map {
            "; did you mean '\($0)'?"
        } ?? ""
    }
}
