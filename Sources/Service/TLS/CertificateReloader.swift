// Replaces certificates while the server runs: on SIGHUP, and when their files change. Open connections keep theirs. If
// the new pair is unusable, the old one stays in service.

internal import Dispatch
internal import Glibc
internal import HTTP
internal import Locking
internal import Logging

/// Keeps the certificate in service up to date with its files.
///
/// `@unchecked Sendable`: the timer is set up in `init` and cancelled in `deinit`; the rest is constant or locked.
final class CertificateReloader: @unchecked Sendable {
    private typealias Fingerprints = [FileFingerprint?]

    private static let lookInterval = DispatchTimeInterval.seconds(1)

    let credentials: TLSCredentials
    private let settings: TLSSettings
    private let metrics: TLSMetrics
    private let logger: Logger
    /// Reads the files, one attempt at a time.
    private let queue = DispatchQueue(label: "genrec.certificates", qos: .utility)
    private let watch: Lock<FileWatch<Fingerprints>>
    private let timer: any DispatchSourceTimer

    /// Reads the files, and checks them once a second from now on.
    ///
    /// - Throws: `ConfigurationError` for files that cannot be used.
    init(_ settings: TLSSettings, metrics: TLSMetrics, logger: Logger) throws(ConfigurationError) {
        self.settings = settings
        self.metrics = metrics
        self.logger = logger
        watch = Lock(FileWatch(used: Self.fingerprints(settings)))
        credentials = try settings.credentials()
        timer = DispatchSource.makeTimerSource(queue: queue)
        certificateServed()
        timer.setEventHandler { [weak self] in self?.look() }
        timer.schedule(
            deadline: .now() + Self.lookInterval,
            repeating: Self.lookInterval,
            leeway: .milliseconds(200)
        )
        timer.activate()
    }

    deinit { timer.cancel() }

    /// Rereads the files soon.
    func reload() {
        queue.async { [self] in
            let fingerprints = Self.fingerprints(settings)
            watch.withLock { $0.note(used: fingerprints) }
            replace()
        }
    }

    private func look() {
        let fingerprints = Self.fingerprints(settings)
        if watch.withLock({ $0.shouldRead(fingerprints) }) { replace() }
    }

    private static func fingerprints(_ settings: TLSSettings) -> Fingerprints {
        settings.paths.map(FileFingerprint.init(path:))
    }

    private func replace() {
        do throws(ConfigurationError) {
            let material = try settings.material()
            do throws(TLSError) {
                try credentials.replace(with: material, now: time(nil))
            } catch {
                throw settings.refusal(error)
            }
            metrics.countReload(succeeded: true)
            certificateServed()
            logger.notice(
                "the certificate was reloaded",
                metadata: ["tls.expiry": "\(credentials.validity.to)"]
            )
        } catch {
            metrics.countReload(succeeded: false)
            logger.error(
                "the certificate could not be reloaded; the old one stays in use",
                metadata: ["error": "\(error.description)"]
            )
        }
    }

    /// Publishes when the certificate in service expires. One that is not valid now still serves: clients decide
    /// whether to trust it.
    private func certificateServed() {
        let (from, to) = credentials.validity
        metrics.certificateServed(expiry: to)
        let now = time(nil)
        if now < from || now >= to {
            logger.warning(
                "the certificate is not valid at this time",
                metadata: ["tls.certificate": "\(settings.certificate)", "tls.begin": "\(from)", "tls.expiry": "\(to)"]
            )
        }
    }
}
