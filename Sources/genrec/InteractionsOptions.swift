// How to read a file of interactions: options shared by all commands that read one.

import ArgumentParser
import Interactions

/// What the user must state about a file of interactions because the file does not.
struct InteractionsOptions: ParsableArguments {
    @Option(
        help: """
            The columns of a file of interactions that has no header, or in place of its own, as user,item,rating,timestamp; \
            names of other things are passed over.
            """
    )
    var columns: String?
    @Option(help: "The unit of its times: s, ms, us or iso. Default: seconds, or what the column's name says.")
    var timeUnit: TimeUnit?

    var values: InteractionOptions {
        InteractionOptions(
            columns: columns?.split(separator: ",", omittingEmptySubsequences: false).map(String.init),
            timeUnit: timeUnit
        )
    }
}

extension TimeUnit: ExpressibleByArgument {}
