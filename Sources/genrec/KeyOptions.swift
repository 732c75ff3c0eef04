// How a command that talks to a server gets an API key: from the environment, where process lists do not show it.

import ArgumentParser
import Foundation

/// The API key of requests.
struct KeyOptions: ParsableArguments {
    @Option(help: "The environment variable that holds an API key, sent if there is one and never printed.")
    var apiKeyVariable = "GENREC_API_KEY"

    /// The value of `Authorization`; nil without a key.
    var authorization: String? {
        get throws {
            guard let key = ProcessInfo.processInfo.environment[apiKeyVariable], !key.isEmpty else { return nil }
            // The sentence names the variable and repeats nothing of the key.
            guard key.utf8.allSatisfy({ 0x21...0x7E ~= $0 }) else {
                throw ValidationError("\(apiKeyVariable) has a character in it that no API key has")
            }
            return "Bearer \(key)"
        }
    }
}
