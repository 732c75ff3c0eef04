// The settings of a server as values. Each property's initial value is the setting's default. ServiceSettings.swift
// declares allowed values and meanings.

package import Devices
package import Engine
internal import Foundation
package import HTTP
package import Logging
package import Telemetry

/// The settings of a server, checked.
package struct ServiceConfiguration: Sendable {
    /// nil: the demo bundle.
    package var bundlePath: String?
    /// Models to serve instead of that bundle, and their split by version.
    package var fleet = FleetSettings()
    /// The model for requests that name none; nil: the only one.
    package var defaultModel: String?
    package var http = HTTPServerConfiguration(addresses: [.tcp(host: "127.0.0.1", port: 8080)])
    /// The address of the second listener, for operators; nil: the first one serves everything.
    package var adminAddress: ListenAddress?
    /// Inherited sockets for the second listener, used instead of its address.
    package var adminSockets: [Int32] = []
    /// The path of the API keys file; nil: callers need no key.
    package var keysFile: String?
    package var tlsCertificate: String?
    package var tlsKey: String?
    package var tlsClientCA: String?
    package var tlsSessionLifetimeSeconds = 3_600
    package var compute = ComputeSettings()
    package var scheduler = SchedulerConfiguration()
    /// The user cache.
    package var cache = CacheConfiguration()
    /// The user store.
    package var users = UserStoreSettings()
    /// The folder for changes made over HTTP; nil: a restart discards them.
    package var stateDirectory: String?
    /// The most items that may be added to a model.
    package var maxAddedItems = 100_000
    /// The limits of one request.
    package var limits = CallLimits()
    /// Host names by which browsers may reach the server, in addition to loopback addresses and localhost; lower case.
    package var hosts: Set<String> = []
    /// How long the server still accepts requests after it was told to stop, while it reports that it is not ready.
    package var drainDelayNanoseconds: UInt64 = 0
    /// Grace period for requests in flight after that.
    package var drainTimeoutNanoseconds: UInt64 = 30_000_000_000
    package var logLevel = Logger.Level.info
    package var logFormat = LogFormat.text
    /// The most bytes of queued log lines; further lines are dropped.
    package var logQueueBytes = 4 << 20
    package var telemetry = TelemetrySettings()

    /// Every setting at its default.
    package init() {}

    /// Reads the settings from their layers: `flags` override `environment`, which overrides the file, which overrides
    /// the defaults.
    ///
    /// - Parameters:
    ///   - file: path of a YAML file; nil: none.
    ///   - flags: values by dotted key.
    /// - Throws: `ConfigurationFaults` with all faults, each with its place.
    package init(
        file: String? = nil,
        flags: [String: String] = [:],
        environment: [String: String] = ProcessInfo.processInfo.environment
    ) throws(ConfigurationFaults) {
        let layers = SettingLayers(file: file, environment: environment, flags: flags, settings: Self.settings)
        var faults = layers.faults
        var faulty: Set<String> = []
        func note(_ setting: Setting, _ predicate: String) {
            faulty.insert(setting.key)
            let place = layers.entries[setting.key]?.place ?? ""
            let prefix = place.isEmpty ? "" : "\(place): "
            faults.append(ConfigurationError(description: prefix + setting.key + predicate))
        }
        for setting in Self.settings {
            if let key = setting.dependsOn, faulty.contains(key) {
                faulty.insert(setting.key)
                continue
            }
            do throws(Setting.Refusal) {
                try setting.apply(layers.entries[setting.key]?.text, &self)
            } catch {
                note(setting, error.predicate)
            }
        }
        if let file {
            fleet = FleetSettings(layers.nodes, file: file, &faults)
            for origin in fleet.models where !faulty.contains("engine.device") {
                if let fault = fault(origin) { faults.append(fault) }
            }
        }
        if let bundle = layers.entries["bundle"], !fleet.models.isEmpty {
            faults.append(
                ConfigurationError(description: "\(bundle.place): bundle: models is set, too; remove one of them")
            )
        }
        for setting in Self.settings where layers.entries[setting.key] != nil && !faulty.contains(setting.key) {
            if let predicate = setting.check?(self) { note(setting, predicate) }
        }
        guard faults.isEmpty else {
            throw ConfigurationFaults(faults: faults, readable: layers.isReadable ? self : nil)
        }
    }

    /// The second listener has the limits and time-outs of the first, and one loop: operators are few.
    package var adminHTTP: HTTPServerConfiguration? {
        guard adminAddress != nil || !adminSockets.isEmpty else { return nil }
        var configuration = http
        configuration.addresses = adminSockets.isEmpty ? [adminAddress].compactMap(\.self) : []
        configuration.handedSockets = adminSockets
        configuration.loops = 1
        return configuration
    }

    /// The TLS files for the TCP addresses of both listeners; nil: plain HTTP.
    package var tls: TLSSettings? {
        guard let tlsCertificate, let tlsKey else { return nil }
        return TLSSettings(
            certificate: tlsCertificate,
            key: tlsKey,
            clientCA: tlsClientCA,
            sessionLifetimeSeconds: tlsSessionLifetimeSeconds
        )
    }
}
