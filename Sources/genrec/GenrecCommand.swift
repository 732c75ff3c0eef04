// The command line. Each subcommand is one thin file; other modules do the work.

import ArgumentParser
import Glibc
import Service

@main
enum Main {
    static func main() async {
        do {
            var command = try GenrecCommand.parseAsRoot()
            if var asynchronous = command as? any AsyncParsableCommand {
                try await asynchronous.run()
            } else {
                try command.run()
            }
        } catch  where GenrecCommand.exitCode(for: error) == .validationFailure {
            // Wrong usage ends with status 2, as for most commands, instead of the status 64 of sysexits.
            Console.note(GenrecCommand.fullMessage(for: error) + "\n")
            exit(2)
        } catch {
            GenrecCommand.exit(withError: error)
        }
    }
}

struct GenrecCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "genrec",
        abstract: "Serves generative recommenders over HTTP.",
        discussion: """
            Results go to standard output, everything else to standard error. The exit status is 0 for done, 1 for failed and 2 \
            for wrong usage. NO_COLOR turns colours off.

            Examples:
            genrec serve
            genrec demo
            genrec import --help
            genrec --generate-completion-script bash > /etc/bash_completion.d/genrec
            """,
        version: BuildInfo.description,
        subcommands: [
            ServeCommand.self, DemoCommand.self, ImportCommand.self, InspectCommand.self, GoldenCommand.self,
            EvaluateCommand.self, StudyCommand.self, BenchCommand.self, LoadCommand.self, UsersCommand.self,
            CheckConfigCommand.self,
        ]
    )
}

extension AsyncParsableCommand {
    /// Prints one sentence to standard error. Returns status 1 for failures; wrong usage ends with 2.
    func fail(_ sentence: String) -> ExitCode {
        // Library errors may quote several lines of their input.
        let line = sentence.split(whereSeparator: \.isNewline).joined(separator: "; ")
        Console.note("\(Terminal.error.red("genrec:")) \(line)\n")
        return ExitCode(1)
    }
}
