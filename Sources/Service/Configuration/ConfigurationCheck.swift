// `genrec check-config` and `serve --check`: finds everything that would fail at a start before the server listens.

internal import Files
internal import Foundation
internal import HTTP
internal import Models

extension ServiceConfiguration {
    /// Reads all that a server would read at its start: settings, API keys, certificates, the bundles. Files are
    /// checked as far as the settings that name them are readable.
    ///
    /// - Returns: all faults; empty if a server would start, given a free address and a working device.
    package static func check(
        file: String?,
        flags: [String: String] = [:],
        environment: [String: String] = ProcessInfo.processInfo.environment
    ) -> [ConfigurationError] {
        do throws(ConfigurationFaults) {
            return try ServiceConfiguration(file: file, flags: flags, environment: environment).fileFaults()
        } catch {
            return error.faults + (error.readable?.fileFaults() ?? [])
        }
    }

    /// The faults of the files that the settings name.
    private func fileFaults() -> [ConfigurationError] {
        var faults: [ConfigurationError] = []
        func attempt(_ body: () throws -> Void) {
            do { try body() } catch {
                faults.append(
                    error as? ConfigurationError ?? ConfigurationError(description: String(describing: error))
                )
            }
        }
        if let keysFile { attempt { _ = try APIKeys(path: keysFile) } }
        if let tls { attempt { _ = try tls.credentials() } }
        let local = users.kind == .local ? users.directory : nil
        for (setting, folder) in [("state.directory", stateDirectory), ("users.local.directory", local)] {
            guard let fault = folder.flatMap(faultOfFolder) else { continue }
            faults.append(ConfigurationError(description: "\(setting): \(fault)"))
        }
        if let file = telemetry.accessFile, telemetry.accessFormat != .off, let fault = faultOfLog(file) {
            faults.append(ConfigurationError(description: "log.access_file: \(fault)"))
        }
        attempt {
            var known: [(name: String, version: String, place: String)] = []
            let origins = try origins()
            for origin in origins {
                do throws(FileError) {
                    let configuration = try ModelBundle.load(directory: origin.value.directory).configuration
                    known.append((configuration.name, configuration.version, origin.place))
                } catch {
                    let place = origin.place.isEmpty ? "" : "\(origin.place): "
                    faults.append(ConfigurationError(description: place + error.message))
                }
            }
            // An unreadable bundle's name is unknown.
            if known.count == origins.count { faults += self.faults(known) }
        }
        return faults
    }

    /// Why a log cannot be appended to a file; nil if it can, as far as names tell.
    private func faultOfLog(_ path: String) -> String? {
        var isFolder: ObjCBool = false
        if FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) {
            return isFolder.boolValue ? "\(path) is a folder" : nil
        }
        let end = path.lastIndex(of: "/")
        let folder = end.map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
        return FileManager.default.fileExists(atPath: folder) ? nil : "there is no folder \(folder)"
    }
}
