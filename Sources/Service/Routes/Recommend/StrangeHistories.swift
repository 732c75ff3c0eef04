// Histories that are almost entirely unknown to the catalogue. They are still answered, so no one would notice that
// their ids have another format than the catalogue's. The log therefore shows one id of each.

internal import Catalogue
internal import Engine
internal import Logging
internal import Synchronization

/// Warns of such histories, at most once a minute.
final class StrangeHistories: Sendable {
    private static let pause: UInt64 = 60_000_000_000

    private let logger: Logger
    /// The time of the last warning in nanoseconds; 0: never.
    private let lastWarning = Atomic<UInt64>(0)

    init(logger: Logger) { self.logger = logger }

    /// Warns of a history, unless another warning was written within the last minute.
    ///
    /// - Parameters:
    ///   - id: an id of the history that the catalogue does not know.
    ///   - now: nanoseconds of the monotonic clock.
    func note(_ id: String, _ catalogue: CatalogueSnapshot, now: UInt64 = Instant.now().nanoseconds) {
        let last = lastWarning.load(ordering: .relaxed)
        guard last == 0 || now >= last + Self.pause,
            lastWarning.compareExchange(expected: last, desired: max(now, 1), ordering: .relaxed).exchanged
        else { return }
        logger.warning(
            "most of a history's items are not in the catalogue: their ids may have another format",
            metadata: [
                "history.id": "\(id)",
                "catalogue.id": "\(catalogue.popularityOrder.first.map { catalogue.idDescription($0) } ?? "")",
            ]
        )
    }
}
