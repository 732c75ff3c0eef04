// The TLS settings, and reading the files that they name.

internal import Foundation
internal import HTTP

/// The section `tls` of the configuration, if TLS is configured.
package struct TLSSettings: Sendable, Equatable {
    package var certificate: String
    package var key: String
    /// nil: clients need no certificate.
    package var clientCA: String?
    package var sessionLifetimeSeconds: Int

    private static let certificateName = "tls.certificate"
    private static let keyName = "tls.key"
    private static let clientCAName = "tls.client_ca"

    /// Whether connections to an address use TLS.
    func applies(to address: ListenAddress) -> Bool {
        address.isTCP
    }

    /// All files.
    var paths: [String] { [certificate, key] + (clientCA.map { [$0] } ?? []) }

    /// Reads the files.
    func material() throws(ConfigurationError) -> TLSMaterial {
        TLSMaterial(
            certificate: try Self.contents(of: certificate, Self.certificateName),
            key: try Self.contents(of: key, Self.keyName),
            clientCA: try clientCA.map { path throws(ConfigurationError) in
                try Self.contents(of: path, Self.clientCAName)
            }
        )
    }

    /// Reads the files and makes them ready for connections.
    ///
    /// - Throws: `ConfigurationError` for files that cannot be used.
    func credentials() throws(ConfigurationError) -> TLSCredentials {
        let material = try material()
        do throws(TLSError) {
            return try TLSCredentials(material, ticketLifetimeSeconds: sessionLifetimeSeconds)
        } catch {
            throw refusal(error)
        }
    }

    private static func contents(of path: String, _ name: String) throws(ConfigurationError) -> [UInt8] {
        guard let data = FileManager.default.contents(atPath: path) else {
            throw ConfigurationError(description: "\(name): cannot read the file \(path)")
        }
        return Array(data)
    }

    /// The error for a file that can be read but not used. It names the setting and the file.
    func refusal(_ error: TLSError) -> ConfigurationError {
        let (name, path): (String, String) =
            switch error.subject {
            case .certificate: (Self.certificateName, certificate)
            case .key: (Self.keyName, key)
            case .clientCA: (Self.clientCAName, clientCA ?? "")
            case .library: ("tls", "OpenSSL")
            }
        return ConfigurationError(description: "\(name): \(path) \(error.message)")
    }
}
