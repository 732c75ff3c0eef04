// `genrec evaluate`: leave-one-out metrics of bundles on a file of interactions.

import ArgumentParser
import Devices
import Evaluation
import Files
import Interactions
import JSON
import Service

struct EvaluateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "evaluate",
        abstract: "Rank every user's last event among the whole catalogue, and compare bundles.",
        discussion: """
            With several --bundle, the others are compared with the first on the users that all can rank: differences \
            with 95 % intervals and the users ranked better and worse, also by history length and by popularity of the \
            target.

            Examples:
            genrec evaluate --bundle movies-1 --interactions ratings.csv
            genrec evaluate --bundle movies-1 --interactions u.data \\
              --columns user,item,rating,timestamp
            genrec evaluate --bundle movies-1 --interactions ratings.csv --dtype int8
            genrec evaluate --bundle movies-1 --bundle movies-2 \\
              --interactions ratings.csv --html report.html
            """
    )

    @Option(help: "The directory of a bundle; several are compared with the first.")
    var bundle: [String]
    @Option(
        help: """
            A file of users, items and times, separated by tabs, commas, semicolons, "::" or blanks, with column names \
            in the first line; or JSON lines. May be compressed (.gz).
            """
    )
    var interactions: String
    @OptionGroup var reading: InteractionsOptions
    @OptionGroup var compute: ComputeOptions
    @Option(help: "Beams of each search, and so items ranked, with semantic ids; default: the bundle's.")
    var beams: Int?
    @Flag(help: "Print one JSON object instead of a table.")
    var json = false
    @Option(help: "A file to write the report to, as one HTML page with charts.")
    var html: String?

    func validate() throws {
        if let beams, !(1...65_536 ~= beams) { throw ValidationError("--beams must be from 1 to 65536") }
    }

    func run() async throws {
        do {
            let log = try InteractionLog(path: interactions, options: reading.values)
            var reports = try bundle.map { bundle in
                try OfflineSession.with(bundlePath: bundle, compute: compute.settings) { session in
                    let bar = ProgressBar(label: "users")
                    defer { bar.finish() }
                    return try session.evaluate(log, beams: beams) { bar.show($0, of: $1) }
                }
            }
            let isAmbiguous = Set(reports.map(\.label)).count < reports.count
            for index in reports.indices where isAmbiguous { reports[index].label += " (\(bundle[index]))" }
            let comparison = BundleComparison(reports, log: log)
            if let html { try write(comparison.html, to: html) }
            if reports.count == 1 {
                Console.result((json ? reports[0].json.line : reports[0].table) + "\n")
            } else {
                guard comparison.users > 0 else { throw noCommonUser }
                Console.result((json ? comparison.json.line : comparison.text) + "\n")
            }
        } catch {
            throw fail(String(describing: error))
        }
    }
}

/// The error for bundles without a common user, which cannot be compared.
let noCommonUser = InteractionLogError(
    description: "there is no user that all bundles can rank: their catalogues have different items"
)

/// Writes a report to a file.
func write(_ text: String, to path: String) throws(FileError) {
    var file = try FileWriter(path: path)
    try file.append(text.utf8)
    try file.commit()
}

extension JSONValue {
    /// The value on one line.
    var line: String { String(decoding: compact, as: UTF8.self) }
}

/// The options that choose a device, for all commands that compute without a server.
struct ComputeOptions: ParsableArguments {
    @Option(help: "cpu or ascend:N.")
    var device = "cpu"
    @Option(
        help:
            "Type of the packed weights: f32, bf16 or int8 on a cpu, bf16 or f16 on an NPU. auto: f32 on a cpu; on an NPU bf16 if the chip supports it, otherwise f16."
    )
    var dtype = "auto"
    @Option(help: "Threads that compute on a cpu; default: one per core.")
    var threads: Int?

    var settings: ComputeSettings {
        get throws { try ComputeSettings(device: device, dtype: dtype, threads: threads) }
    }
}
