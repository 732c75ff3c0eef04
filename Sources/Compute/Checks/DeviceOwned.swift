// Tells which device made an object: one answer for every device.

/// Stands for one device. Everything that the device makes refers to the same object.
package final class DeviceIdentity {
    package init() {}

    /// An object as the class of this device.
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

/// Weights, tables and pages that know their device, so that streams of another can refuse them.
package protocol DeviceOwned: AnyObject {
    var device: DeviceIdentity { get }
}
