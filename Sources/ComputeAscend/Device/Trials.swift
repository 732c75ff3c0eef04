// What is used only where it proves itself when a device is made. A trial may lose the chip: that is remembered for the
// process, and the device is made again without it.

internal import Compute

/// Each is left out where it fails.
enum Trial: Hashable {
    /// An operator of RecSDK for HSTU's attention.
    case fusedAttention(FusedVariant)
    /// Weights in FRACTAL_NZ.
    case blockedWeights
    /// Batches that are captured.
    case capture
}

/// The trials of one attempt to make a device.
final class Trials {
    /// What earlier attempts have lost the chip with.
    private let lost: [Trial: String]
    /// The trial under way, or the one that this attempt has lost the chip with.
    private(set) var current: Trial?

    init(lost: [Trial: String]) { self.lost = lost }

    /// Runs a trial.
    ///
    /// - Throws: `.unsupported` without a try where an earlier attempt has lost the chip with it; otherwise what the body throws.
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
