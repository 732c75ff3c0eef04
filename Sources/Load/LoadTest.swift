// A load test from options to report: finds the server and the histories, starts the workers, adds up results.

internal import CLinux
internal import Dispatch
internal import Foundation
internal import HTTP
package import Interactions
internal import Locking
internal import Synchronization

/// The histories that come with genrec.
package struct DemoHistories {
    /// The name of the model that they belong to, as served.
    let modelName: String
    /// Returns the path of their file.
    let path: () throws -> String

    package init(modelName: String, path: @escaping () throws -> String) {
        self.modelName = modelName
        self.path = path
    }
}

/// A load test that is ready to run.
package final class LoadTest: Sendable {
    /// The time between starting the workers and the first possible request.
    private static let leadTime: UInt64 = 20_000_000

    private let target: LoadTarget
    private let plan: LoadPlan
    private let address: SocketAddress
    private let histories: [History]
    private let stop = StopFlag()
    private let isInterrupted = Atomic<Bool>(false)

    /// Connects to the server once and reads the histories.
    ///
    /// - Parameters:
    ///   - interactions: a file for `InteractionLog`. Nil: the demo's, if the demo is served.
    ///   - options: how to read that file.
    ///   - demo: the demo's histories; nil: none.
    /// - Throws: `LoadError` or `InteractionLogError`, whose sentences say what to do; the errors of `demo`.
    package init(
        target: LoadTarget,
        plan: LoadPlan,
        interactions: String?,
        options: InteractionOptions = InteractionOptions(),
        demo: DemoHistories?
    ) throws {
        self.target = target
        self.plan = plan
        let probe = Probe(target: target, authorization: plan.authorization)
        address = try probe.address()
        let path = try interactions ?? Self.demoInteractions(demo, probe, address)
        let log = try InteractionLog(path: path, options: options)
        histories = try log.users.map { try History($0, hasTimestamps: log.hasTimestamps) }
        guard !histories.isEmpty else { throw LoadError("\(path) has no interactions") }
        guard plan.workload.eventShare == nil || log.hasTimestamps else {
            throw LoadError("\(path) has no timestamps, but --by-user replays interactions in time order")
        }
    }

    /// The demo's histories; other bundles need a file of their own.
    private static func demoInteractions(
        _ demo: DemoHistories?,
        _ probe: Probe,
        _ address: SocketAddress
    ) throws -> String {
        let advice = "give a file of histories with --interactions"
        let served = try probe.servedModel(at: address, advice: advice)
        guard let demo, served == demo.modelName else {
            throw LoadError(
                "the server serves \"\(served)\", but genrec only has histories for the demo; \(advice)"
            )
        }
        return try demo.path()
    }

    /// Ends the run immediately; `run` then returns the results so far. Callable from any thread.
    package func interrupt() {
        isInterrupted.store(true, ordering: .relaxed)
        stop.set()
    }

    /// Runs the test on its own threads and waits for it.
    ///
    /// - Parameter progress: called repeatedly with the seconds for which requests have been sent.
    package func run(progress: (Double) -> Void) throws -> LoadReport {
        let descriptorLimit = DescriptorLimit.raise().limit
        let origin = Syscall.now() + Self.leadTime
        let startTime = Date().timeIntervalSince1970 + Double(Self.leadTime) / 1e9
        let results = Lock<Result<LoadReport, LoadError>>(
            .success(LoadReport(plan: plan, startTime: startTime, descriptorLimit: descriptorLimit))
        )
        let heads = LoadWorker.Heads(
            request: RequestHead(target: target, route: plan.workload.route, authorization: plan.authorization),
            event: RequestHead(target: target, route: "events", authorization: plan.authorization)
        )
        let threads = DispatchGroup()
        for index in 0..<plan.threads {
            threads.enter()
            Thread.detachNewThread { [self] in
                CLinux_becomeWorker("load-\(index)")
                CLinux_setTimerSlack(1_000)
                let result = work(plan.share(index), heads, origin)
                results.withLock { $0.add(result) }
                threads.leave()
            }
        }
        while threads.wait(timeout: .now() + .milliseconds(100)) == .timedOut {
            let now = Syscall.now()
            if now > origin { progress(Double(min(now - origin, plan.duration)) / 1e9) }
        }
        var report = try results.withLock { $0 }.get()
        report.isInterrupted = isInterrupted.load(ordering: .relaxed)
        return report
    }

    private func work(
        _ share: LoadPlan,
        _ heads: LoadWorker.Heads,
        _ origin: UInt64
    ) -> Result<LoadReport.Part, LoadError> {
        do throws(LoadError) {
            var worker = try LoadWorker(
                plan: share,
                address: address,
                heads: heads,
                histories: histories,
                origin: origin,
                stop: stop
            )
            return .success(worker.run())
        } catch {
            stop.set()
            return .failure(error)
        }
    }
}

extension Result<LoadReport, LoadError> {
    /// Adds one worker's results; the first failure is kept.
    fileprivate mutating func add(_ part: Result<LoadReport.Part, LoadError>) {
        switch (self, part) {
        case (.success(var report), .success(let part)):
            report.add(part)
            self = .success(report)
        case (.success, .failure(let error)): self = .failure(error)
        case (.failure, _): break
        }
    }
}
