// How to read a file of interactions: options shared by all commands that read one.

import ArgumentParser
import Interactions

/// What the user must state about a file of interactions because the file does not.
struct InteractionsOptions: ParsableArguments {
    @Option(
        help: """
            The columns of a file of interactions without a header, or instead of its own, such as \
            user,item,rating,timestamp; other names are skipped.
            """
    )
    var columns: String?
    @Option(help: "The unit of the file's times: s, ms, us or iso. Default: seconds, or what the column's name says.")
    var timeUnit: TimeUnit?

    var values: InteractionOptions {
        InteractionOptions(
            columns: columns?.split(separator: ",", omittingEmptySubsequences: false).map(String.init),
            timeUnit: timeUnit
        )
    }
}

extension TimeUnit: ExpressibleByArgument {}
