// Takes a bundle's tensors by name to a device: the steps of loading that every architecture has.

import Catalogue
import Compute

/// Hands tensors over to a device. Every error names the tensor.
package struct WeightLoader {
    let device: any Device
    /// The tensors of the bundle.
    let names: Set<String>
    /// Rows of the item table are tokens, of which items are tuples.
    var hasTokens = false
    /// The source of rows of items added later; nil: none.
    var itemTable: ItemTable?
    /// The bundle has been verified: every name of the architecture is there in its shape.
    let tensor: (_ name: String) throws(ComputeError) -> HostTensor

    /// - Throws: `ComputeError.unsupported` that names an operation the device lacks.
    func require(_ operations: [OperationKind], for architecture: Architecture.Name) throws(ComputeError) {
        for operation in operations where !device.supports(operation) {
            throw ComputeError(
                .unsupported,
                """
                device \(device.description.name) lacks the operation \(operation.rawValue), which \
                \(architecture.rawValue) needs
                """
            )
        }
    }

    func table(_ name: String) throws(ComputeError) -> any EmbeddingTable {
        try device.makeTable(tensor(name))
    }

    func vector(_ name: String) throws(ComputeError) -> any DeviceVector {
        try device.makeVector(tensor(name))
    }

    /// A vector that follows from the configuration and is in no file; `name` is for errors.
    func vector(_ name: String, _ values: [Float]) throws(ComputeError) -> any DeviceVector {
        let result: Result<any DeviceVector, ComputeError> = values.withUnsafeBytes { bytes in
            let tensor = HostTensor(name: name, dtype: .float32, shape: [values.count], bytes: bytes)
            do throws(ComputeError) {
                return .success(try device.makeVector(tensor))
            } catch {
                return .failure(error)
            }
        }
        return try result.get()
    }

    /// A projection with the bias that the bundle has for it, or the part of it that makes the output columns of one range.
    func linear(
        _ name: ParameterName,
        _ layout: LinearLayout,
        columns: Range<Int>? = nil
    ) throws(ComputeError) -> any LinearWeights {
        var bias: HostTensor?
        if names.contains(name.bias) {
            let whole = try tensor(name.bias)
            bias = columns.map { whole.entries($0) } ?? whole
        }
        return try device.makeLinear(
            tensor(name.weight),
            layout: layout,
            columns: columns.map { [$0] },
            bias: bias
        )
    }

    /// A norm with its weights.
    func norm(_ norm: NormDescription, _ name: ParameterName) throws(ComputeError) -> Normalization {
        let epsilon = Float(norm.epsilon)
        return switch norm.kind {
        case .layer: .layerNorm(epsilon: epsilon)
        case .affineLayer:
            .affineLayerNorm(epsilon: epsilon, scale: try vector(name.weight), shift: try vector(name.bias))
        case .rms: .rms(epsilon: epsilon, scale: try vector(name.weight))
        case .l2: .l2(epsilon: epsilon)
        }
    }

    /// The relative bias of one layer; nil: it has none.
    func relativeBias(_ kind: RelativeBiasKind, layer: Int) throws(ComputeError) -> RelativeBiasTables? {
        guard kind != .none else { return nil }
        return RelativeBiasTables(
            position: try vector(RelativeBiasKind.positionName(layer)),
            time: kind == .positionAndTime ? try vector(RelativeBiasKind.timeName(layer)) : nil
        )
    }
}

/// The tables of one layer's relative bias.
struct RelativeBiasTables {
    let position: any DeviceVector
    let time: (any DeviceVector)?

    /// The bias for a batch. `timestamps` are the batch's, uploaded; `maximumLength` is N.
    func bias(_ batch: SequenceBatch, timestamps: Tensor, maximumLength: Int) -> RelativeBias {
        RelativeBias(
            position: position,
            time: time,
            maximumLength: maximumLength,
            timestamps: timestamps,
            applies: batch.timed
        )
    }
}

extension HostTensor {
    /// Some rows of a tensor of rank 2.
    func rows(_ range: Range<Int>) -> HostTensor {
        let size = shape[1] * dtype.byteCount
        return HostTensor(
            name: name,
            dtype: dtype,
            shape: [range.count, shape[1]],
            bytes: UnsafeRawBufferPointer(rebasing: bytes[range.lowerBound * size..<range.upperBound * size]),
            owner: owner
        )
    }

    /// Some entries of a tensor of rank 1.
    fileprivate func entries(_ range: Range<Int>) -> HostTensor {
        let bytes = bytes[range.lowerBound * dtype.byteCount..<range.upperBound * dtype.byteCount]
        return HostTensor(
            name: name,
            dtype: dtype,
            shape: [range.count],
            bytes: UnsafeRawBufferPointer(rebasing: bytes),
            owner: owner
        )
    }
}
