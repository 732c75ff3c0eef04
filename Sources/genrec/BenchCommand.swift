// `genrec bench`: times the engine without HTTP.

import ArgumentParser
import Evaluation
import Foundation
import Service

struct BenchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench",
        abstract: "Time a batch of histories, or of new events on cached ones, scoring included, without HTTP.",
        discussion: """
            With semantic ids, --length counts the tokens of a prompt, and each prompt is searched with beams. --trie \
            and --changes need no bundle: they time the trie of a synthetic catalogue, and changes of one.

            Examples:
            genrec bench --bundle movies-1
            genrec bench --bundle movies-1 --batch 32 --dtype bf16
            genrec bench --bundle movies-1 --length 200 --append 1
            genrec bench --bundle movies-1 --candidates 500 --json
            genrec bench --bundle onerec-1 --length 1000 --beams 50 --append 10
            genrec bench --trie 10000000 --levels 3 --codes 8192 --beams 50
            genrec bench --changes 1000000
            """
    )

    @Option(help: "The directory of the bundle.")
    var bundle: String?
    @Option(help: "Histories in a batch.")
    var batch = 1
    @Option(help: "Events of each history; default: the model's window.")
    var length: Int?
    @Option(help: "Compute only this many new events of each history; the others are cached.")
    var append: Int?
    @Option(help: "Items selected for each history.")
    var k = 10
    @Option(help: "Score this many candidates for each history instead of the whole catalogue.")
    var candidates: Int?
    @Option(help: "Also time the selection with this share of the items unavailable, from 0 to 1.")
    var unavailable: Double?
    @Option(help: "Beams of each search, with semantic ids; default: the bundle's; with --trie 50.")
    var beams: Int?
    @Option(help: "Time the trie of a synthetic catalogue with this many items.")
    var trie: Int?
    @Option(help: "Levels of the paths, with --trie.")
    var levels = 3
    @Option(help: "Codes of each level, with --trie.")
    var codes = 8_192
    @Option(help: "Time this many changes of a synthetic catalogue with as many items.")
    var changes: Int?
    @Option(help: "How long to measure, in seconds.")
    var seconds = 3.0
    @OptionGroup var compute: ComputeOptions
    @Flag(help: "Print one JSON object instead of a table.")
    var json = false

    func validate() throws {
        guard [bundle != nil, trie != nil, changes != nil].count(where: { $0 }) == 1 else {
            throw ValidationError("give one of --bundle, --trie and --changes")
        }
        if let changes, !(1...10_000_000 ~= changes) {
            throw ValidationError("--changes must be from 1 to 10000000")
        }
        if let beams, !(1...65_536 ~= beams) { throw ValidationError("--beams must be from 1 to 65536") }
        if let trie {
            guard 1...200_000_000 ~= trie else { throw ValidationError("--trie must be from 1 to 200000000") }
            guard 2...8 ~= levels else { throw ValidationError("--levels must be from 2 to 8") }
            guard 1...1_000_000 ~= codes else { throw ValidationError("--codes must be from 1 to 1000000") }
        }
        guard 1...4_096 ~= batch else { throw ValidationError("--batch must be from 1 to 4096") }
        guard seconds > 0, seconds <= 3_600 else { throw ValidationError("--seconds must be above 0 and at most 3600") }
        if let length, length < 1 { throw ValidationError("--length must be at least 1") }
        guard 1...100_000 ~= k else { throw ValidationError("--k must be from 1 to 100000") }
        if let candidates, !(1...65_536 ~= candidates) {
            throw ValidationError("--candidates must be from 1 to 65536")
        }
        if let unavailable {
            guard 0...1 ~= unavailable else { throw ValidationError("--unavailable must be from 0 to 1") }
            guard candidates == nil, beams == nil else {
                throw ValidationError("--unavailable cannot be combined with --candidates or --beams")
            }
        }
        if let append, append < 1 { throw ValidationError("--append must be at least 1") }
        if let append, let length, append >= length { throw ValidationError("--append must be less than --length") }
    }

    func run() async throws {
        if let trie {
            let report = TrieBenchmark.run(items: trie, levels: levels, codes: codes, beams: beams ?? 50)
            return Console.result((json ? report.json : report.table) + "\n")
        }
        if let changes {
            let folder = FileManager.default.temporaryDirectory.appendingPathComponent("genrec-\(UUID())").path
            defer { try? FileManager.default.removeItem(atPath: folder) }
            do {
                let report = try ChangesBenchmark.run(items: changes, directory: folder)
                return Console.result((json ? report.json : report.table) + "\n")
            } catch {
                throw fail(String(describing: error))
            }
        }
        guard let bundle else { return }
        do {
            let report = try OfflineSession.with(bundlePath: bundle, compute: compute.settings) { session in
                try session.bench(
                    batch: batch,
                    length: length,
                    append: append,
                    count: k,
                    candidates: candidates,
                    beams: beams,
                    unavailable: unavailable,
                    seconds: seconds
                )
            }
            Console.result((json ? report.json : report.table) + "\n")
        } catch {
            throw fail(String(describing: error))
        }
    }
}
