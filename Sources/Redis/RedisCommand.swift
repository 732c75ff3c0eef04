// Commands in wire format: arrays of blobs (RESP, "Sending commands to a Redis server").

/// An encoded command with its arguments.
package struct RedisCommand: Sendable, Equatable {
    let bytes: [UInt8]

    /// - Parameter words: the command's name and its arguments, as text.
    package init(_ words: String...) { self.init(words) }

    package init(_ words: [String]) {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(words.reduce(16) { $0 + $1.utf8.count + 16 })
        bytes.append(UInt8(ascii: "*"))
        bytes.append(contentsOf: String(words.count).utf8)
        bytes.append(contentsOf: [0x0D, 0x0A])
        for word in words {
            bytes.append(UInt8(ascii: "$"))
            bytes.append(contentsOf: String(word.utf8.count).utf8)
            bytes.append(contentsOf: [0x0D, 0x0A])
            bytes.append(contentsOf: word.utf8)
            bytes.append(contentsOf: [0x0D, 0x0A])
        }
        self.bytes = bytes
    }
}

/// Commands about one key that are sent together, in order, and answered together.
package struct RedisRequest: Sendable {
    package var commands: [RedisCommand]
    /// The key of all commands; it determines the node of a cluster.
    package var key: String
    /// Whether they may be sent again if it is unknown whether they were executed.
    package var isRepeatable: Bool
    /// Whether they may be long. Long requests have their own connection if a server has several.
    package var isBulk: Bool

    package init(_ commands: [RedisCommand], key: String, isRepeatable: Bool, isBulk: Bool) {
        self.commands = commands
        self.key = key
        self.isRepeatable = isRepeatable
        self.isBulk = isBulk
    }
}

/// The server is unavailable, too slow, or refused the request.
package struct RedisError: Error, Equatable, CustomStringConvertible {
    /// One sentence, without passwords or keys.
    package let description: String

    init(_ description: String) { self.description = description }
}
