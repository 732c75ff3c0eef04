// Commands in wire format: an array of blobs (RESP, "Sending commands to a Redis server").

/// A command with its arguments, encoded.
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

/// Commands about one key that go out together, in their order, and are answered together.
package struct RedisRequest: Sendable {
    package var commands: [RedisCommand]
    /// What they are about: a cluster's node follows from it.
    package var key: String
    /// Whether they may be sent again where it is not known whether they were carried out.
    package var isRepeatable: Bool
    /// Whether they may be long: such requests have a connection of their own, where there are several.
    package var isBulk: Bool

    package init(_ commands: [RedisCommand], key: String, isRepeatable: Bool, isBulk: Bool) {
        self.commands = commands
        self.key = key
        self.isRepeatable = isRepeatable
        self.isBulk = isBulk
    }
}

/// The server is unavailable, too slow, or refused.
package struct RedisError: Error, Equatable, CustomStringConvertible {
    /// One sentence; it never has a password or a key in it.
    package let description: String

    init(_ description: String) { self.description = description }
}
