// The phases of an engine's life. Readiness and admission follow from them.

package import Compute

/// The life of an engine: loading → warming → ready → draining → stopped, or → failed. After a device failure the
/// engine goes from ready to recovering and back; with a fallback it stays ready on the fallback.
package enum EnginePhase: Sendable, Equatable {
    /// Weights are being loaded onto the device.
    case loading
    /// Warm-up batches run, so that no caller pays for first use.
    case warming
    /// Requests are served.
    case ready(DeviceDescription)
    /// The device failed, there is no fallback, and attempts to recover continue; one sentence says what failed.
    case recovering(String)
    /// Finishes admitted requests; admits no others.
    case draining
    case stopped
    /// The model could not be loaded; one sentence says why.
    case failed(String)

    /// The error code of requests in phases that admit none.
    var refusalCode: EngineError.Code {
        if case .recovering = self { return .recovering }
        return .unavailable
    }

    /// The reason in readiness replies.
    package var reason: String {
        switch self {
        case .loading: "loading"
        case .warming: "warming"
        case .ready: "ready"
        case .recovering(let why): "recovering: \(why)"
        case .draining: "draining"
        case .stopped: "stopped"
        case .failed(let why): why
        }
    }
}
