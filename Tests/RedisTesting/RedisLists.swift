// The lists of a Redis server, as far as the user store needs them.

internal import Locking

/// Lists by key, and the commands on them.
package final class RedisLists: Sendable {
    private let lists = Lock<[String: [String]]>([:])

    package init() {}

    package subscript(key: String) -> [String] {
        get { lists.withLock { $0[key] ?? [] } }
        set { lists.withLock { $0[key] = newValue } }
    }

    package var keys: [String] { lists.withLock { $0.keys.sorted() } }

    /// Executes a command.
    ///
    /// - Parameter hasScripts: whether EVAL is supported; its only script is the store's, which replaces a list if it
    ///   has the expected content.
    /// - Returns: the encoded answer.
    package func answer(_ words: [String], hasScripts: Bool = true) -> String {
        lists.withLock { lists in
            let list = words.count > 1 ? lists[words[1]] ?? [] : []
            switch words.first {
            case "LRANGE":
                let found = list.suffix(-(Int(words[2]) ?? 0))
                return found.reduce("*\(found.count)\r\n") { $0 + "$\($1.utf8.count)\r\n\($1)\r\n" }
            case "RPUSH":
                lists[words[1]] = list + words.dropFirst(2)
                return ":\(list.count + words.count - 2)\r\n"
            case "LTRIM":
                lists[words[1]] = Array(list.suffix(-(Int(words[2]) ?? 0)))
                return "+OK\r\n"
            case "EXPIRE": return list.isEmpty ? ":0\r\n" : ":1\r\n"
            case "DEL": return lists.removeValue(forKey: words[1]) == nil ? ":0\r\n" : ":1\r\n"
            case "EVAL" where hasScripts:
                let newest = lists[words[3], default: []].suffix(-(Int(words[6]) ?? 0))
                guard newest.joined(separator: "\n") == words[4] else { return ":0\r\n" }
                lists[words[3]] = Array(words.dropFirst(7))
                return ":1\r\n"
            default: return "-ERR unknown command\r\n"
            }
        }
    }
}
