// Output of commands on a terminal and elsewhere. `script`, an essential package of Debian, provides the terminal.

import Foundation
import Testing

@Suite struct TerminalTests {
    /// Runs a command on a new terminal.
    private func onTerminal(_ arguments: String, environment: [String: String] = [:]) throws -> String {
        try Genrec.run(
            program: "/usr/bin/script",
            ["-qec", "'\(Genrec.path)' \(arguments)", "/dev/null"],
            environment: ["TERM": "xterm", "NO_COLOR": ""].merging(environment) { $1 }
        ).standardOutput
    }

    @Test func bar_IsDrawnOnTerminalsOnly() throws {
        let server = try RunningServer()
        defer { server.stop() }
        let load = "load --connections 1 --seconds 1 --url http://127.0.0.1:\(server.port)"
        let shown = try onTerminal(load)
        #expect(shown.contains("\u{1B}[32m#") && shown.contains("\r[") && shown.contains("1/1 s\r\n"), "\(shown)")
        let plain = try onTerminal(load, environment: ["NO_COLOR": "1"])
        #expect(plain.contains("\r[#") && !plain.contains("\u{1B}["), "\(plain)")
        let piped = try Genrec.run(load.split(separator: " ").map(String.init))
        #expect(piped.status == 0 && piped.standardError.isEmpty, "\(piped.standardError)")
        #expect(!piped.standardOutput.contains("\u{1B}") && !piped.standardOutput.contains("\r"))
    }

    @Test func demo_ShowsTitlesAndTimes() throws {
        let server = try RunningServer()
        defer { server.stop() }
        let url = "http://127.0.0.1:\(server.port)"
        let arguments = ["demo", "--url", url, "--users", "2", "--k", "2", "--requests", "5"]
        let output = try Genrec.run(arguments)
        #expect(output.status == 0 && output.standardError.isEmpty, "\(output.standardError)")
        let text = output.standardOutput
        #expect(text.contains("User u0 has watched 15, last Anime 3, episode 3"), "\(text)")
        #expect(text.contains("  1. Anime 5, episode 3  0.80"), "\(text)")
        #expect(text.contains("15 events, 0 of them computed before"), "\(text)")
        #expect(text.contains("16 events, 15 of them computed before"), "\(text)")
        #expect(text.contains("5 requests, one after another: median "), "\(text)")
        #expect(!text.contains("\u{1B}"))
        let shown = try onTerminal(arguments.joined(separator: " "))
        #expect(shown.contains("\u{1B}[32mAnime 5, episode 3\u{1B}[0m"), "\(shown)")
    }

    @Test func demo_WithoutServer_SaysSo() throws {
        let output = try Genrec.run(["demo", "--url", "http://127.0.0.1:1"])
        #expect(output.status == 1)
        #expect(output.standardError.contains("is the server running there?"))
    }
}
