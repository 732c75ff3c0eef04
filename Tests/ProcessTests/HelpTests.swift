// The command's help: every subcommand shows examples, in lines that can be copied.

import Foundation
import Testing

@Suite struct HelpTests {
    /// The subcommands that the help of `command` lists.
    private func subcommands(_ command: [String]) throws -> [String] {
        let help = try Genrec.run(command + ["--help"]).standardOutput
        guard let start = help.range(of: "SUBCOMMANDS:\n") else { return [] }
        return help[start.upperBound...].split(separator: "\n")
            .compactMap { $0.wholeMatch(of: #/  ([a-z-]+) .*/#).map { String($0.1) } }
    }

    @Test func everySubcommand_ShowsExamples() throws {
        let commands = try subcommands([]).map { [$0] }
        #expect(commands.count >= 10)
        let all = try commands + commands.flatMap { command in try subcommands(command).map { command + [$0] } }
        for command in [[]] + all {
            let help = try Genrec.run(command + ["--help"]).standardOutput
            let call = (["genrec"] + command).joined(separator: " ")
            let examples = try #require(help.range(of: "Examples:\n"), "\(call)")
            let text = help[examples.upperBound...].prefix { $0 != "\u{0}" }.components(separatedBy: "\n\n")[0]
            // Lines that the help wraps because they are too long can no longer be copied.
            var isContinued = false
            for line in text.split(separator: "\n") {
                #expect(line.hasPrefix(isContinued ? "  " : call), "\(call): \(line)")
                isContinued = line.hasSuffix("\\")
            }
        }
    }

    @Test func completions_AreThere() throws {
        for shell in ["bash", "zsh", "fish"] {
            let output = try Genrec.run(["--generate-completion-script", shell])
            #expect(output.status == 0 && output.standardOutput.contains("check-config"), "\(shell)")
        }
    }
}
