// `genrec serve`: reads the configuration, starts the server and waits until it stops.

import ArgumentParser
import Service

struct ServeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve",
        abstract: "Serve a bundle.",
        discussion: """
            Without options it serves the demo bundle on 127.0.0.1:8080. The options here override environment variables \
            (GENREC_HTTP_LISTEN for http.listen), which override the file given with --config.

            Examples:
            genrec serve
            genrec serve --bundle movies-1 --listen '*:8080'
            genrec serve --bundle movies-1 --dtype int8 --threads 8
            genrec serve --config /etc/genrec/genrec.yaml --check
            """
    )

    @Option(help: "YAML file of settings. Config/genrec.yaml documents all of them.")
    var config: String?
    @Option(help: "Directory of the bundle to serve.")
    var bundle: String?
    @Option(help: "HOST:PORT, [IPV6]:PORT or unix:PATH. Port 0 picks a free port.")
    var listen: String?
    @Option(help: "PEM file with the server's certificate and its issuers. TCP addresses then speak HTTPS.")
    var tlsCertificate: String?
    @Option(help: "PEM file with the certificate's private key.")
    var tlsKey: String?
    @Option(help: "PEM file of CA certificates. Clients must present a certificate from one of them.")
    var tlsClientCa: String?
    @Option(help: "cpu, ascend:N, or several NPUs (ascend:0,ascend:1).")
    var device: String?
    @Option(
        help:
            "Type of the packed weights: f32, bf16 or int8 on a cpu, bf16 or f16 on an NPU. auto: f32 on a cpu; on an NPU bf16 if the chip supports it, otherwise f16."
    )
    var dtype: String?
    @Option(help: "Compute threads on a cpu.")
    var threads: Int?

    @Flag(help: "Check settings, bundle, keys and certificates, print every fault, and serve nothing.")
    var check = false

    func run() async throws {
        var flags: [String: String] = [:]
        flags["bundle"] = bundle
        flags["http.listen"] = listen
        flags["tls.certificate"] = tlsCertificate
        flags["tls.key"] = tlsKey
        flags["tls.client_ca"] = tlsClientCa
        flags["engine.device"] = device
        flags["engine.dtype"] = dtype
        flags["engine.threads"] = threads.map(String.init)
        if check { return try report(ServiceConfiguration.check(file: config, flags: flags)) }
        do {
            // Only for people: under a service manager, a server's output should be log lines alone.
            let bar = ProgressBar(label: "MiB of weights read", hasLines: false)
            let server: Server
            do {
                defer { bar.finish() }
                server = try Server(ServiceConfiguration(file: config, flags: flags)) {
                    bar.show($0 >> 20, of: $1 >> 20)
                }
            }
            if bar.isShown { Console.note("packing the weights for the device ...\n") }
            if let readyLine = try await server.start() { Console.announce(readyLine + "\n") }
            try await server.waitUntilStopped()
        } catch {
            throw fail(String(describing: error))
        }
    }
}
