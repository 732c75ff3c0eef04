// swift-log's back end: a record becomes one line of a sink. Only Service logs; lower modules return errors.

package import Logging

/// Writes each record as one line, in the sink's format.
package struct GenrecLogHandler: LogHandler {
    /// Records below this level are dropped.
    package var logLevel: Logger.Level
    /// The metadata of every record of this handler.
    package var metadata: Logger.Metadata = [:]
    /// The current task's metadata; it overrides the handler's, and a record's own overrides both.
    package var metadataProvider: Logger.MetadataProvider?

    private let label: String
    private let sink: LogSink

    /// A handler for the logger called `label`.
    package init(
        label: String,
        level: Logger.Level = .info,
        metadataProvider: Logger.MetadataProvider? = nil,
        sink: LogSink
    ) {
        self.label = label
        self.logLevel = level
        self.metadataProvider = metadataProvider
        self.sink = sink
    }

    /// The handler's metadata for a key.
    package subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    /// Writes one record. For duplicate metadata keys, the record's value wins over the task's, and that over the
    /// handler's. The record's error becomes its metadata `error`.
    package func log(event: LogEvent) {
        var merged = metadata
        if let metadataProvider { merged.merge(metadataProvider.get()) { _, new in new } }
        if let error = event.error { merged["error"] = .string(String(describing: error)) }
        if let own = event.metadata { merged.merge(own) { _, new in new } }
        let line = LogLine(
            timestamp: .now(),
            level: event.level,
            logger: label,
            message: event.message.description,
            metadata: merged
        )
        sink.write(line.bytes(sink.format))
    }
}
