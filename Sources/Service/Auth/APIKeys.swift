// The keys of `auth.keys_file` and their roles. The file holds digests, so reading it reveals no key. Nothing here is
// ever logged.

internal import Files
internal import Foundation
internal import Locking

/// The role of a key.
enum KeyRole: String, Sendable, CaseIterable {
    case recommend
    /// Everything, including `recommend`.
    case admin

    func includes(_ role: KeyRole) -> Bool { self == .admin || self == role }
}

/// The keys as read from the file at one time.
struct APIKeySet: Sendable {
    private let keys: [(digest: SHA256Digest, role: KeyRole)]

    /// Reads the file's text: one key per line, `<SHA-256 of the key in hexadecimal> <role>`. Empty lines and lines
    /// that begin with # are skipped. `name` is the file's; errors name the line but quote nothing of it.
    init(parsing text: String, name: String) throws(ConfigurationError) {
        var keys: [(digest: SHA256Digest, role: KeyRole)] = []
        for (index, line) in text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline).enumerated() {
            let words = line.split(whereSeparator: \.isWhitespace)
            guard let first = words.first, !first.hasPrefix("#") else { continue }
            let place = "\(name) line \(index + 1)"
            guard words.count == 2 else {
                throw ConfigurationError(description: "\(place) must have the SHA-256 of a key and a role")
            }
            guard let digest = SHA256Digest(hexadecimal: first) else {
                throw ConfigurationError(
                    description: "\(place): the SHA-256 of a key must have 64 hexadecimal digits"
                )
            }
            guard let role = KeyRole(rawValue: String(words[1])) else {
                let names = KeyRole.allCases.map(\.rawValue).joined(separator: " or ")
                throw ConfigurationError(description: "\(place): the role must be \(names)")
            }
            guard !keys.contains(where: { $0.digest.isEqual(to: digest) }) else {
                throw ConfigurationError(description: "\(place): the key is already on an earlier line")
            }
            keys.append((digest, role))
        }
        // Without keys every request would be refused. That is never intended, and a truncated file looks like it.
        guard !keys.isEmpty else { throw ConfigurationError(description: "\(name) has no keys") }
        self.keys = keys
    }

    var count: Int { keys.count }

    /// The role of a key; nil if it is unknown. Takes the same time for all keys of the same length.
    func role(of key: some Sequence<UInt8>) -> KeyRole? {
        guard let digest = SHA256Digest(of: key) else { return nil }
        var role: KeyRole?
        for known in keys where known.digest.isEqual(to: digest) { role = known.role }
        return role
    }
}

/// The keys in force, and the file they come from.
package final class APIKeys: Sendable {
    private let path: String
    private let keys: Lock<APIKeySet>

    /// - Throws: `ConfigurationError` for a file that cannot be read or used.
    init(path: String) throws(ConfigurationError) {
        self.path = path
        keys = Lock(try Self.read(path))
    }

    /// Rereads the file; if it is unusable, the keys stay unchanged.
    ///
    /// - Returns: the number of keys now.
    func reload() throws(ConfigurationError) -> Int {
        let read = try Self.read(path)
        keys.withLock { $0 = read }
        return read.count
    }

    /// The role of a key; nil if it is unknown.
    func role(of key: some Sequence<UInt8>) -> KeyRole? { keys.withLock { $0 }.role(of: key) }

    private static func read(_ path: String) throws(ConfigurationError) -> APIKeySet {
        guard let data = FileManager.default.contents(atPath: path) else {
            throw ConfigurationError(description: "cannot read the keys file \(path)")
        }
        guard let text = String(data: data, encoding: .utf8) else {
            throw ConfigurationError(description: "the keys file \(path) is not text in UTF-8")
        }
        return try APIKeySet(parsing: text, name: path)
    }
}
