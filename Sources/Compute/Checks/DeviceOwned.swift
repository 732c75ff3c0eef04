// Tells which device made an object.

/// The identity of one device. Everything that the device makes refers to the same object.
package final class DeviceIdentity {
    package init() {}

    /// Casts an object to this device's own class.
    ///
    /// - Throws: `ComputeError.invalidArgument` for another device's object.
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

/// Weights, tables and pages that know their device, so that streams of another device can refuse them.
package protocol DeviceOwned: AnyObject {
    var device: DeviceIdentity { get }
}
