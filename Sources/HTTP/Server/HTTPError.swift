// Failures to set up a server. Once it runs, a failure belongs to one connection and ends it.

/// A failure to configure or to start a server.
package struct HTTPError: Error, Equatable, CustomStringConvertible {
    /// The kind of failure.
    package enum Code: String, Sendable {
        /// A value of the configuration is out of its range.
        case invalidConfiguration = "invalid_configuration"
        /// An address to listen on is malformed.
        case invalidAddress = "invalid_address"
        /// The server cannot listen on an address: it is in use, not this machine's, or not permitted.
        case cannotListen = "cannot_listen"
        /// The kernel refuses a descriptor or memory that every server needs.
        case system
        /// `start` was called a second time.
        case alreadyStarted = "already_started"
    }

    package let code: Code
    /// One sentence: what was wrong, and where.
    package let message: String

    package init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    package var description: String { message }

    package static func == (left: HTTPError, right: HTTPError) -> Bool { left.code == right.code }
}
