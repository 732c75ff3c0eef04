// A TLS server with its own certificates, and clients that trust it.

import TLSTesting
import Testing

@testable import HTTP

extension TestIdentity {
    /// The identity as a server's material, with the authority for client certificates.
    func material(clientCA: TestAuthority? = nil) -> TLSMaterial {
        TLSMaterial(certificate: certificate, key: key, clientCA: clientCA?.certificate)
    }
}

/// One authority and the server's credentials.
struct TLSFixture {
    let authority: TestAuthority
    let credentials: TLSCredentials

    init(key: TestKey = .p256, clientCA: TestAuthority? = nil) throws {
        authority = try TestAuthority()
        credentials = try TLSCredentials(authority.issue("first", key: key).material(clientCA: clientCA))
    }

    /// The options of a client of this server.
    func options(_ version: TLSTestVersion = .tls13) -> TLSTestOptions {
        var options = TLSTestOptions(authority: authority.certificate)
        options.version = version
        return options
    }

    /// A server that echoes paths, or uses the given handler.
    func server(
        handler: TestHandler? = nil,
        loops: Int = 1,
        configure: (inout HTTPServerConfiguration) -> Void = { _ in }
    ) throws -> TestServer {
        let change: (inout HTTPServerConfiguration) -> Void = { configuration in
            configuration.tls = credentials
            configure(&configuration)
        }
        guard let handler else { return try TestServer.echoing(loops: loops, configure: change) }
        return try TestServer(loops: loops, handler: handler, configure: change)
    }
}

/// The text of a GET request.
func getRequest(_ path: String = "/", _ fields: String = "", version: String = "1.1") -> String {
    "GET \(path) HTTP/\(version)\r\nHost: a\r\n\(fields)\r\n"
}
