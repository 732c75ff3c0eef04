// `genrec inspect`: what a bundle holds, after everything in it has been checked.

import ArgumentParser
import Models

struct InspectCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "inspect",
        abstract: "Verify a bundle and print what it holds."
    )

    @Argument(help: "The directory of the bundle.")
    var directory: String
    @Flag(help: "Print one JSON object instead of a table.")
    var json = false

    func run() async throws {
        do {
            let inspection = BundleInspection(try ModelBundle.load(directory: directory))
            Console.result(json ? inspection.json.prettyPrinted : inspection.text)
        } catch {
            throw fail(String(describing: error))
        }
    }
}
