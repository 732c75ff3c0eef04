// Puts a server together, starts it, and brings it to an orderly end: configuration, bundle, engine, HTTP, signals.

internal import Compute
internal import Dispatch
internal import Engine
internal import Glibc
internal import HTTP
internal import Logging
internal import Models
internal import Synchronization
internal import Telemetry

/// A server that could not be started or did not end well; one sentence says why.
package struct ServerError: Error, Equatable, CustomStringConvertible {
    package let description: String
}

/// The whole service.
///
/// Life: `init` loads and verifies the bundle; `start` listens at once, so that health can be asked while the engine's
/// thread hands the weights to the device, and returns when requests are served; SIGTERM or SIGINT drains: readiness is
/// refused, listeners close, what has begun is finished within the limit, then `waitUntilStopped` returns. A second
/// signal ends the process at once.
package final class Server: Sendable {
    private let configuration: ServiceConfiguration
    private let bundle: ModelBundle
    private let engine: Engine
    private let observer: ServiceObserver
    private let handler: RequestHandler
    private let http: HTTPServer
    private let logger: Logger
    private let life = Lifecycle()

    /// - Throws: `BundleError`, `HTTPError` for a configuration that cannot be.
    package init(_ configuration: ServiceConfiguration) throws {
        self.configuration = configuration
        logger = Logger(label: "genrec") { label in
            GenrecLogHandler(label: label, format: configuration.logFormat, level: configuration.logLevel)
        }
        bundle = try ModelBundle.load(directory: configuration.bundlePath ?? DemoBundle.locate())
        let window = bundle.architecture.configuration.maxSequenceLength
        let metrics = ServiceMetrics(registry: MetricRegistry(), scheduler: configuration.scheduler, window: window)
        observer = ServiceObserver(metrics: metrics, logger: logger, bundle: bundle, life: life)
        engine = Engine(configuration.scheduler, window: window, catalogue: bundle.catalogue, observer: observer)
        handler = RequestHandler(
            bundle: bundle,
            engine: engine,
            metrics: metrics,
            configuration: configuration,
            logger: logger
        )
        http = try HTTPServer(configuration: configuration.http, handler: handler)
    }

    /// Listens, loads the model, and returns when requests are served.
    ///
    /// - Returns: one line for whoever started the server: address, bundle, device, dtype, instruction set.
    /// - Throws: `HTTPError` if an address cannot be listened on, `ServerError` if the model cannot be loaded.
    package func start() async throws -> String {
        let addresses = try http.start()
        installSignalHandlers()
        try engine.start(
            load: { [bundle, configuration] in
                let device = try configuration.compute.makeDevice()
                return LoadedModel(
                    device: device,
                    model: try ModelRegistry.makeModel(bundle, on: device),
                    owner: bundle
                )
            },
            ended: { [life] in life.engineEnded() }
        )
        guard case .ready(let device) = await life.untilLoaded() else {
            http.stop()
            throw ServerError(description: "the model could not be loaded: \(engine.phase.reason)")
        }
        let listening = addresses.map(\.description).joined(separator: ", ")
        logger.notice(
            "ready",
            metadata: [
                "http.address": "\(listening)", "model.name": "\(bundle.configuration.name)",
                "model.version": "\(bundle.configuration.version)", "device.name": "\(device.name)",
            ]
        )
        return """
            genrec \(BuildInfo.version) ready: http://\(listening), \
            bundle \(bundle.configuration.name) version \(bundle.configuration.version) \
            (\(bundle.architecture.name.rawValue), \(bundle.catalogue.count) items), \
            device \(device.name), dtype \(device.dtype.rawValue), instruction set \(device.architecture), \
            threads \(device.threads)
            """
    }

    /// Returns when the server has ended in order.
    package func waitUntilStopped() async throws {
        await life.untilStopped()
        logger.notice("stopped")
    }

    /// Begins the orderly end. Does nothing the second time.
    package func drain() {
        guard life.beginDraining() else { return }
        logger.notice(
            "draining",
            metadata: ["drain.timeout_ms": "\(configuration.drainTimeoutNanoseconds / 1_000_000)"]
        )
        handler.beginDraining()
        http.drain(timeoutNanoseconds: configuration.drainTimeoutNanoseconds) { [engine, life] _ in
            // Whoever could still be answered has been; what the engine holds now, nobody waits for.
            engine.stop()
            life.httpEnded()
        }
    }

    private func installSignalHandlers() {
        life.keep(
            [SIGTERM, SIGINT].map { number in
                SignalSource(number) { [weak self] in
                    guard let self else { return }
                    if self.life.isDraining {
                        self.logger.warning("a second signal ends the process at once")
                        exit(1)
                    }
                    self.drain()
                }
            }
        )
    }
}
