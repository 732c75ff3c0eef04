// Faults in the files that configure TLS.

/// A certificate, key or client CA that cannot be used.
package struct TLSError: Error, Equatable, CustomStringConvertible {
    /// Which file has the fault.
    package enum Subject: Sendable {
        case certificate
        case key
        case clientCA
        /// Not a fault of the file: OpenSSL has no memory or no algorithm.
        case library
    }

    package let subject: Subject
    /// The fault of the file, without the subject of the sentence: "has no certificate in PEM form".
    package let message: String

    init(_ subject: Subject, _ message: String) {
        self.subject = subject
        self.message = message
    }

    package var description: String {
        let name =
            switch subject {
            case .certificate: "the certificate"
            case .key: "the key"
            case .clientCA: "the client CA"
            case .library: "OpenSSL"
            }
        return "\(name) \(message)"
    }
}

/// The contents of the files with the certificate, the key and the client CA.
package struct TLSMaterial: Sendable, Equatable {
    /// PEM: the server's certificate, then the intermediate certificates in order.
    package var certificate: [UInt8]
    /// PEM: the certificate's private key, not encrypted.
    package var key: [UInt8]
    /// PEM: the CA certificates that must have issued clients' certificates; nil: clients need none.
    package var clientCA: [UInt8]?

    package init(certificate: [UInt8], key: [UInt8], clientCA: [UInt8]? = nil) {
        self.certificate = certificate
        self.key = key
        self.clientCA = clientCA
    }
}
