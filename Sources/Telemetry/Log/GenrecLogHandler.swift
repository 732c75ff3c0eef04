// swift-log's back end: a record becomes one line of a sink. Only Service logs; the rooms below return errors and count.

package import Logging

/// Writes each record as one line, in the format of the sink.
package struct GenrecLogHandler: LogHandler {
    /// Records below this level are dropped.
    package var logLevel: Logger.Level
    /// The metadata of every record of this handler.
    package var metadata: Logger.Metadata = [:]
    /// Metadata of the current task; it overrides the handler's, and the record's own overrides it.
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

    /// One entry of the handler's metadata.
    package subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    /// Writes one record. If metadata has a key twice, the record's own wins, then the task's, then the handler's; an
    /// error that the record carries is its metadata `error`.
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
