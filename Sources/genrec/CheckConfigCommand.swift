// `genrec check-config`: reports everything that would make a server's start fail.

import ArgumentParser
import Service

struct CheckConfigCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check-config",
        abstract: "Check a configuration file and everything it names.",
        discussion: """
            Reads the file together with environment variables (GENREC_HTTP_LISTEN for http.listen), as genrec serve \
            does, then API keys, certificates and the bundle. Prints every fault with its file, line and column, or \
            its variable. It serves nothing and does not try addresses or devices.

            Examples:
            genrec check-config /etc/genrec/genrec.yaml && systemctl restart genrec
            genrec check-config --defaults > genrec.yaml
            """
    )

    @Argument(help: "YAML file of settings.")
    var file: String?
    @Flag(help: "Print every setting at its default, as a YAML file with comments.")
    var defaults = false
    @Flag(help: .hidden)
    var page = false

    func validate() throws {
        if file == nil && !defaults && !page { throw ValidationError("name a file or give --defaults") }
    }

    func run() async throws {
        if defaults { return Console.result(ServiceConfiguration.defaultsAsYAML) }
        if page { return Console.result(ServiceConfiguration.settingsPage) }
        try report(ServiceConfiguration.check(file: file))
    }
}

/// Prints the outcome of a check of settings.
///
/// - Throws: `ExitCode` 1 if there are faults.
func report(_ faults: [ConfigurationError]) throws {
    guard faults.isEmpty else {
        for fault in faults {
            Console.note(fault.description.split(whereSeparator: \.isNewline).joined(separator: "; ") + "\n")
        }
        throw ExitCode(1)
    }
    Console.result("settings, bundle, keys and certificates are valid\n")
}
