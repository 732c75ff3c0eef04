// `genrec serve`: reads the configuration, starts the server and waits for its end.

import ArgumentParser
import Service

struct ServeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve",
        abstract: "Serve a bundle.",
        discussion: """
            Without options it serves the demo bundle on 127.0.0.1:8080. Settings come from the file given with --config, \
            over it from environment variables (GENREC_HTTP_LISTEN for http.listen), over them from the options here.
            """
    )

    @Option(help: "A YAML file of settings; Config/genrec.yaml documents them all.")
    var config: String?
    @Option(help: "The directory of the bundle to serve.")
    var bundle: String?
    @Option(help: "HOST:PORT, [IPV6]:PORT or unix:PATH; port 0 takes a free one.")
    var listen: String?
    @Option(help: "A PEM file: the server's certificate, and those between it and the root. With it TCP is HTTPS.")
    var tlsCertificate: String?
    @Option(help: "A PEM file: the certificate's private key.")
    var tlsKey: String?
    @Option(help: "A PEM file: clients have to show a certificate from one of these.")
    var tlsClientCa: String?
    @Option(help: "cpu, ascend:N, or several NPUs: ascend:0,ascend:1.")
    var device: String?
    @Option(
        help:
            "f32, bf16 or int8 on a cpu, bf16 or f16 on an NPU: the type weights are packed in; auto: f32, or bf16 where the chip has it, else f16."
    )
    var dtype: String?
    @Option(help: "Threads that compute on a cpu.")
    var threads: Int?

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
        do {
            let server = try Server(ServiceConfiguration(file: config, flags: flags))
            if let readyLine = try await server.start() { Console.result(readyLine + "\n") }
            try await server.waitUntilStopped()
        } catch {
            throw fail(String(describing: error))
        }
    }
}
