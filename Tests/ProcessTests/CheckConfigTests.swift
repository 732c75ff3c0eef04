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
                #expect(output.standardOutput == "settings, bundle, keys and certificates are valid\n")
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

    /// Folders that a start would make, or not be able to make.
    @Test func filesInTheWayOfFolders_AreReported() throws {
        let text =
            "state:\n  directory: @/f\nusers:\n  store: local\n  local:\n    directory: @/f/users\n"
            + "log:\n  access: json\n  access_file: @/none/access.log\n"
        try Genrec.withTemporaryFolder { folder in
            let (file, path) = (folder.appendingPathComponent("c.yaml").path, folder.path)
            try "".write(toFile: path + "/f", atomically: true, encoding: .utf8)
            try text.replacing("@", with: path).write(toFile: file, atomically: true, encoding: .utf8)
            let output = try Genrec.run(["check-config", file])
            #expect(
                output.standardError.split(separator: "\n").map(String.init) == [
                    "state.directory: \(path)/f cannot be a folder: a file with that name exists",
                    "users.local.directory: \(path)/f/users cannot be a folder: a file with that name exists",
                    "log.access_file: there is no folder \(path)/none",
                ]
            )
            let start = try Genrec.run(["serve", "--listen", "127.0.0.1:0", "--config", file])
            #expect(start.status == 1 && start.standardError.split(separator: "\n").count == 1)
            #expect(!start.standardError.contains("Error Domain"), "\(start.standardError)")
            // What is not there is made.
            try "state:\n  directory: \(path)/a/b\n".write(toFile: file, atomically: true, encoding: .utf8)
            #expect(try Genrec.run(["check-config", file]).status == 0)
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
