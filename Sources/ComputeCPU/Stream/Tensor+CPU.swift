// Tensors as the CPU sees them: pointers.

internal import Compute

extension Tensor {
    /// The elements; the caller has checked that they are float32.
    var floats: UnsafeMutablePointer<Float> { pointer(to: Float.self) }
    /// The elements; the caller has checked that they are int32.
    var int32s: UnsafePointer<Int32> { UnsafePointer(pointer(to: Int32.self)) }
    /// The elements; the caller has checked that they are int64.
    var int64s: UnsafePointer<Int64> { UnsafePointer(pointer(to: Int64.self)) }

    private func pointer<Element>(to type: Element.Type) -> UnsafeMutablePointer<Element> {
        // Every tensor of a stream has an address, because the arena never returns null. A tensor made elsewhere with
        // address 0 is a programming error.
        guard let raw = UnsafeMutableRawPointer(bitPattern: address.bits) else {
            preconditionFailure("a tensor without an address")
        }
        return raw.assumingMemoryBound(to: Element.self)
    }
}

extension CPUStream {
    /// Casts an object to the own class of this stream's device, or throws.
    func own<Made: DeviceOwned>(
        _ made: AnyObject,
        as type: Made.Type,
        in operation: StaticString
    ) throws(ComputeError) -> Made {
        try device.own(made, as: type, in: operation)
    }
}
