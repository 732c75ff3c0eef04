// The mapping of keys to cluster slots (Redis cluster specification, "Key distribution model").

/// The cluster slot of a key.
package enum RedisSlot {
    package static let count = 16_384

    /// CRC16 with the polynomial 0x1021, the XMODEM variant.
    private static let table: [UInt16] = (0..<256).map { byte in
        (0..<8).reduce(UInt16(byte) << 8) { crc, _ in crc & 0x8000 != 0 ? crc << 1 ^ 0x1021 : crc << 1 }
    }

    /// The slot of a key: that of the text in its first braces, if there is any.
    package static func of(_ key: String) -> Int {
        var bytes = Array(key.utf8)[...]
        if let open = bytes.firstIndex(of: UInt8(ascii: "{")),
            let close = bytes[(open + 1)...].firstIndex(of: UInt8(ascii: "}")), close > open + 1
        {
            bytes = bytes[open + 1..<close]
        }
        let crc = bytes.reduce(UInt16(0)) { crc, byte in crc << 8 ^ table[Int(UInt8(crc >> 8) ^ byte)] }
        return Int(crc) % count
    }
}

/// The node of each slot; a pure value.
struct RedisSlotMap {
    private(set) var nodes: [RedisAddress] = []
    /// Indices into `nodes`; -1: unknown.
    private var places = [Int16](repeating: -1, count: RedisSlot.count)

    init() {}

    /// Parses the reply to `CLUSTER SLOTS`: for each range its first and last slot, its primary and then its replicas,
    /// each starting with host and port. nil: invalid.
    ///
    /// - Parameter sender: the replying node; a node that does not know its own host leaves it out.
    init?(_ reply: RESPValue, from sender: RedisAddress) {
        guard let ranges = reply.elements, !ranges.isEmpty else { return nil }
        for range in ranges {
            guard let parts = range.elements, parts.count >= 3, let first = parts[0].integer,
                let last = parts[1].integer,
                0 <= first, first <= last, last < RedisSlot.count, let node = parts[2].elements, node.count >= 2,
                let port = node[1].integer.flatMap({ UInt16(exactly: $0) }), port > 0
            else { return nil }
            let host = node[0].string ?? ""
            let address = RedisAddress(host: host.isEmpty || host == "?" ? sender.host : host, port: port)
            for slot in first...last { self[Int(slot)] = address }
        }
    }

    subscript(slot: Int) -> RedisAddress? {
        get { places[slot] < 0 ? nil : nodes[Int(places[slot])] }
        set {
            guard let newValue else {
                places[slot] = -1
                return
            }
            if let place = nodes.firstIndex(of: newValue) {
                places[slot] = Int16(place)
            } else if nodes.count < Int(Int16.max) {
                nodes.append(newValue)
                places[slot] = Int16(nodes.count - 1)
            }
        }
    }
}

/// A reply that sends a command elsewhere or to a later time.
enum RedisRedirection: Equatable {
    /// The slot has moved permanently.
    case moved(slot: Int, to: RedisAddress)
    /// Only for this command, which must follow `ASKING`.
    case ask(RedisAddress)
    /// Retry soon: a failover or slot migration is in progress, or the server is loading its file. `mapIsOld`: another
    /// node may have the slot by now.
    case later(mapIsOld: Bool)

    /// - Parameters:
    ///   - error: the code and message.
    ///   - sender: the replying node.
    init?(_ error: String, from sender: RedisAddress) {
        let words = error.split(separator: " ", maxSplits: 3)
        switch words.first {
        case "MOVED", "ASK":
            guard words.count >= 3, let slot = Int(words[1]), 0..<RedisSlot.count ~= slot,
                let address = RedisAddress(words[2], from: sender)
            else { return nil }
            self = words[0] == "MOVED" ? .moved(slot: slot, to: address) : .ask(address)
        case "TRYAGAIN", "LOADING": self = .later(mapIsOld: false)
        case "CLUSTERDOWN", "MASTERDOWN", "READONLY": self = .later(mapIsOld: true)
        default: return nil
        }
    }
}
