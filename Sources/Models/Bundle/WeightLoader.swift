// Loads a bundle's tensors to a device by name: the steps that every architecture shares.

import Catalogue
import Compute

/// Transfers tensors to a device. Every error names the tensor.
package struct WeightLoader {
    let device: any Device
    /// The tensors of the bundle.
    let names: Set<String>
    /// Whether rows of the item table are tokens, and items tuples of them.
    var hasTokens = false
    /// The source of rows for items added later; nil: none are ever added.
    var itemTable: ItemTable?
    /// Reads a tensor. The bundle has been verified, so every name of the architecture exists with its shape.
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

    /// A vector that is computed from the configuration, not stored in a file; `name` is for errors.
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

    /// A projection with its bias, if the bundle has one; with `columns`, only these output columns.
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

    /// The relative bias of one layer; nil: the model has none.
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
