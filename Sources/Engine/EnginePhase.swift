// Where an engine stands in its life. Readiness and admission follow from it.

package import Compute

/// The life of an engine: loading → warming → ready → draining → stopped, or → failed.
package enum EnginePhase: Sendable, Equatable {
    /// Weights are being handed to the device.
    case loading
    /// A first batch runs, so that no caller pays for first use.
    case warming
    /// Requests are served.
    case ready(DeviceDescription)
    /// What was admitted is finished; nothing new is admitted.
    case draining
    case stopped
    /// The model could not be loaded; one sentence says why.
    case failed(String)

    /// One word for readiness replies.
    package var reason: String {
        switch self {
        case .loading: "loading"
        case .warming: "warming"
        case .ready: "ready"
        case .draining: "draining"
        case .stopped: "stopped"
        case .failed(let why): why
        }
    }
}
