// swift-log's back end: a record becomes one line on standard error. The command bootstraps the logging system with it;
// only Service and the command log (libraries return errors and count).

package import Logging

/// Writes each record as one line of text or JSON.
package struct GenrecLogHandler: LogHandler {
    /// Records below this level are dropped.
    package var logLevel: Logger.Level
    /// What every record of this handler carries.
    package var metadata: Logger.Metadata = [:]
    /// Metadata of the present task; a record's own and the handler's come after and before it.
    package var metadataProvider: Logger.MetadataProvider?

    private let label: String
    private let format: LogFormat
    private let sink: LogSink

    /// A handler for the logger called `label`.
    package init(
        label: String,
        format: LogFormat,
        level: Logger.Level = .info,
        metadataProvider: Logger.MetadataProvider? = nil,
        sink: LogSink = .standardError
    ) {
        self.label = label
        self.format = format
        self.logLevel = level
        self.metadataProvider = metadataProvider
        self.sink = sink
    }

    /// One entry of the handler's metadata.
    package subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    /// Writes one record. Where metadata names a key twice, the record's own wins, then the task's, then the handler's;
    /// an error that the record carries is its metadata `error`.
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
        sink.write(line.bytes(format))
    }
}
