// How a command gets an API key: from the environment, which process lists do not show.

import ArgumentParser
import Foundation

/// The API key to send with requests.
struct KeyOptions: ParsableArguments {
    @Option(help: "The environment variable that holds an API key, sent if there is one and never printed.")
    var apiKeyVariable = "GENREC_API_KEY"

    /// The value of `Authorization`; nil without a key.
    var authorization: String? {
        get throws {
            guard let key = ProcessInfo.processInfo.environment[apiKeyVariable], !key.isEmpty else { return nil }
            // The error names the variable but quotes nothing of the key.
            guard key.utf8.allSatisfy({ 0x21...0x7E ~= $0 }) else {
                throw ValidationError("\(apiKeyVariable) has a character that API keys cannot have")
            }
            return "Bearer \(key)"
        }
    }
}
