// `genrec import`: a trainer's checkpoint becomes a bundle.

import ArgumentParser
import Importers
import Models

struct ImportCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "import",
        abstract: "Write a bundle from a trainer's checkpoint."
    )

    @Option(help: "Whose checkpoint it is: meta, sasrec.pytorch, huggingface, performance-law.")
    var from: String
    @Option(help: "The checkpoint file, or a directory of Hugging Face's.")
    var checkpoint: String
    @Option(help: "JSON that says what the checkpoint does not: dimensions, heads, window.")
    var describe: String?
    @Option(help: "A catalogue.jsonl; without it ids are the row numbers.")
    var catalogue: String?
    @Option(help: "The bundle's name.")
    var name: String
    @Option(help: "The bundle's version.")
    var version: String
    @Option(help: "The directory to write; it does not exist yet, or is empty.")
    var output: String
    @Flag(help: "Print one JSON object instead of a line.")
    var json = false

    func run() async throws {
        do {
            let summary = try importCheckpoint(
                format: from,
                checkpointPath: checkpoint,
                describePath: describe,
                cataloguePath: catalogue,
                name: name,
                version: version,
                outputDirectory: output
            )
            let parameters = summary.configuration.architecture.configuration.parameterCount
            let architecture = summary.configuration.architecture.name.rawValue
            if json {
                Console.result(
                    """
                    {"architecture":"\(architecture)","parameters":\(parameters),"items":\(summary.itemCount),\
                    "ignored_tensors":\(summary.ignoredTensors.count)}

                    """
                )
            } else {
                Console.result(
                    "wrote \(output): \(architecture), \(parameters) parameters, \(summary.itemCount) items\n"
                )
            }
        } catch {
            throw fail(String(describing: error))
        }
    }
}
