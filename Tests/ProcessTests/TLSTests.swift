// The binary with certificates: its requirements at the start, and replacement of certificates while it serves.

import Foundation
import TLSTesting
import Testing

/// A folder with a certificate, its key and a client CA, and their issuer.
private struct CertificateFolder {
    let authority: TestAuthority
    let url: URL

    /// Calls `body` with a folder that has the pair "first".
    static func with(_ body: (CertificateFolder) throws -> Void) throws {
        try Genrec.withTemporaryFolder { url in
            let folder = CertificateFolder(authority: try TestAuthority(), url: url)
            try folder.replace(with: folder.authority.issue("first"))
            try body(folder)
        }
    }

    func path(_ name: String) -> String { url.appendingPathComponent(name).path }

    func write(_ bytes: [UInt8], to name: String) throws { try Data(bytes).write(to: url.appendingPathComponent(name)) }

    /// Replaces each file by renaming, as careful tools do.
    func replace(with identity: TestIdentity) throws {
        for (bytes, name) in [(identity.certificate, "cert.pem"), (identity.key, "key.pem")] {
            try Data(bytes).write(to: url.appendingPathComponent(name), options: .atomic)
        }
    }

    var environment: [String: String] {
        ["GENREC_TLS_CERTIFICATE": path("cert.pem"), "GENREC_TLS_KEY": path("key.pem")]
    }

    var options: TLSTestOptions { TLSTestOptions(authority: authority.certificate) }

    func connect(_ server: RunningServer) throws -> TestConnection {
        try TestConnection(port: server.port, tls: options)
    }

    /// The common name of the certificate that new connections receive.
    func servedName(_ server: RunningServer) throws -> String? {
        try connect(server).tls?.engine.serverCommonName
    }
}

