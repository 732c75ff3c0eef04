// The state of users that is kept from one request to the next, and how often it is used again.

internal import Engine
internal import Telemetry

/// The instruments of the user cache.
final class UserCacheMetrics: Sendable {
    private let hits: Counter
    private let partialHits: Counter
    private let misses: Counter
    private let evictions: Counter
    private let entries: Gauge
    private let bytes: Gauge

    init(_ registry: MetricRegistry) {
        hits = registry.counter(
            "genrec_user_cache_hits_total",
            help: "Requests that continued, or repeated, the kept history of their user."
        )
        partialHits = registry.counter(
            "genrec_user_cache_partial_hits_total",
            help: "Requests that used a part of the kept history: the rest had changed, or was in use."
        )
        misses = registry.counter(
            "genrec_user_cache_misses_total",
            help: "Requests for which nothing usable was kept."
        )
        evictions = registry.counter(
            "genrec_user_cache_evictions_total",
            help: "Users' entries that made room for others."
        )
        entries = registry.gauge("genrec_user_cache_entries", help: "Users' entries that are kept.")
        bytes = registry.gauge(
            "genrec_user_cache_bytes",
            help: "Bytes of keys and values held by users' entries and by requests.",
            unit: "bytes"
        )
    }

    /// Adds the changes in one engine's cache.
    func changed(from old: UserCache.Statistics, to new: UserCache.Statistics) {
        hits.increment(by: Int(new.hits - old.hits))
        partialHits.increment(by: Int(new.partialHits - old.partialHits))
        misses.increment(by: Int(new.misses - old.misses))
        evictions.increment(by: Int(new.evictions - old.evictions))
        entries.add(new.entries - old.entries)
        bytes.add(new.bytes - old.bytes)
    }
}
