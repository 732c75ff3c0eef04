// `genrec golden`: writes the golden cases of a bundle.

import ArgumentParser
import Devices
import Evaluation
import Interactions
import Models

struct GoldenCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "golden",
        abstract: "Write golden.json into a bundle: requests with the answers that every server must reproduce.",
        discussion: """
            The answers are computed here, on a CPU in float32. A server that loads the bundle runs the requests on its own \
            device, in its own type, and refuses the bundle if the answers differ.

            Examples:
            genrec golden --bundle movies-8 --interactions ratings.csv --cases 32
            """
    )

    @Option(help: "The directory of the bundle.")
    var bundle: String
    @Option(help: "A file of users, items and times, as evaluate reads it; users' histories become the requests.")
    var interactions: String
    @Option(help: "How many requests, from the shortest history to the longest.")
    var cases = 32
    @OptionGroup var reading: InteractionsOptions

    func validate() throws {
        guard GoldenCases.countRange.contains(cases) else {
            throw ValidationError(
                "--cases must be from \(GoldenCases.countRange.lowerBound) to \(GoldenCases.countRange.upperBound)"
            )
        }
    }

    func run() async throws {
        do {
            let log = try InteractionLog(path: interactions, options: reading.values)
            let compute = try ComputeSettings(device: "cpu", dtype: "f32", threads: nil)
            let count = try OfflineSession.with(bundlePath: bundle, compute: compute, ignoresGolden: true) { session in
                let golden = try session.goldenCases(log, count: cases)
                try session.write(golden)
                return golden.cases.count
            }
            Console.result("\(bundle)/\(GoldenCases.fileName): \(count) golden cases\n")
        } catch {
            throw fail(String(describing: error))
        }
    }
}
