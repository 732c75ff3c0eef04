// Metrics of the user cache: its size and how often it is reused.

internal import Engine
internal import Telemetry

/// The instruments of a version's user cache.
struct UserCacheMetrics: Sendable {
    private let hits: Counter
    private let partialHits: Counter
    private let misses: Counter
    private let evictions: Counter
    private let entries: Gauge
    private let bytes: Gauge

    struct Families: Sendable {
        fileprivate let hits: CounterFamily
        fileprivate let partialHits: CounterFamily
        fileprivate let misses: CounterFamily
        fileprivate let evictions: CounterFamily
        fileprivate let entries: GaugeFamily
        fileprivate let bytes: GaugeFamily

        init(_ registry: MetricRegistry) {
            hits = registry.counter(
                "genrec_user_cache_hits_total",
                help: "Requests that continued or repeated their user's cached history.",
                labels: ModelLabels.names
            )
            partialHits = registry.counter(
                "genrec_user_cache_partial_hits_total",
                help: "Requests that used part of the cached history; the rest had changed or was in use.",
                labels: ModelLabels.names
            )
            misses = registry.counter(
                "genrec_user_cache_misses_total",
                help: "Requests for which nothing usable was cached.",
                labels: ModelLabels.names
            )
            evictions = registry.counter(
                "genrec_user_cache_evictions_total",
                help: "Entries evicted to make room for others.",
                labels: ModelLabels.names
            )
            entries = registry.gauge(
                "genrec_user_cache_entries",
                help: "Entries in the user cache.",
                labels: ModelLabels.names
            )
            bytes = registry.gauge(
                "genrec_user_cache_bytes",
                help: "Bytes of keys and values held by cache entries and by requests.",
                unit: "bytes",
                labels: ModelLabels.names
            )
        }

        func remove(_ labels: ModelLabels) {
            for family in [hits, partialHits, misses, evictions] { family.remove(labels) }
            for family in [entries, bytes] { family.remove(labels) }
        }
    }

    init(_ families: Families, _ labels: ModelLabels) {
        hits = families.hits.with(labels)
        partialHits = families.partialHits.with(labels)
        misses = families.misses.with(labels)
        evictions = families.evictions.with(labels)
        entries = families.entries.with(labels)
        bytes = families.bytes.with(labels)
    }

    /// Whether both are the same series.
    func isSame(as other: UserCacheMetrics) -> Bool { hits === other.hits }

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
