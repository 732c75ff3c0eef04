// `genrec import`: converts a trainer's checkpoint to a bundle.

import ArgumentParser
import Importers
import JSON
import Models

struct ImportCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "import",
        abstract: "Write a bundle from a trainer's checkpoint.",
        discussion: """
            If the checkpoint lacks information, the error lists all that is missing, as a JSON object for --describe.

            Examples:
            genrec import --from huggingface --checkpoint qwen3-items \\
              --name movies --version 1 --output movies-1
            genrec import --from sasrec.pytorch --checkpoint SASRec.pth \\
              --describe model.json --catalogue catalogue.jsonl \\
              --name movies --version 1 --output movies-1
            genrec import --from meta --checkpoint last.ckpt --weights ema \\
              --describe model.json --name movies --version 2 --output movies-2
            """
    )

    @Option(help: "The checkpoint's format: \(checkpointFormats.joined(separator: ", ")).")
    var from: String
    @Option(help: "The checkpoint file, or a Hugging Face directory.")
    var checkpoint: String
    @Option(help: "JSON with what the checkpoint does not say: heads, layer order, sometimes the window.")
    var describe: String?
    @Option(help: "Which model to import if the checkpoint holds several (a model and its average).")
    var weights: String?
    @Option(help: "A catalogue.jsonl; without it ids are the row numbers.")
    var catalogue: String?
    @Option(help: "The bundle's name.")
    var name: String
    @Option(help: "The bundle's version.")
    var version: String
    @Option(help: "The directory to write; it must be empty or not exist.")
    var output: String
    @Flag(help: "Print one JSON object instead of a line.")
    var json = false

    func run() async throws {
        do {
            let summary: ImportSummary
            do {
                let bar = ProgressBar(label: "MiB of weights")
                // Finish the bar before any result or error is printed.
                defer { bar.finish() }
                summary = try importCheckpoint(
                    format: from,
                    checkpointPath: checkpoint,
                    describePath: describe,
                    weights: weights,
                    cataloguePath: catalogue,
                    name: name,
                    version: version,
                    outputDirectory: output,
                    progress: { bar.show($0 >> 20, of: $1 >> 20) }
                )
            }
            let parameters = summary.configuration.architecture.configuration.parameterCount
            let architecture = summary.configuration.architecture.name.rawValue
            if json {
                Console.result(
                    """
                    {"architecture":"\(architecture)","parameters":\(parameters),"items":\(summary.itemCount),\
                    "ignored_tensors":\(summary.ignoredTensors.count)\(origin(summary))\(semanticIDs(summary))}

                    """
                )
            } else {
                if let origin = summary.origin { Console.note("weights: \(origin.description)\n") }
                if catalogue == nil, summary.semanticIDs == nil {
                    Console.note("no catalogue given: the ids of items are their row numbers\n")
                }
                if let semanticIDs = summary.semanticIDs { Console.result(semanticIDs.text) }
                Console.result(
                    "wrote \(output): \(architecture), \(parameters) parameters, \(summary.itemCount) items\n"
                )
            }
        } catch {
            throw fail(String(describing: error))
        }
    }

    /// Additional members of the JSON object: where the weights were found.
    private func origin(_ summary: ImportSummary) -> String {
        guard let origin = summary.origin else { return "" }
        let value = JSONValue.object([
            JSONMember("dictionary", .string(origin.dictionary)), JSONMember("prefix", .string(origin.prefix)),
        ])
        return ",\"weights\":" + String(decoding: value.compact, as: UTF8.self)
    }

    /// Additional members of the JSON object: the facts about semantic ids.
    private func semanticIDs(_ summary: ImportSummary) -> String {
        guard let ids = summary.semanticIDs else { return "" }
        let value = JSONValue.object(ids.members)
        return ",\"semantic_ids\":" + String(decoding: value.compact, as: UTF8.self)
    }
}
