// `genrec check-config` and `serve --check`: they report all faults together and serve nothing.

import Foundation
import Testing

@Suite struct CheckConfigTests {
    private func withFile(_ text: String, _ body: (String) throws -> Void) throws {
        try Genrec.withTemporaryFolder { folder in
            let path = folder.appendingPathComponent("genrec.yaml").path
            try text.write(toFile: path, atomically: true, encoding: .utf8)
            try body(path)
        }
    }

    @Test func defaults_CanBeUsed() throws {
        let defaults = try Genrec.run(["check-config", "--defaults"])
        #expect(defaults.status == 0)
        try withFile(defaults.standardOutput) { file in
            for arguments in [["check-config", file], ["serve", "--check", "--config", file]] {
                let output = try Genrec.run(arguments)
                #expect(output.status == 0 && output.standardError.isEmpty, "\(output.standardError)")
                #expect(output.standardOutput == "settings, bundle, keys and certificates can be used\n")
            }
        }
    }

    @Test func faultsOfSettingsAndFiles_AreAllReported() throws {
        try withFile("bundle: /nowhere\nhttp:\n  lopps: 2\n  loops: 900\nauth:\n  keys_file: /no/keys\n") { file in
            let output = try Genrec.run(["check-config", file], environment: ["GENREC_LOG_LEVL": "info"])
            #expect(output.status == 1 && output.standardOutput.isEmpty)
            let lines = output.standardError.split(separator: "\n").map(String.init)
            #expect(
                lines.prefix(4) == [
                    "\(file):3:3: there is no setting 'http.lopps'; did you mean 'http.loops'?",
                    "no setting has the environment variable GENREC_LOG_LEVL; did you mean GENREC_LOG_LEVEL?",
                    "\(file):4:10: http.loops must be a whole number from 1 to 256, not '900'",
                    "cannot read the keys file /no/keys",
                ]
            )
            #expect(lines.count == 5 && lines[4].contains("/nowhere"), "\(lines)")
        }
    }

    @Test func options_AreCheckedInPlaceOfTheFile() throws {
        try withFile("engine:\n  device: gpu\n") { file in
            #expect(try Genrec.run(["serve", "--check", "--config", file, "--device", "cpu"]).status == 0)
            let output = try Genrec.run(["serve", "--check", "--config", file, "--device", "tpu"])
            #expect(output.standardError == "--device: engine.device: there is no device 'tpu'; use cpu or ascend:N\n")
        }
    }

    /// A start that fails still prints one sentence.
    @Test func serve_SaysTheFirstFault_AndHowManyMore() throws {
        try withFile("a: 1\nb: 2\n") { file in
            let output = try Genrec.run(["serve", "--config", file])
            let sentence =
                "genrec: \(file):1:1: there is no setting 'a' (and 1 more; `genrec check-config` lists them)\n"
            #expect(output.standardError == sentence && output.status == 1)
        }
    }

    @Test func usage_NeedsAFile() throws {
        #expect(try Genrec.run(["check-config"]).status == 2)
    }
}