@Suite struct TLSTests {
    @Test func bothListeners_SpeakTLS_AndCountHandshakes() throws {
        try CertificateFolder.with { folder in
            let server = try RunningServer(
                environment: folder.environment.merging(["GENREC_ADMIN_LISTEN": "127.0.0.1:0"]) { $1 }
            )
            defer { server.stop() }
            #expect(server.readyLine.contains("https://127.0.0.1:\(server.port), admin https://127.0.0.1:"))
            let connection = try folder.connect(server)
            #expect(try connection.recommend("{\"history\":[],\"k\":3}").items().count == 3)
            #expect(try connection.get("/openapi.json").status == 200)
            let plain = try server.connect()
            try plain.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n")
            #expect(try plain.receive().status == 400)
            let admin = try TestConnection(port: try #require(server.adminPort), tls: folder.options)
            try admin.expectMetrics(
                "genrec_tls_handshakes_total{result=\"full\"} 2",
                "genrec_tls_handshakes_total{result=\"plain_http\"} 1"
            )
            let metrics = try admin.get("/metrics").text
            let expiry = try #require(
                metrics.firstMatch(of: #/genrec_tls_certificate_expiry_timestamp_seconds (\d+)\n/#)
            )
            let remaining = (Double(expiry.1) ?? 0) - Date().timeIntervalSince1970
            #expect(abs(remaining - 7 * 86_400) < 600)
        }
    }

    @Test func clientCA_LetsInWhoHasACertificate() throws {
        try CertificateFolder.with { folder in
            let clients = try TestAuthority("clients")
            try folder.write(clients.certificate, to: "clients.pem")
            let server = try RunningServer(
                ["--tls-certificate", folder.path("cert.pem"), "--tls-key", folder.path("key.pem")],
                environment: ["GENREC_TLS_CLIENT_CA": folder.path("clients.pem")]
            )
            defer { server.stop() }
            var options = folder.options
            options.identity = try clients.issue("service", for: .client)
            #expect(try TestConnection(port: server.port, tls: options).get("/health/live").status == 200)
            #expect(throws: (any Error).self) { try folder.connect(server).get("/health/live") }
        }
    }

    /// Ways in which an operator replaces a pair.
    enum Replacement: CaseIterable {
        case renameAndSignal, rename, writeInPlace, swapLink
    }

    @Test(arguments: Replacement.allCases) func newPair_ServesNewConnections_AndOldOnesGoOn(_ how: Replacement) throws {
        try CertificateFolder.with { folder in
            let manager = FileManager.default
            var environment = folder.environment
            if how == .swapLink {
                // Like secrets mounted by Kubernetes: the files are links through a link that is swapped.
                for (name, identity) in [("1", "first"), ("2", "second")] {
                    let pair = try folder.authority.issue(identity)
                    try manager.createDirectory(atPath: folder.path(name), withIntermediateDirectories: false)
                    try folder.write(pair.certificate, to: "\(name)/tls.crt")
                    try folder.write(pair.key, to: "\(name)/tls.key")
                }
                try manager.createSymbolicLink(atPath: folder.path("data"), withDestinationPath: "1")
                for name in ["tls.crt", "tls.key"] {
                    try manager.createSymbolicLink(atPath: folder.path(name), withDestinationPath: "data/\(name)")
                }
                environment = [
                    "GENREC_TLS_CERTIFICATE": folder.path("tls.crt"), "GENREC_TLS_KEY": folder.path("tls.key"),
                ]
            }
            environment["GENREC_LIMITS_MAX_K"] = "1200"
            let server = try RunningServer(environment: environment)
            let kept = try folder.connect(server)
            #expect(kept.tls?.engine.serverCommonName == "first")
            let streaming = try folder.connect(server)
            // More than the sockets hold, so that the server is still sending until the client reads.
            let streams = 40
            let body = "{\"history\":[],\"k\":1200,\"stream\":true}"
            let request =
                "POST /recommend HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\n"
                + "Content-Length: \(body.utf8.count)\r\n\r\n\(body)"
            try streaming.send(String(repeating: request, count: streams))
            #expect(try streaming.receive().lines().count == 1_201)

            switch how {
            case .swapLink:
                try manager.createSymbolicLink(atPath: folder.path("next"), withDestinationPath: "2")
                #expect(rename(folder.path("next"), folder.path("data")) == 0)
            case .writeInPlace:
                let pair = try folder.authority.issue("second")
                try folder.write(pair.certificate, to: "cert.pem")
                try folder.write(pair.key, to: "key.pem")
            case .rename, .renameAndSignal:
                try folder.replace(with: folder.authority.issue("second"))
                if how == .renameAndSignal { server.signal(SIGHUP) }
            }
            while try folder.servedName(server) == "first" {}
            #expect(try folder.servedName(server) == "second")
            #expect(try kept.get("/health/live").status == 200)
            for _ in 1..<streams {
                let reply = try streaming.receive()
                let isWhole = try !reply.isTruncated && reply.lines().count == 1_201
                #expect(isWhole)
            }
            let metrics = try kept.get("/metrics").text
            #expect(metrics.contains("genrec_tls_reloads_total{result=\"failure\"} 0\n"))
            #expect(!metrics.contains("genrec_tls_reloads_total{result=\"success\"} 0\n"))
            #expect(server.stop().log.contains("the certificate was reloaded"))
        }
    }

    @Test func badPair_LeavesTheOldOne_AndIsSaidOnce() throws {
        try CertificateFolder.with { folder in
            let server = try RunningServer(environment: folder.environment)
            let connection = try folder.connect(server)
            func waitForReloads(_ result: String, _ count: Int) throws {
                try connection.expectMetrics("genrec_tls_reloads_total{result=\"\(result)\"} \(count)")
            }
            let keyOfAnother = try folder.authority.issue().key
            try folder.write(keyOfAnother, to: "key.pem")
            try waitForReloads("failure", 1)
            #expect(try folder.servedName(server) == "first")
            server.signal(SIGHUP)
            try waitForReloads("failure", 2)
            #expect(try folder.servedName(server) == "first")
            try FileManager.default.removeItem(atPath: folder.path("cert.pem"))
            try waitForReloads("failure", 3)
            #expect(try folder.servedName(server) == "first")
            // By now the server has checked the files many times.
            try folder.replace(with: folder.authority.issue("second"))
            try waitForReloads("success", 1)
            #expect(try folder.servedName(server) == "second")
            let log = server.stop().log
            let lines = log.split(separator: "\n").filter { $0.contains("the certificate could not be reloaded") }
            #expect(lines.count == 3)
            #expect(lines.prefix(2).allSatisfy { $0.contains("tls.key: \(folder.path("key.pem")) is not the key") })
            #expect(lines.last?.contains("tls.certificate: cannot read the file") == true)
        }
    }

    @Test func filesThatCannotBeUsed_EndTheStartWithOneSentence() throws {
        try CertificateFolder.with { folder in
            let (cert, key) = (folder.path("cert.pem"), folder.path("key.pem"))
            try folder.write(Array("nothing".utf8), to: "other.pem")
            try folder.write(try folder.authority.issue().key, to: "other.key")
            let other = folder.path("other.pem")
            for (arguments, sentence) in [
                (["--tls-certificate", cert], "tls.certificate is set, so tls.key must be set, too"),
                (["--tls-key", key], "tls.key is set, so tls.certificate must be set, too"),
                (["--tls-client-ca", cert], "tls.client_ca is set, so tls.certificate must be set, too"),
                (
                    ["--tls-certificate", cert, "--tls-key", folder.path("none")],
                    "tls.key: cannot read the file \(folder.path("none"))"
                ),
                (
                    ["--tls-certificate", other, "--tls-key", key],
                    "tls.certificate: \(other) has no certificate in PEM form"
                ),
                (
                    ["--tls-certificate", cert, "--tls-key", folder.path("other.key")],
                    "tls.key: \(folder.path("other.key")) is not the key of the certificate"
                ),
                (
                    ["--tls-certificate", cert, "--tls-key", key, "--tls-client-ca", other],
                    "tls.client_ca: \(other) has no certificate in PEM form"
                ),
                (
                    ["--tls-certificate", cert, "--tls-key", key, "--listen", "unix:\(folder.path("socket"))"],
                    "tls.certificate is set, but there is no TCP address, and UNIX sockets have no TLS"
                ),
            ] {
                let output = try Genrec.run(["serve"] + arguments)
                #expect(output.status == 1)
                #expect(output.standardError.contains(sentence), "\(output.standardError)")
                #expect(output.standardError.split(separator: "\n").count == 1)
            }
        }
    }

    @Test func drain_AnswersWhatHasBegun_WithTheClosureAlert() throws {
        try CertificateFolder.with { folder in
            let server = try RunningServer(
                environment: folder.environment.merging(["GENREC_SCHEDULER_MIN_WAIT_US": "1000000"]) { $1 }
            )
            let probe = try folder.connect(server)
            let connection = try folder.connect(server)
            let body = "{\"history\":[{\"item\":\"anime-4-01\"}],\"k\":1}"
            try connection.send(
                "POST /recommend HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\n"
                    + "Content-Length: \(body.utf8.count)\r\n\r\n\(body)"
            )
            while try !probe.get("/metrics").text.contains("genrec_queue_depth 1\n") {}
            server.signal(SIGTERM)
            let reply = try connection.receive()
            #expect(reply.status == 200 && reply.headers["connection"] == "close")
            #expect(try connection.isClosedByServer())
            #expect(connection.tls?.isClosed == true)
            #expect(server.waitUntilExit().status == 0)
        }
    }
}
