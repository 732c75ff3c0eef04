// Tensors as the CPU sees them: pointers.

internal import Compute

extension Tensor {
    /// The elements; checked before to be float32.
    var floats: UnsafeMutablePointer<Float> { pointer(to: Float.self) }
    /// The elements; checked before to be int32.
    var int32s: UnsafePointer<Int32> { UnsafePointer(pointer(to: Int32.self)) }
    /// The elements; checked before to be int64.
    var int64s: UnsafePointer<Int64> { UnsafePointer(pointer(to: Int64.self)) }

    private func pointer<Element>(to type: Element.Type) -> UnsafeMutablePointer<Element> {
        // Every tensor of a stream has an address: the arena never hands out null. A tensor made up elsewhere with
        // address 0 is a programmer's error.
        guard let raw = UnsafeMutableRawPointer(bitPattern: address.bits) else {
            preconditionFailure("a tensor without an address")
        }
        return raw.assumingMemoryBound(to: Element.self)
    }
}

extension CPUStream {
    /// The object as the class that this stream's device makes, or a refusal.
    func own<Made: DeviceOwned>(
        _ made: AnyObject,
        as type: Made.Type,
        in operation: StaticString
    ) throws(ComputeError) -> Made {
        try device.own(made, as: type, in: operation)
    }
}
