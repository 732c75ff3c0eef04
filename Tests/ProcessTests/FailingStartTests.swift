// Failing starts of every kind: one sentence on standard error that names the fault, status 1, and no other output.

import Foundation
import TLSTesting
import Testing

@Suite struct FailingStartTests {
    /// Starts a server that must fail, and checks its output against the contract.
    private func expectSentence(
        _ arguments: [String] = [],
        _ environment: [String: String] = [:],
        naming words: String...,
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let output = try Genrec.run(
            ["serve", "--listen", "127.0.0.1:0"] + arguments,
            environment: environment
        )
        expectSentence(output, naming: words, sourceLocation)
    }

    private func expectSentence(_ output: Genrec.Output, naming words: [String], _ sourceLocation: SourceLocation) {
        let error = output.standardError
        #expect(output.status == 1, sourceLocation: sourceLocation)
        #expect(output.standardOutput.isEmpty, sourceLocation: sourceLocation)
        #expect(error.hasPrefix("genrec: ") && error.hasSuffix("\n"), "\(error)", sourceLocation: sourceLocation)
        #expect(error.split(separator: "\n").count == 1, "\(error)", sourceLocation: sourceLocation)
        for word in words { #expect(error.contains(word), "\(error)", sourceLocation: sourceLocation) }
    }

    @Test func addressInUse() throws {
        let server = try RunningServer()
        defer { server.stop() }
        let address = "127.0.0.1:\(server.port)"
        try expectSentence(["--listen", address], naming: address, "Address already in use")
        try expectSentence([], ["GENREC_ADMIN_LISTEN": address], naming: address, "Address already in use")
    }

    @Test func unixSocketInUse_AndOtherPathsThatCannotBe() throws {
        try Genrec.withTemporaryFolder { folder in
            let path = folder.appendingPathComponent("s").path
            let server = try RunningServer(environment: ["GENREC_ADMIN_LISTEN": "unix:\(path)"])
            defer { server.stop() }
            try expectSentence(["--listen", "unix:\(path)"], naming: path, "Address already in use")
            try expectSentence([], ["GENREC_ADMIN_LISTEN": "unix:\(path)"], naming: path, "Address already in use")
            // The server that owns the socket still answers on it.
            #expect(try TestConnection(path: path).get("/health/live").status == 200)
            let file = folder.appendingPathComponent("file").path
            try "kept".write(toFile: file, atomically: true, encoding: .utf8)
            try expectSentence(["--listen", "unix:\(file)"], naming: file, "Address already in use")
            #expect(try String(contentsOfFile: file, encoding: .utf8) == "kept")
            try expectSentence(["--listen", "unix:\(folder.path)/none/s"], naming: "No such file or directory")
            try expectSentence(["--listen", "unix:\(String(repeating: "a", count: 108))"], naming: "107")
        }
    }

    @Test func addressThatIsNotThisMachines() throws {
        try expectSentence(["--listen", "192.0.2.1:0"], naming: "192.0.2.1:0", "Cannot assign requested address")
        try expectSentence(["--listen", "example.org:80"], naming: "example.org")
    }

    @Test func keysThatCannotBeUsed() throws {
        try Genrec.withTemporaryFolder { folder in
            let file = folder.appendingPathComponent("keys").path
            try expectSentence([], ["GENREC_AUTH_KEYS_FILE": file], naming: file, "cannot read")
            for (text, word) in [("", "no keys"), ("secret admin\n", "line 1"), ("# only a comment\n", "no keys")] {
                try text.write(toFile: file, atomically: true, encoding: .utf8)
                try expectSentence([], ["GENREC_AUTH_KEYS_FILE": file], naming: file, word)
            }
            try expectSentence([], ["GENREC_AUTH_KEYS_FILE": folder.path], naming: folder.path)
        }
    }

    @Test func certificatesThatCannotBeUsed() throws {
        try Genrec.withTemporaryFolder { folder in
            let authority = try TestAuthority()
            let (first, second) = (try authority.issue("first"), try authority.issue("second"))
            func write(_ bytes: [UInt8], _ name: String) throws -> String {
                let url = folder.appendingPathComponent(name)
                try Data(bytes).write(to: url)
                return url.path
            }
            let certificate = try write(first.certificate, "certificate")
            let key = try write(first.key, "key")
            let text = try write(Array("no certificate".utf8), "text")
            for (certificate, key, name, path) in [
                ("/nowhere", key, "tls.certificate", "/nowhere"), (certificate, "/nowhere", "tls.key", "/nowhere"),
                (text, key, "tls.certificate", text), (certificate, text, "tls.key", text),
                (certificate, try write(second.key, "other"), "tls.key", "other"),
            ] {
                try expectSentence(["--tls-certificate", certificate, "--tls-key", key], naming: name, path)
            }
            let pair = ["--tls-certificate", certificate, "--tls-key", key]
            try expectSentence(pair + ["--tls-client-ca", text], naming: "tls.client_ca", text)
        }
    }

    @Test func bundlesThatCannotBeUsed() throws {
        try Genrec.withTemporaryFolder { folder in
            try expectSentence(["--bundle", "/nowhere"], naming: "/nowhere")
            try expectSentence(["--bundle", folder.path], naming: "config.json")
            func copy(_ change: (URL) throws -> Void) throws -> String {
                let copy = folder.appendingPathComponent(UUID().uuidString)
                try FileManager.default.copyItem(at: URL(fileURLWithPath: Genrec.demoBundle), to: copy)
                try change(copy)
                return copy.path
            }
            for (name, contents) in [
                ("config.json", "{"), ("config.json", "{}"), ("catalogue.jsonl", "{\n"), ("model.safetensors", "short"),
            ] {
                let bundle = try copy { folder in
                    try Data(contents.utf8).write(to: folder.appendingPathComponent(name))
                }
                try expectSentence(["--bundle", bundle], naming: name)
            }
        }
    }

    @Test func settingsThatCannotBe() throws {
        try Genrec.withTemporaryFolder { folder in
            let file = folder.appendingPathComponent("genrec.yaml").path
            for (yaml, words) in [
                ("http:\n  lops: 2\n", "http.lops"), ("a: [", "YAML"), ("a: b\n c: d\n", "YAML"), ("\tx: 1", "YAML"),
                ("- a\n", "mapping"), ("x: &a 1\ny: *b\n", "YAML"), ("a: 1\na: 2\n", "a"),
                ("engine:\n  device: gpu\n", "gpu"),
                ("http:\n  hosts: 'a, b:80'\n", "http.hosts"),
                ("log:\n  queue_bytes: 1\n", "log.queue_bytes"), ("drain:\n  delay_ms: -1\n", "drain.delay_ms"),
            ] {
                try yaml.write(toFile: file, atomically: true, encoding: .utf8)
                try expectSentence(["--config", file], naming: words)
            }
            try expectSentence(["--config", "/nowhere"], naming: "/nowhere")
            try expectSentence(["--config", folder.path], naming: folder.path)
        }
    }

    @Test func devicesThatAreNotThere() throws {
        try expectSentence(["--device", "ascend:0"], ["GENREC_LOG_LEVEL": "info"], naming: "ascend")
        try expectSentence(["--dtype", "f16"], naming: "f16")
    }

    /// Runs a server under a limit set by the shell's `ulimit`.
    private func expectSentence(
        ulimit: String,
        naming words: String...,
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let output = try Genrec.run(
            program: "/bin/sh",
            ["-c", "ulimit \(ulimit) && exec \"$0\" serve --listen 127.0.0.1:0", Genrec.path]
        )
        expectSentence(output, naming: words, sourceLocation)
    }

    @Test(arguments: [12, 20]) func tooFewDescriptors(limit: Int) throws {
        try expectSentence(ulimit: "-n \(limit)", naming: "open files")
    }
}
