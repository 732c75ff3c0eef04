// `genrec evaluate`: leave-one-out metrics of a bundle on a file of interactions.

import ArgumentParser
import Devices
import Evaluation
import Interactions
import Service

struct EvaluateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "evaluate",
        abstract: "Rank every user's last event among the whole catalogue and report hit rates."
    )

    @Option(help: "The directory of the bundle.")
    var bundle: String
    @Option(help: "A tab-separated file with the columns user, item and timestamp, named in its first line.")
    var interactions: String
    @OptionGroup var compute: ComputeOptions
    @Flag(help: "Print one JSON object instead of a table.")
    var json = false

    func run() async throws {
        do {
            let log = try InteractionLog(path: interactions)
            let report = try OfflineSession.with(bundlePath: bundle, compute: compute.settings) { session in
                let bar = ProgressBar(label: "users")
                defer { bar.finish() }
                return try session.evaluate(log) { bar.show($0, of: $1) }
            }
            Console.result((json ? report.json : report.table) + "\n")
        } catch {
            throw fail(String(describing: error))
        }
    }
}

/// The options that choose a device, shared by every command that computes without a server.
struct ComputeOptions: ParsableArguments {
    @Option(help: "cpu or ascend:N.")
    var device = "cpu"
    @Option(
        help:
            "f32, bf16 or int8 on a cpu, bf16 or f16 on an NPU: the type weights are packed in; auto: f32, or bf16 where the chip has it, else f16."
    )
    var dtype = "auto"
    @Option(help: "Threads that compute on a cpu; default: one a core.")
    var threads: Int?

    var settings: ComputeSettings {
        get throws { try ComputeSettings(device: device, dtype: dtype, threads: threads) }
    }
}
