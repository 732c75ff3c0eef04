// `genrec study`: shows what more parameters or more time gain, over a user's own bundles.

import ArgumentParser
import Devices
import Evaluation
import Interactions
import JSON

struct StudyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "study",
        abstract: "Fit quality against parameters and measured latency over bundles of several sizes.",
        discussion: """
            Every bundle is evaluated on the same users and timed with one request of a full window. For an \
            architecture with at least three sizes, a power law is fitted to the error 1 - METRIC, with an interval of \
            its exponent over users.

            Examples:
            genrec study --bundles hstu-s hstu-m hstu-l sasrec-s \\
              --interactions ratings.csv --html study.html
            """
    )

    @Option(parsing: .upToNextOption, help: "The directories of the bundles.")
    var bundles: [String]
    @Option(help: "A file of users, items and times, in any form that evaluate reads.")
    var interactions: String
    @OptionGroup var reading: InteractionsOptions
    @Option(help: "The metric: one of evaluate's.")
    var metric = "ndcg@10"
    @Option(help: "How long each bundle is timed, in seconds.")
    var seconds = 1.0
    @OptionGroup var compute: ComputeOptions
    @Flag(help: "Print one JSON object instead of tables.")
    var json = false
    @Option(help: "A file to write the study to, as one HTML page with charts.")
    var html: String?

    func validate() throws {
        guard !bundles.isEmpty else { throw ValidationError("--bundles needs at least one directory") }
        guard RankingMetrics.names.contains(metric) else {
            throw ValidationError("--metric must be one of \(RankingMetrics.names.joined(separator: ", "))")
        }
        guard seconds > 0, seconds <= 3_600 else { throw ValidationError("--seconds must be above 0 and at most 3600") }
    }

    func run() async throws {
        do {
            let log = try InteractionLog(path: interactions, options: reading.values)
            let bar = ProgressBar(label: "users")
            defer { bar.finish() }
            var entries: [StudyEntry] = []
            for (index, bundle) in bundles.enumerated() {
                let entry = try OfflineSession.with(bundlePath: bundle, compute: compute.settings) { session in
                    let report = try session.evaluate(log) { done, total in
                        bar.show(index * total + done, of: bundles.count * total)
                    }
                    let bench = try session.bench(batch: 1, length: nil, append: nil, count: 10, seconds: seconds)
                    return StudyEntry(session.inspection, milliseconds: bench.durations.median, report: report)
                }
                entries.append(entry)
            }
            let isAmbiguous = Set(entries.map(\.report.label)).count < entries.count
            for index in entries.indices where isAmbiguous { entries[index].report.label += " (\(bundles[index]))" }
            let study = Study(entries, metric: metric)
            guard study.users > 0 else { throw noCommonUser }
            if let html { try write(study.html, to: html) }
            Console.result((json ? study.json.line : study.text) + "\n")
        } catch {
            throw fail(String(describing: error))
        }
    }
}
