// `genrec inspect`: verifies a bundle and prints what it contains.

import ArgumentParser
import JSON
import Models

struct InspectCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "inspect",
        abstract: "Verify a bundle and print what it holds.",
        discussion: """
            Examples:
            genrec inspect movies-1
            genrec inspect movies-1 --length 50 --json
            """
    )

    @Argument(help: "The directory of the bundle.")
    var directory: String
    @Option(help: "Events of the history for which operations are counted; default: the window.")
    var length: Int?
    @Flag(help: "Print one JSON object instead of a table.")
    var json = false

    func validate() throws {
        if let length, length < 1 { throw ValidationError("--length must be at least 1") }
    }

    func run() async throws {
        do {
            let inspection = BundleInspection(try ModelBundle.load(directory: directory), length: length)
            Console.result(json ? inspection.json.prettyPrinted : inspection.text)
        } catch {
            throw fail(String(describing: error))
        }
    }
}
