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
}
