// Assigns users to versions of a model: a function of the user alone, the same in every process.

internal import Glibc
internal import Random

/// Shares of a model's requests by version.
package struct TrafficSplit: Sendable, Equatable {
    /// A version and its share in per cent.
    package struct Share: Sendable, Equatable {
        package var version: String
        package var percent: Double

        package init(_ version: String, _ percent: Double) {
            self.version = version
            self.percent = percent
        }
    }

    /// In the given order.
    package let shares: [Share]

    /// - Parameter shares: none negative; together 100.
    package init(_ shares: [Share]) { self.shares = shares }

    /// A split that sends everything to one version.
    package init(all version: String) { shares = [Share(version, 100)] }

    /// The share of a version; 0 if it is not named.
    package func percent(_ version: String) -> Double { shares.first { $0.version == version }?.percent ?? 0 }

    /// The same split with one version replaced by another.
    package func replacing(_ version: String, by next: String) -> TrafficSplit {
        TrafficSplit(shares.map { $0.version == version ? Share(next, $0.percent) : $0 })
    }

    /// The version for a user by weighted rendezvous hashing (Schindelhauer and Schomaker, "Weighted distributed hash
    /// tables", 2005): each version draws a number from the user, the model's name and its own, and the largest −share
    /// / ln(number) wins. When the share of one of two versions grows, users only move to it.
    ///
    /// - Parameter user: the user's id, or the request's id if there is none.
    package func version(for user: String, of name: String) -> String? {
        var best: (score: Double, version: String)?
        for share in shares where share.percent > 0 {
            let hash = Self.hash(user, name, share.version)
            // In (0, 1): the upper 53 bits, plus a half.
            let number = (Double(hash >> 11) + 0.5) * 0x1p-53
            let score = -share.percent / log(number)
            if best.map({ score > $0.score }) ?? true { best = (score, share.version) }
        }
        return best?.version
    }

    /// Whether a user is in this percentage of users, which is chosen independently of the split.
    package static func includes(_ user: String, of name: String, version: String, percent: Double) -> Bool {
        let number = (Double(hash(user, name, version, "shadow") >> 11) + 0.5) * 0x1p-53
        return number * 100 < percent
    }

    /// The parts' hashes (64-bit FNV-1a), mixed in sequence: FNV alone correlates the versions of a user. All processes
    /// use the same seed.
    private static func hash(_ parts: String...) -> UInt64 {
        parts.reduce(0) { hash, part in
            let own = part.utf8.reduce(0xCBF2_9CE4_8422_2325 as UInt64) { ($0 ^ UInt64($1)) &* 0x0000_0100_0000_01B3 }
            return SplitMix64.mixed(hash ^ own)
        }
    }
}
