// `genrec load`: puts a server under load and reports latency, goodput and outcomes.

import ArgumentParser
import Foundation
import Load
import Models
import Service

struct LoadCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "load",
        abstract: "Send requests made from real histories and report latency, goodput and outcomes.",
        discussion: """
            With --rate, requests arrive as from independent callers: a Poisson process that does not wait for \
            replies. Latency counts from when a request was due, so it includes the wait that a stalled server causes. \
            With --connections, that many callers each wait for a reply before the next request; this finds the \
            maximum throughput. The default is --connections 16.

            Rates are over the time to the last reply. Goodput counts replies with status 200 that meet the deadline, \
            if there is one. Requests without a reply are counted by outcome and are in no latency. Of the latencies, \
            "admitted" are those with status 200 or 504, "refused" those with 429 or 503; "once begun" excludes the \
            wait for a free connection.

            Ctrl-C ends the run and prints the results so far. The exit status is 1 if there was no reply at all.

            Examples:
            genrec load --url http://127.0.0.1:8080
            genrec load --url http://127.0.0.1:8080 --rate 200 --seconds 60 \\
              --interactions ratings.csv
            genrec load --url unix:/run/genrec.sock --connections 8 \\
              --returning 0.8 --deadline-ms 50 --json
            genrec load --url http://127.0.0.1:8080 --rate 500 --by-user 0.5
            genrec load --url http://127.0.0.1:8080 --beams 50 --k 20
            genrec load --url http://127.0.0.1:8080 --candidates 500
            """
    )

    @Option(help: "The server: http://HOST[:PORT][/PATH] or unix:PATH. https is not supported.")
    var url: String
    @Option(help: "Open loop: requests a second, on average.")
    var rate: Double?
    @Option(help: "Closed loop: callers that wait for their replies.")
    var connections: Int?
    @Option(help: "How long to send requests, in seconds.")
    var seconds = 10.0
    @Option(
        help: """
            A file of users, items and times, in any form that evaluate reads. Default: the demo's, if the server \
            serves the demo.
            """
    )
    var interactions: String?
    @OptionGroup var reading: InteractionsOptions
    @Option(help: "Items to request. Default: 10; with --candidates all of them.")
    var k: Int?
    @Option(help: "For semantic ids: how many paths are followed, as one number or one per level, separated by commas.")
    var beams: String?
    @Option(help: "Send requests to /rank, with this many different items of the interactions as candidates.")
    var candidates: Int?
    @Option(help: "top_k or sequence. Default: none is sent, which means top_k.")
    var mode: String?
    @Option(help: "Deadline in milliseconds, sent as deadline_ms; later replies do not count as goodput.")
    var deadlineMs: Int?
    @Option(
        help: """
            MIN:MAX. Lengths of histories are drawn uniformly from this range. A history is the beginning of a user's \
            events, repeated at later times if there are too few. Default: all of a user's events but the last.
            """
    )
    var lengths: String?
    @Option(
        help: """
            The share of requests, from 0 to 1, by returning users: the same user_id with one more event. Each other \
            request has its own user_id.
            """
    )
    var returning = 0.0
    @Option(
        help: """
            Replay the interactions in order of time against a server with a user store. This share of what is sent, \
            above 0 and at most 1, is events (POST /events); the rest is requests with only user_id, each for the user \
            of the last event.
            """
    )
    var byUser: Double?
    @Option(
        help: """
            The share of requests, from 0 to 1, whose caller closes the connection at a random moment within the usual \
            latency.
            """
    )
    var abandon = 0.0
    @Option(help: "Milliseconds after which a request without a reply is abandoned.")
    var timeoutMs = 10_000
    @Option(help: "Maximum number of connections with --rate; when all are busy, requests wait.")
    var maxConnections = 1_024
    @Option(help: "Threads that send requests.")
    var threads = 1
    @Option(help: "Seed for users, lengths and times; the same seed repeats the same requests. Default: random.")
    var seed: UInt64?
    @OptionGroup var key: KeyOptions
    @Option(help: "A file to write every request to, tab-separated: time, latency_ms, outcome.")
    var trace: String?
    @Flag(help: "Print one JSON object instead of a table.")
    var json = false

    func validate() throws {
        _ = try target
        _ = try plan
    }

    func run() async throws {
        let report: LoadReport
        do {
            let test = try LoadTest(
                target: target,
                plan: plan,
                interactions: interactions,
                options: reading.values,
                demo: DemoHistories(modelName: DemoBundle.name, path: DemoBundle.interactionsPath)
            )
            let signals = [SIGINT, SIGTERM].map { SignalSource($0) { test.interrupt() } }
            let bar = ProgressBar(label: "s")
            defer { bar.finish() }
            report = try withExtendedLifetime(signals) {
                try test.run { bar.show(Int($0.rounded()), of: Int(seconds.rounded(.up))) }
            }
            if let trace { try report.trace.write(toFile: trace, atomically: true, encoding: .utf8) }
        } catch {
            throw fail(String(describing: error))
        }
        Console.result((json ? report.json : report.table) + "\n")
        for remark in report.remarks { Console.note("genrec: \(remark)\n") }
        if report.recorder.answered == 0, !report.isInterrupted { throw fail("no request was answered") }
    }

    // MARK: Options as values

    private var target: LoadTarget {
        get throws {
            do throws(LoadError) {
                return try LoadTarget(parsing: url)
            } catch {
                throw ValidationError("--url: \(error.description)")
            }
        }
    }

    private var plan: LoadPlan {
        get throws {
            guard seconds > 0, seconds <= 86_400 else {
                throw ValidationError("--seconds must be above 0 and at most 86400")
            }
            var plan = LoadPlan(
                arrivals: try arrivals,
                duration: UInt64(seconds * 1e9),
                seed: seed ?? .random(in: .min ... .max)
            )
            plan.workload = try workload
            plan.abandonShare = try share(abandon, "--abandon")
            guard 1...3_600_000 ~= timeoutMs else { throw ValidationError("--timeout-ms must be from 1 to 3600000") }
            plan.timeout = UInt64(timeoutMs) * 1_000_000
            guard 1...65_536 ~= maxConnections else {
                throw ValidationError("--max-connections must be from 1 to 65536")
            }
            plan.maximumConnections = maxConnections
            guard 1...256 ~= threads else { throw ValidationError("--threads must be from 1 to 256") }
            if case .closed(let connections) = plan.arrivals, threads > connections {
                throw ValidationError("--threads must be at most --connections")
            }
            plan.threads = threads
            plan.authorization = try key.authorization
            plan.keepsTrace = trace != nil
            return plan
        }
    }

    private var arrivals: Arrivals {
        get throws {
            guard rate == nil || connections == nil else {
                throw ValidationError("--rate and --connections cannot be combined")
            }
            if let rate {
                guard rate > 0, rate <= 10_000_000 else {
                    throw ValidationError("--rate must be above 0 and at most 10000000")
                }
                return .open(rate: rate)
            }
            let connections = connections ?? 16
            guard 1...65_536 ~= connections else { throw ValidationError("--connections must be from 1 to 65536") }
            return .closed(connections: connections)
        }
    }

    private var workload: WorkloadSettings {
        get throws {
            var workload = WorkloadSettings()
            workload.count = k ?? (candidates == nil ? 10 : nil)
            guard 1...1_000_000 ~= workload.count ?? 1 else { throw ValidationError("--k must be from 1 to 1000000") }
            if let beams {
                let widths = beams.split(separator: ",", omittingEmptySubsequences: false).map { Int($0) ?? 0 }
                guard 1...8 ~= widths.count, widths.allSatisfy({ 1...65_536 ~= $0 }) else {
                    throw ValidationError(
                        "--beams must be from 1 to 65536, or up to 8 such numbers separated by commas"
                    )
                }
                workload.beams = widths
            }
            if let candidates {
                guard 1...65_536 ~= candidates else { throw ValidationError("--candidates must be from 1 to 65536") }
                guard mode == nil, beams == nil else {
                    throw ValidationError("--mode and --beams cannot be combined with --candidates")
                }
                workload.candidates = candidates
            }
            if let mode {
                guard let known = WorkloadSettings.Mode(rawValue: mode) else {
                    throw ValidationError("--mode must be top_k or sequence")
                }
                workload.mode = known
            }
            if let deadlineMs {
                guard 1...3_600_000 ~= deadlineMs else {
                    throw ValidationError("--deadline-ms must be from 1 to 3600000")
                }
                workload.deadlineMilliseconds = deadlineMs
            }
            if let lengths {
                let parts = lengths.split(separator: ":", omittingEmptySubsequences: false).map { Int($0) }
                guard parts.count == 2, let low = parts[0], let high = parts[1], 0 <= low, low <= high, high <= 100_000
                else { throw ValidationError("--lengths must be MIN:MAX with 0 <= MIN <= MAX <= 100000") }
                workload.lengths = low...high
            }
            workload.returningShare = try share(returning, "--returning")
            if let byUser {
                guard byUser > 0, byUser <= 1 else { throw ValidationError("--by-user must be above 0 and at most 1") }
                guard lengths == nil, returning == 0 else {
                    throw ValidationError(
                        "--lengths and --returning cannot be combined with --by-user, which sends no histories"
                    )
                }
                workload.eventShare = byUser
            }
            return workload
        }
    }

    private func share(_ value: Double, _ option: String) throws -> Double {
        guard 0...1 ~= value else { throw ValidationError("\(option) must be from 0 to 1") }
        return value
    }
}
