// `genrec check-config` and `serve --check`: everything that a start would find wrong before it listens.

internal import Files
internal import Foundation
internal import HTTP
internal import Models

extension ServiceConfiguration {
    /// Reads all that a server would read at its start: settings, API keys, certificates, the bundle.
    ///
    /// Files are judged as far as the settings that name them could be read.
    ///
    /// - Returns: everything that is wrong; empty: a server would start, if the address is free and the device is there.
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
            // The name of a bundle that cannot be read is unknown.
            if known.count == origins.count { faults += self.faults(known) }
        }
        return faults
    }
}
