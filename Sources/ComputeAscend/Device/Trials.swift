// Features that are used only if they pass a trial when a device is made. A trial may lose the chip. The process
// remembers that, and the device is made again without the feature.

internal import Compute

/// A feature on trial. A device does without the features that fail.
enum Trial: Hashable {
    /// An operator of RecSDK for HSTU attention.
    case fusedAttention(FusedVariant)
    /// Weights in FRACTAL_NZ.
    case blockedWeights
    /// Captured batches.
    case capture
}

/// The trials of one attempt to make a device.
final class Trials {
    /// The trials that lost the chip in earlier attempts.
    private let lost: [Trial: String]
    /// The current trial, or the one that lost the chip in this attempt.
    private(set) var current: Trial?

    init(lost: [Trial: String]) { self.lost = lost }

    /// Runs a trial.
    ///
    /// - Throws: `.unsupported`, without running it, if the trial lost the chip earlier; otherwise what the body
    ///   throws.
    func attempt<Result>(_ trial: Trial, _ body: () throws(ComputeError) -> Result) throws(ComputeError) -> Result {
        if let words = lost[trial] {
            throw ComputeError(.unsupported, "the chip was lost when it was tried: \(words)")
        }
        current = trial
        do throws(ComputeError) {
            let result = try body()
            current = nil
            return result
        } catch {
            if !error.code.losesDevice { current = nil }
            throw error
        }
    }
}
