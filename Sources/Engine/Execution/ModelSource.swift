// Sources of an engine's device and models, used at the start and again after a device failure.

package import Compute
package import Models

/// Makes an engine's devices. The closures run on the engine's thread, which owns the devices.
package struct DeviceSource: Sendable {
    /// Makes the device.
    package var make: @Sendable () throws -> any Device
    /// Makes the fallback, which computes while the device is unavailable, and computes requests too large for its
    /// memory; nil: no fallback.
    package var makeFallback: (@Sendable () throws -> any Device)?
    package var backoff: RecoveryBackoff

    package init(
        backoff: RecoveryBackoff = RecoveryBackoff(),
        make: @escaping @Sendable () throws -> any Device
    ) {
        self.make = make
        self.backoff = backoff
    }
}

/// A model, and its cache configuration.
package struct ModelSource: Sendable {
    /// Loads the weights into a device. Runs once per device and again whenever one is recreated.
    package var load: @Sendable (any Device) throws -> ResidentModel
    /// Bytes of device memory for keys and values of this model's users.
    package var cacheBytes: Int
    /// The answers that it must give on every device before it serves; nil: none.
    package var golden: GoldenCases?
    /// The model's dtype and thread count; nil: the device's. The fallback ignores them.
    package var dtype: DType?
    package var threads: Int?
    /// The model's name in error messages.
    package var label = ""

    package init(
        cacheBytes: Int = 0,
        golden: GoldenCases? = nil,
        load: @escaping @Sendable (any Device) throws -> ResidentModel
    ) {
        self.golden = golden
        self.load = load
        self.cacheBytes = cacheBytes
    }
}

/// A model on a device. Belongs to one thread at a time.
package struct ResidentModel {
    package let device: any Device
    package let model: any DecoderModel

    package init(device: any Device, model: any DecoderModel) {
        self.device = device
        self.model = model
    }
}

/// How long an engine waits before it tries to recover a failed device: twice as long each time, up to a limit.
package struct RecoveryBackoff: Sendable, Equatable {
    package var firstNanoseconds: UInt64 = 1_000_000_000
    package var mostNanoseconds: UInt64 = 60_000_000_000

    package init() {}

    /// - Parameter attempts: earlier attempts since the device last computed a batch.
    package func delay(after attempts: Int) -> UInt64 {
        let doublings = min(attempts, 62)
        let (delay, overflow) = firstNanoseconds.multipliedReportingOverflow(by: 1 << UInt64(doublings))
        return overflow ? mostNanoseconds : min(delay, mostNanoseconds)
    }
}

/// When to try to recover a failed device.
struct Recovery {
    let backoff: RecoveryBackoff
    private var attempts = 0
    /// When to try next; nil if the device is available.
    private(set) var next: Instant?
    /// How long the last attempt to make the device took or, before there was one, its first start.
    private(set) var attemptNanoseconds: UInt64

    init(_ backoff: RecoveryBackoff, startNanoseconds: UInt64 = 0) {
        self.backoff = backoff
        attemptNanoseconds = startNanoseconds
    }

    /// Delays the next attempt.
    mutating func postpone(by nanoseconds: UInt64) { next = next?.advanced(by: nanoseconds) }

    /// The end of the next attempt, assuming that it takes as long as the last one; nil if the device is available.
    var expectedBack: Instant? { next?.advanced(by: attemptNanoseconds) }

    func isDue(_ now: Instant) -> Bool { next.map { $0 <= now } ?? false }

    /// The device has failed.
    ///
    /// - Parameters:
    ///   - took: the duration of the latest attempt to make it; nil if there was none.
    ///   - servesMeanwhile: attempts block the fallback, so they may take at most a tenth of its time.
    mutating func postpone(now: Instant, took: UInt64? = nil, servesMeanwhile: Bool) {
        if let took { attemptNanoseconds = took }
        let pause = servesMeanwhile ? min(took ?? 0, .max / 16) * 9 : 0
        next = now.advanced(by: max(backoff.delay(after: attempts), pause))
        attempts += 1
    }

    /// The device was made. It has yet to compute a batch.
    mutating func madeDevice() { next = nil }

    /// The device has computed a batch.
    mutating func computed() { attempts = 0 }
}
