// `genrec bench`: times the engine without HTTP.

import ArgumentParser
import Evaluation
import Service

struct BenchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench",
        abstract: "Time a batch of histories, or of new events on cached ones, scoring included, without HTTP.",
        discussion: """
            Examples:
            genrec bench --bundle movies-1
            genrec bench --bundle movies-1 --batch 32 --dtype bf16
            genrec bench --bundle movies-1 --length 200 --append 1
            genrec bench --bundle movies-1 --candidates 500 --json
            """
    )

    @Option(help: "The directory of the bundle.")
    var bundle: String
    @Option(help: "Histories in a batch.")
    var batch = 1
    @Option(help: "Events of each history; default: the model's window.")
    var length: Int?
    @Option(help: "Compute only so many new events of each history; the others are cached.")
    var append: Int?
    @Option(help: "Items selected for each history.")
    var k = 10
    @Option(help: "Score so many named items for each history, and select nothing.")
    var candidates: Int?
    @Option(help: "How long to measure, in seconds.")
    var seconds = 3.0
    @OptionGroup var compute: ComputeOptions
    @Flag(help: "Print one JSON object instead of a table.")
    var json = false

    func validate() throws {
        guard 1...4_096 ~= batch else { throw ValidationError("--batch must be from 1 to 4096") }
        guard seconds > 0, seconds <= 3_600 else { throw ValidationError("--seconds must be above 0 and at most 3600") }
        if let length, length < 1 { throw ValidationError("--length must be at least 1") }
        guard 1...100_000 ~= k else { throw ValidationError("--k must be from 1 to 100000") }
        if let candidates, !(1...65_536 ~= candidates) {
            throw ValidationError("--candidates must be from 1 to 65536")
        }
        if let append, append < 1 { throw ValidationError("--append must be at least 1") }
        if let append, let length, append >= length { throw ValidationError("--append must be less than --length") }
    }

    func run() async throws {
        do {
            let report = try OfflineSession.with(bundlePath: bundle, compute: compute.settings) { session in
                try session.bench(
                    batch: batch,
                    length: length,
                    append: append,
                    count: k,
                    candidates: candidates,
                    seconds: seconds
                )
            }
            Console.result((json ? report.json : report.table) + "\n")
        } catch {
            throw fail(String(describing: error))
        }
    }
}
