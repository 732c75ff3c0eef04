// Which device made an object: the same question for every device, answered once.

/// Stands for one device; everything made by it refers to the same object.
package final class DeviceIdentity {
    package init() {}

    /// What was made, as the class that this device makes.
    ///
    /// - Throws: `ComputeError.invalidArgument` for what another device made.
    package func own<Made: DeviceOwned>(
        _ made: AnyObject,
        as type: Made.Type,
        in operation: StaticString
    ) throws(ComputeError) -> Made {
        guard let own = made as? Made, own.device === self else {
            throw ComputeError(.invalidArgument, "\(operation): the weights belong to another device")
        }
        return own
    }
}

/// Weights, tables and pages that know their device, so that its streams can refuse those of another.
package protocol DeviceOwned: AnyObject {
    var device: DeviceIdentity { get }
}
