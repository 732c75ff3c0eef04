// Reloads bundles that have `watch: true` in the configuration file when the target of their path changes.

internal import Dispatch
internal import Locking
internal import Logging
internal import Models

/// Watches the directories of bundles for deployments: a swapped link, a renamed directory.
///
/// A change counts once the files have been stable for a second, so that a bundle is not read while it is being
/// written. If loading then fails, it is retried when the files change again. Meanwhile the old bundle is served.
///
/// `@unchecked Sendable`: the timer is made once, in `start`, before anything else can use it.
final class BundleWatcher: @unchecked Sendable {
    private typealias Fingerprints = [FileFingerprint?]

    private static let lookInterval = DispatchTimeInterval.milliseconds(250)
    /// Consecutive looks that must find the same state.
    private static let steadyLooks = 5

    private let queue = DispatchQueue(label: "genrec.watch", qos: .utility)
    private let watches: Lock<[String: FileWatch<Fingerprints>]>
    private var timer: (any DispatchSourceTimer)?

    /// Records the present state of the files. Anything loaded afterwards is at least as new.
    init(_ directories: [String]) {
        var watches: [String: FileWatch<Fingerprints>] = [:]
        for directory in directories {
            watches[directory] = FileWatch(used: Self.fingerprints(directory), steadyLooks: Self.steadyLooks)
        }
        self.watches = Lock(watches)
    }

    deinit { timer?.cancel() }

    /// Starts watching. Called once.
    func start(_ fleet: Fleet, _ loader: FleetLoader) {
        guard watches.withLock({ !$0.isEmpty }) else { return }
        let timer = DispatchSource.makeTimerSource(queue: queue)
        timer.setEventHandler { [weak self] in self?.look(fleet, loader) }
        timer.schedule(deadline: .now(), repeating: Self.lookInterval, leeway: .milliseconds(50))
        self.timer = timer
        timer.activate()
    }

    private func look(_ fleet: Fleet, _ loader: FleetLoader) {
        for directory in watches.withLock({ $0.keys.sorted() }) {
            // A reload that is under way may be of this very change. It also prevents others, which the next looks find.
            guard loader.canReload else { return }
            let isChanged = watches.withLock { watches in
                let state = Self.fingerprints(directory)
                return watches[directory]?.shouldRead(state) ?? false && state.first != .some(nil)
            }
            guard isChanged, let model = fleet.watchedMember(of: directory)?.model else { continue }
            loader.reload(model)
        }
    }

    /// The states of the bundle's files, the configuration's first.
    private static func fingerprints(_ directory: String) -> Fingerprints {
        [
            ModelBundle.FileName.configuration, ModelBundle.FileName.weights, ModelBundle.FileName.catalogue,
            GoldenCases.fileName,
        ].map { FileFingerprint(path: directory + "/" + $0) }
    }
}
