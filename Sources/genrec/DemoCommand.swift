// `genrec demo`: queries a server of the demo bundle and shows its answers with titles and times.

import ArgumentParser
import Catalogue
import Foundation
import Interactions
import Load
import Models

struct DemoCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "demo",
        abstract: "Ask a running demo for recommendations and show them with titles and times.",
        discussion: """
            Run genrec serve without options in another shell; it serves the demo bundle. The demo requests items for \
            a user, lets the user watch the first one, and requests again: the server then computes only the new \
            event. Times are from the first byte sent to the last one received.

            Examples:
            genrec demo
            genrec demo --users 1 --k 10
            genrec demo --url unix:/run/genrec.sock
            """
    )

    @Option(help: "The server: http://HOST[:PORT][/PATH] or unix:PATH.")
    var url = "http://127.0.0.1:8080"
    @Option(help: "Users whose recommendations are shown.")
    var users = 3
    @Option(help: "Items recommended to each user.")
    var k = 3
    @Option(help: "Sequential requests to measure latency; 0: none.")
    var requests = 200
    @OptionGroup var key: KeyOptions

    func validate() throws {
        guard 0...1_000_000 ~= requests else { throw ValidationError("--requests must be from 0 to 1000000") }
        guard 1...100 ~= users else { throw ValidationError("--users must be from 1 to 100") }
        guard 1...100 ~= k else { throw ValidationError("--k must be from 1 to 100") }
        _ = try key.authorization
    }

    func run() async throws {
        do {
            let demonstration = try Demonstration(
                target: LoadTarget(parsing: url),
                authorization: key.authorization,
                modelName: DemoBundle.name
            )
            let catalogue = try ModelBundle.load(directory: DemoBundle.locate()).catalogue
            let log = try InteractionLog(path: DemoBundle.interactionsPath())
            // The file lists all kinds of users in turn.
            let stride = max(log.users.count / users, 1)
            for index in 0..<min(users, log.users.count) {
                try show(log.users[index * stride], demonstration, catalogue)
            }
            try measure(log, demonstration)
        } catch {
            throw fail(String(describing: error))
        }
    }

    /// Shows one user's recommendations, and the cost of one more event.
    private func show(_ user: InteractionLog.User, _ demonstration: Demonstration, _ catalogue: Catalogue) throws {
        let style = Terminal.output
        func title(_ id: String) -> String { catalogue.row(of: id).flatMap(catalogue.title) ?? id }
        let answer = try demonstration.recommend(for: user, count: k)
        let seen = user.events.suffix(3).map { title($0.item) }.joined(separator: " · ")
        Console.result("\(style.bold("User \(user.id)")) has watched \(user.events.count), last \(seen)\n")
        for (place, item) in answer.items.enumerated() {
            let score = style.faint(item.score.formatted(places: 3))
            Console.result("  \(place + 1). \(style.green(title(item.id)))  \(score)\n")
        }
        Console.result("  \(timing(answer))\n")
        if let first = answer.items.first {
            let next = try demonstration.recommend(for: demonstration.after(first.id, user), count: k)
            let items = next.items.map { title($0.id) }.joined(separator: " · ")
            Console.result("  watches the first, then: \(style.green(items))\n  \(timing(next))\n")
        }
        Console.result("\n")
    }

    private func timing(_ answer: Demonstration.Answer) -> String {
        """
        \(answer.milliseconds.formatted(places: 2)) ms, \(answer.serverMilliseconds.formatted(places: 2)) of them in the \
        server; \(answer.used) events, \(answer.cached) of them computed before
        """
    }

    /// Measures the latency of sequential requests.
    private func measure(_ log: InteractionLog, _ demonstration: Demonstration) throws {
        guard requests > 0 else { return }
        let bar = ProgressBar(label: "requests")
        defer { bar.finish() }
        var times: [Double] = []
        for index in 0..<requests {
            times.append(
                try demonstration.recommend(for: log.users[index % log.users.count], count: k).milliseconds
            )
            bar.show(index + 1, of: requests)
        }
        times.sort()
        let (median, slow) = (times[times.count / 2], times[times.count * 99 / 100])
        Console.result(
            """
            \(requests) requests, one after another: median \(median.formatted(places: 2)) ms, \
            99 % within \(slow.formatted(places: 2)) ms

            """
        )
    }
}

extension Double {
    /// Formats a number with this many decimals.
    fileprivate func formatted(places: Int) -> String {
        formatted(.number.precision(.fractionLength(places)).grouping(.never).locale(Locale(identifier: "en_US_POSIX")))
    }
}
