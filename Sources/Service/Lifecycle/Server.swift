// The whole server: configuration, bundle, engine, HTTP and signals, from start to an orderly stop.

internal import Catalogue
internal import Compute
internal import Devices
internal import Dispatch
internal import Engine
internal import Files
internal import Foundation
internal import Glibc
internal import HTTP
internal import Logging
internal import Models
internal import Synchronization
internal import Telemetry
internal import Users

/// Why the server could not be started or did not end properly, in one sentence.
package struct ServerError: Error, Equatable, CustomStringConvertible {
    package let description: String
}

/// The whole service.
///
/// `init` loads and verifies the bundles. `start` listens immediately, so that health checks are answered while the
/// engines load weights onto the devices, and returns when requests are served. SIGTERM or SIGINT starts the shutdown.
/// During the drain delay readiness is refused and replies say `Connection: close`, but everything is still accepted.
/// Then listeners close, requests in flight are finished within the time-out, and `waitUntilStopped` returns. A second
/// signal skips the delay; a signal after the delay ends the process immediately. The admin listener, if any, answers
/// until the callers' listener has ended.
///
/// Log lines are held until the server is ready, so that a failed start prints only its one sentence. At the levels
/// debug and trace they are written immediately.
package final class Server: Sendable {
    private let configuration: ServiceConfiguration
    private let fleet: Fleet
    private let loader: ModelLoader
    private let fleetLoader: FleetLoader
    private let watcher: BundleWatcher
    private let metrics: ServiceMetrics
    private let keys: APIKeys?
    private let users: (any UserStore)?
    private let certificates: CertificateReloader?
    private let handlers: [RequestHandler]
    private let telemetry: RequestTelemetry
    private let http: HTTPServer
    private let adminHTTP: HTTPServer?
    private let sink: LogSink
    private let logger: Logger
    private let life = Lifecycle()
    private let manager: ServiceManager

    /// - Parameter progress: called with the checked and total bytes of the weights.
    /// - Throws: `FileError`, `ConfigurationError` for unusable key or certificate files, `HTTPError` for an impossible
    ///   configuration.
    package init(
        _ configuration: ServiceConfiguration,
        progress: (_ done: Int, _ total: Int) -> Void = { _, _ in }
    ) throws {
        let manager = try ServiceManager(environment: ProcessInfo.processInfo.environment)
        self.manager = manager
        let configuration = configuration.listening(on: manager.sockets)
        self.configuration = configuration
        // Protects standard error, whose reader may close it; sockets are written with MSG_NOSIGNAL.
        signal(SIGPIPE, SIG_IGN)
        let sink = LogSink(
            descriptor: STDERR_FILENO,
            format: configuration.logFormat,
            queueBytes: configuration.logQueueBytes,
            isHeld: configuration.logLevel > .debug
        )
        self.sink = sink
        let logger = Logger(label: "genrec") { label in
            GenrecLogHandler(label: label, level: configuration.logLevel, sink: sink)
        }
        self.logger = logger
        if let code = DescriptorLimit.raise().error {
            logger.warning("the limit on open files cannot be raised", metadata: ["errno": "\(code)"])
        }
        try Self.requireDescriptors(configuration)
        let keys = try configuration.keysFile.map(APIKeys.init(path:))
        self.keys = keys
        let loader = ModelLoader(
            configuration: configuration,
            logger: logger,
            life: life
        )
        self.loader = loader
        let users = try configuration.users.open(stateDirectory: configuration.stateDirectory, logger: logger)
        self.users = users
        let stateFile = try FleetStateFile(directory: configuration.stateDirectory, logger: logger)
        let changes = try stateFile.load()
        watcher = BundleWatcher(configuration.fleet.models.map(\.value).filter(\.isWatched).map(\.directory))
        let bundles = try Self.bundles(configuration, changes, loader, logger, progress)
        let metrics = ServiceMetrics(
            registry: MetricRegistry(),
            scheduler: configuration.scheduler,
            window: bundles.map(\.bundle.architecture.configuration.maxSequenceLength).max() ?? 1,
            maxCandidates: configuration.limits.maxCandidates
        )
        self.metrics = metrics
        metrics.store.watch(users, metrics.registry)
        sink.register(in: metrics.registry)
        let certificates = try configuration.tls.map {
            try CertificateReloader($0, metrics: metrics.tls, logger: logger)
        }
        self.certificates = certificates
        let engines = loader.makeEngines(metrics: metrics) { [life] phase in life.engineLoaded(phase) }
        let catalogues = CatalogueStores(
            folder: try configuration.stateDirectory.map(StateFolder.init),
            maxAdded: configuration.maxAddedItems,
            logger: logger
        )
        let members = try bundles.map { loaded in
            let model = loader.makeModel(loaded.bundle, loaded.origin.placement, on: engines)
            return Fleet.Member(
                name: model.name.name,
                version: model.name.version,
                origin: loaded.origin,
                isAdded: loaded.isAdded,
                replaced: loaded.replaced,
                model: try Self.changed(model, catalogues)
            )
        }
        let fleet = Fleet(
            engines,
            members,
            configured: configuration.fleet.routing.mapValues(\.value),
            defaultName: configuration.defaultModel,
            changes: changes,
            catalogues: catalogues
        )
        self.fleet = fleet
        let fleetLoader = FleetLoader(
            fleet: fleet,
            stateFile: stateFile,
            loader: loader,
            metrics: metrics,
            logger: logger
        )
        self.fleetLoader = fleetLoader
        let requestIDs = RequestIDs()
        let telemetry = try RequestTelemetry(
            configuration.telemetry,
            queueBytes: configuration.logQueueBytes,
            isEncrypted: configuration.tls != nil,
            sink: sink,
            metrics: metrics.registry,
            logger: logger
        )
        self.telemetry = telemetry
        func handler(_ listener: ListenerRole) -> RequestHandler {
            RequestHandler(
                listener: listener,
                fleet: fleet,
                fleetLoader: fleetLoader,
                keys: keys,
                users: users,
                metrics: metrics,
                requestIDs: requestIDs,
                configuration: configuration,
                telemetry: telemetry,
                logger: logger
            )
        }
        let main = handler(configuration.adminHTTP == nil ? .everything : .callers)
        var httpConfiguration = configuration.http
        httpConfiguration.tls = certificates?.credentials
        httpConfiguration.limits.bodyBytes = Self.bodyBytes(httpConfiguration)
        http = try HTTPServer(configuration: httpConfiguration, handler: main)
        if var adminConfiguration = configuration.adminHTTP {
            adminConfiguration.tls = certificates?.credentials
            adminConfiguration.limits.bodyBytes = Self.bodyBytes(adminConfiguration)
            let admin = handler(.admin)
            adminHTTP = try HTTPServer(configuration: adminConfiguration, handler: admin)
            handlers = [main, admin]
        } else {
            adminHTTP = nil
            handlers = [main]
        }
    }

    /// The largest body that HTTP accepts. The handler lowers the limit per route.
    private static func bodyBytes(_ configuration: HTTPServerConfiguration) -> Int {
        max(configuration.limits.bodyBytes, ChangesDecoder.maximumBytes, EventsDecoder.maximumBytes)
    }

    /// A bundle that the server loads at its start.
    private struct LoadedBundle {
        let bundle: ModelBundle
        let origin: ModelOrigin
        /// Whether it was added over HTTP before the process started.
        var isAdded = false
        /// The model of the configuration that it replaces.
        var replaced: FleetState.Replaced?

        func isSame(as other: ModelBundle) -> Bool {
            bundle.configuration.name == other.configuration.name
                && bundle.configuration.version == other.configuration.version
        }
    }

    /// The bundles of the configuration, with the replacements and additions made over HTTP. An unusable addition is
    /// left out, since the file does not name it.
    private static func bundles(
        _ configuration: ServiceConfiguration,
        _ changes: FleetState,
        _ loader: ModelLoader,
        _ logger: Logger,
        _ progress: (_ done: Int, _ total: Int) -> Void
    ) throws -> [LoadedBundle] {
        var added: [LoadedBundle] = []
        // A replacement from the model's own directory is the model in the file.
        for change in changes.models where change.directory != change.replaced?.directory {
            do throws(FileError) {
                let identity = try ModelBundle.configuration(directory: change.directory)
                if let replaced = change.replaced, !configuration.lets(identity, replace: replaced, changes) {
                    logger.notice(
                        "a replacement model is not served: the configuration has changed since it was loaded",
                        metadata: ["model.name": "\(identity.name)", "model.version": "\(identity.version)"]
                    )
                    continue
                }
                let bundle = try loader.loadBundle(change.directory)
                added.append(
                    LoadedBundle(
                        bundle: bundle,
                        origin: ModelOrigin(change.directory),
                        isAdded: true,
                        replaced: change.replaced
                    )
                )
            } catch {
                logger.error("an added model is not served", metadata: ["error": "\(error.message)"])
            }
        }
        var bundles: [LoadedBundle] = []
        var known: [(name: String, version: String, place: String)] = []
        for origin in try configuration.origins() {
            let directory = origin.value.directory
            if let next = added.first(where: { $0.replaced?.directory == directory }), let replaced = next.replaced {
                known.append((replaced.name, replaced.version, origin.place))
                bundles.append(next)
                continue
            }
            let bundle = try loader.loadBundle(directory, progress: progress)
            bundles.append(LoadedBundle(bundle: bundle, origin: origin.value))
            known.append((bundle.configuration.name, bundle.configuration.version, origin.place))
        }
        if let fault = configuration.faults(known).first { throw fault }
        // The file may name an addition by now.
        for loaded in added where !bundles.contains(where: { $0.isSame(as: loaded.bundle) }) { bundles.append(loaded) }
        return bundles
    }

    /// A model with its catalogue changes.
    private static func changed(_ model: ServedModel, _ catalogues: CatalogueStores) throws(ServerError) -> ServedModel
    {
        do throws(FleetError) {
            return try catalogues.current(model)
        } catch {
            throw ServerError(description: error.message)
        }
    }

    /// Refuses to start with too few descriptors. Dispatch opens its own late; without them it ends the process or
    /// omits signal sources, and then SIGTERM does nothing.
    private static func requireDescriptors(_ configuration: ServiceConfiguration) throws(ServerError) {
        let loops = configuration.http.loops + (configuration.adminHTTP?.loops ?? 0)
        // Per loop an epoll set, an eventfd, a listener and a reserve. Besides: those of Dispatch, signals and timers,
        // a file being read, and a few connections.
        let needed = 16 + 4 * loops
        guard DescriptorLimit.canOpen(needed) else {
            throw ServerError(
                description: "the limit on open files is too low: the server needs \(needed) more than it has open"
            )
        }
    }

    /// Listens, loads the models, and returns when requests are served.
    ///
    /// - Returns: one line for the operator: addresses, bundle, devices, dtype, instruction set or chip; nil if a
    ///   signal ended the start.
    /// - Throws: `HTTPError` if the server cannot listen on an address, `ServerError` if a model cannot be loaded.
    package func start() async throws -> String? {
        // Clients of a passed socket wait in its backlog while the model loads instead of being refused.
        var addresses = waitsToListen ? [] : try listen()
        let adminAddresses: [ListenAddress]
        do {
            adminAddresses = try adminHTTP?.start() ?? []
        } catch {
            http.stop()
            throw error
        }
        installSignalHandlers()
        let model = try fleet.main(of: nil)
        let models = fleet.standings.compactMap { standing in
            standing.member.model.map { (model: $0, placement: standing.member.origin.placement) }
        }
        let phase: EnginePhase
        do throws(EngineError) {
            try loader.start(fleet.engines, models)
            phase = await life.untilLoaded()
        } catch {
            phase = .failed(error.message)
        }
        guard case .ready = phase else {
            // The caller waits for the shutdown that is in progress.
            guard life.ending == .none else { return nil }
            await giveUpStart()
            throw ServerError(description: "the model could not be loaded: \(phase.reason)")
        }
        if waitsToListen {
            do {
                addresses = try listen()
            } catch {
                guard life.ending == .none else { return nil }
                await giveUpStart()
                throw error
            }
        }
        watcher.start(fleet, fleetLoader)
        sink.release()
        for model in models { metrics.served(model.model) }
        let others = models.count == 1 ? "" : " and \(models.count - 1) more"
        let listening = addresses.map(url).joined(separator: ", ")
        let admin = adminAddresses.map { ", admin \(url($0))" }.joined()
        logger.notice(
            "ready",
            metadata: [
                "http.address": "\(listening)\(admin)", "model.name": "\(model.name.name)",
                "model.version": "\(model.name.version)", "device.name": "\(model.devices.joined(separator: ", "))",
            ]
        )
        manager.watch(logger: logger) { [weak self] in self?.watched ?? [] }
        manager.send(.ready(status: "serving \(model.name.name) \(model.name.version) on \(listening)"))
        return """
            genrec \(BuildInfo.version) ready: \(listening)\(admin), \
            bundle \(model.name.name) version \(model.name.version) \
            (\(model.bundle.architecture.name.rawValue), \(model.bundle.catalogue.count) items)\(others), \
            \(computing(model))
            """
    }

    /// Starts serving callers and connects the user store, whose connections live on the callers' loops.
    private func listen() throws -> [ListenAddress] {
        let addresses = try http.start()
        (users as? RedisUserStore)?.attach(to: http.loops)
        return addresses
    }

    /// Whether the callers' listener starts only once the server is ready.
    private var waitsToListen: Bool { !configuration.http.handedSockets.isEmpty }

    /// Stops a server that cannot become ready.
    private func giveUpStart() async {
        http.stop()
        adminHTTP?.stop()
        fleet.engines.stop()
        life.httpEnded()
        await life.untilStopped()
        releaseDevices()
    }

    /// Describes the devices for the ready line.
    private func computing(_ model: ServedModel) -> String {
        let settings = configuration.compute
        let descriptions = model.engines.engines.compactMap { engine -> DeviceDescription? in
            if case .ready(let device) = engine.phase { device } else { nil }
        }
        let dtypes = Set(descriptions.map(\.dtype.rawValue)).sorted().joined(separator: ", ")
        let architectures = Set(descriptions.map(\.architecture)).sorted().joined(separator: ", ")
        let names = "device \(model.devices.joined(separator: " + ")), dtype \(dtypes)"
        if settings.devices == [.cpu] {
            return "\(names), instruction set \(architectures), threads \(settings.threads)"
        }
        return "\(names), chip \(architectures), fallback \(settings.fallback.rawValue)"
    }

    /// The URL of an address.
    private func url(_ address: ListenAddress) -> String {
        "\(configuration.tls?.applies(to: address) == true ? "https" : "http")://\(address)"
    }

    /// Returns when the server has stopped in order.
    package func waitUntilStopped() async throws {
        await life.untilStopped()
        releaseDevices()
        users?.close()
        logger.notice("stopped")
        writeOutLog()
    }

    /// Writes out the log, for at most one second.
    private func writeOutLog() {
        telemetry.flush()
        sink.flush(timeout: .seconds(1))
    }

    /// Call it after the last engine has ended.
    private func releaseDevices() {
        do throws(ComputeError) {
            try configuration.compute.releaseProcess()
        } catch {
            logger.error("the devices did not shut down properly", metadata: ["device.error": "\(error.message)"])
        }
    }

    /// Starts the orderly stop: announces it to balancers and clients, and stops accepting after the drain delay. A
    /// second call does nothing.
    package func drain() {
        guard life.advance(to: .announced) else { return }
        sink.release()
        manager.send(.stopping(status: "draining"))
        // Balancers send nothing to a server that was never ready.
        let delay = life.hasBeenReady ? configuration.drainDelayNanoseconds : 0
        logger.notice(
            "draining",
            metadata: [
                "drain.delay_ms": "\(delay / 1_000_000)",
                "drain.timeout_ms": "\(configuration.drainTimeoutNanoseconds / 1_000_000)",
            ]
        )
        // In this order, so that the reply that says "draining" also says `Connection: close`.
        http.closeAfterReplies()
        if delay > 0 { adminHTTP?.closeAfterReplies() }
        for handler in handlers { handler.beginDraining() }
        guard delay > 0 else { return stopAccepting() }
        DispatchQueue.global().asyncAfter(deadline: .now() + .nanoseconds(Int(clamping: delay))) { [weak self] in
            self?.stopAccepting()
        }
    }

    /// Closes listeners and idle connections, and finishes admitted requests. A second call does nothing.
    private func stopAccepting() {
        guard life.advance(to: .draining) else { return }
        http.drain(timeoutNanoseconds: configuration.drainTimeoutNanoseconds) { [self] _ in callersAreServed() }
    }

    /// Stops the engines once all callers are answered; their remaining work is not needed.
    private func callersAreServed() {
        fleetLoader.stop()
        fleet.engines.stop()
        guard let adminHTTP else { return life.httpEnded() }
        // Observers of the shutdown had the whole drain time to look.
        adminHTTP.drain(timeoutNanoseconds: Self.adminDrainNanoseconds) { [life] _ in life.httpEnded() }
    }

    private static let adminDrainNanoseconds: UInt64 = 1_000_000_000

    /// Rereads the files of keys and certificates. An unusable file changes nothing.
    package func reloadFiles() {
        manager.reload {
            if keys == nil, certificates == nil { logger.notice("SIGHUP: there is no file to reread") }
            telemetry.reopenFiles()
            certificates?.reload()
            reloadKeys()
        }
    }

    /// Everything that must make progress: all loops, and the engines with a ready device, since setting up a device
    /// may take minutes. Once the server accepts nothing more, the drain time-out limits the shutdown instead.
    private var watched: [Watched] {
        guard life.ending < .draining else { return [] }
        func loops(_ name: String, _ server: HTTPServer?) -> [Watched] {
            (server?.turnsOfLoops ?? []).enumerated().map { index, turns in
                Watched(name: "\(name) loop \(index)", turns: turns) { server?.pokeLoops() }
            }
        }
        let engines = fleet.engines.engines.enumerated().compactMap { index, engine -> Watched? in
            guard case .ready = engine.phase else { return nil }
            return Watched(name: "engine \(index)", turns: engine.turns) { engine.poke() }
        }
        return loops("http", http) + loops("admin", adminHTTP) + engines
    }

    private func reloadKeys() {
        guard let keys else { return }
        do throws(ConfigurationError) {
            let count = try keys.reload()
            logger.notice("the API keys were reloaded", metadata: ["auth.keys": "\(count)"])
        } catch {
            logger.error(
                "the API keys could not be reloaded; the old ones stay in use",
                metadata: ["error": "\(error.description)"]
            )
        }
    }

    /// Handles SIGTERM and SIGINT.
    private func endSignalled() {
        switch life.ending {
        case .none:
            drain()
        case .announced:
            logger.notice("a second signal skips the drain delay")
            stopAccepting()
        case .draining:
            logger.warning("a second signal ends the process immediately")
            writeOutLog()
            exit(1)
        }
    }

    private func installSignalHandlers() {
        let ends = [SIGTERM, SIGINT].map { number in
            SignalSource(number) { [weak self] in self?.endSignalled() }
        }
        life.keep(ends + [SignalSource(SIGHUP) { [weak self] in self?.reloadFiles() }])
    }
}
