// The settings of TLS, and reading the files that they name.

internal import Foundation
internal import HTTP

/// The section `tls` of the configuration.
package struct TLSSettings: Sendable, Equatable {
    package var certificate: String
    package var key: String
    /// nil: clients need no certificate.
    package var clientCA: String?
    package var sessionLifetimeSeconds: Int

    /// nil if TLS is not asked for.
    ///
    /// - Parameter addresses: all that the server listens on, at least one of which must be able to speak TLS.
    init?(_ reader: ConfigurationReader, addresses: [ListenAddress]) throws(ConfigurationError) {
        let certificate = reader.text(Self.certificateName)
        let key = reader.text(Self.keyName)
        clientCA = reader.text(Self.clientCAName)
        sessionLifetimeSeconds = try reader.integer(
            "tls.session_lifetime_s",
            default: 3_600,
            in: TLSCredentials.ticketLifetimeSeconds
        )
        guard let certificate, let key else {
            let isSet = [
                (Self.certificateName, certificate), (Self.keyName, key), (Self.clientCAName, clientCA),
            ]
            guard let name = isSet.first(where: { $0.1 != nil })?.0 else { return nil }
            let missing = certificate == nil ? Self.certificateName : Self.keyName
            throw ConfigurationError(description: "\(name) is set, so \(missing) must be set, too")
        }
        self.certificate = certificate
        self.key = key
        guard addresses.contains(where: applies) else {
            throw ConfigurationError(
                description: "\(Self.certificateName) is set, but there is no TCP address, and UNIX sockets have no TLS"
            )
        }
    }

    private static let certificateName = "tls.certificate"
    private static let keyName = "tls.key"
    private static let clientCAName = "tls.client_ca"

    /// Whether connections to an address are encrypted.
    func applies(to address: ListenAddress) -> Bool {
        if case .tcp = address { true } else { false }
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
