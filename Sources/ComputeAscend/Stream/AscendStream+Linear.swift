// Projections: float32 before the product, the product in half precision, float32 after it.

package import Compute

extension AscendStream {
    package func linear(_ operation: LinearOperation) throws(ComputeError) {
        let weights = try device.own(operation.weights, as: AscendLinear.self, in: "linear")
        let output = operation.output
        let rows = output.rows
        try output.require(.float32, rows: rows, columns: weights.outputs, in: "linear", as: "output")
        if let residual = operation.residual {
            try residual.require(.float32, rows: rows, columns: weights.outputs, in: "linear", as: "residual")
        }
        let input = try CheckedInput(operation.input, rows: rows, columns: weights.inputs, device: device)
        guard rows > 0 else { return }
        try withTemporaries { () throws(ComputeError) in
            let x = try halves(of: input, rows: rows, columns: weights.inputs)
            let target = View(output)
            let residual = operation.residual.map(View.init)
            // In place, the output holds the residual until the end, so the product is added to it.
            let isInPlace = residual.map { $0.isSame(as: target) } ?? false
            let mayWrite = target.isContiguous && residual == nil
            let product = mayWrite ? target : try temporary(.float32, [rows, weights.outputs])
            let activation = operation.activation
            note { (calls) throws(ComputeError) in
                try calls.mm(x, weights.matrix, product)
                if let bias = weights.bias { try calls.add(bias, to: product) }
                try calls.activate(product, activation, product)
                if isInPlace {
                    try calls.add(product, to: target)
                } else {
                    if let residual { try calls.add(residual, to: product) }
                    if !mayWrite { try calls.copy(product, to: target) }
                }
            }
        }
    }

    /// Records the computation of the product's input: (rows, columns) in half precision, contiguous.
    private func halves(of input: CheckedInput, rows: Int, columns: Int) throws(ComputeError) -> View {
        let result = try temporary(half, [rows, columns])
        switch input {
        case .plain(let values):
            note { (calls) throws(ComputeError) in try calls.cast(values, result) }
        case .normalized(let values, let norm):
            let normalized = try temporary(.float32, [rows, columns])
            try normalize(values, norm, normalized)
            note { (calls) throws(ComputeError) in try calls.cast(normalized, result) }
        case .gated(let gate, let values, let norm):
            let normalized = try temporary(.float32, [rows, columns])
            try normalize(values, norm, normalized)
            note { (calls) throws(ComputeError) in
                try calls.multiply(normalized, by: gate)
                try calls.cast(normalized, result)
            }
        case .concatenatedGate(let gate, let values, let norm):
            let normalized = try temporary(.float32, [rows, columns / 3])
            try normalize(values, norm, normalized)
            let parts = [
                try temporary(half, [rows, columns / 3]), try temporary(half, [rows, columns / 3]),
                try temporary(half, [rows, columns / 3]),
            ]
            note { (calls) throws(ComputeError) in
                try calls.cast(gate, parts[0])
                try calls.cast(normalized, parts[1])
                try calls.multiply(normalized, by: gate)
                try calls.cast(normalized, parts[2])
                try calls.concatenate(parts, axis: 1, result)
            }
        case .swiGLU(let gate, let values):
            let product = try temporary(.float32, [rows, columns])
            // If gate and values are side by side, as one projection makes them, one operator computes both. It does
            // not support strided rows (its documentation), and on 310P only halves of whole 64 bytes (ops-nn,
            // swi_glu_tiling.cpp).
            let isAdjacent =
                gate.strides == values.strides
                && values.address == gate.address.advanced(byBytes: columns * gate.dtype.byteCount)
                && gate.strides[0] == 2 * columns
            if isAdjacent, columns % 16 == 0, device.support.has(.swiGLU) {
                let both = View(gate.address, .float32, [rows, 2 * columns])
                note { (calls) throws(ComputeError) in
                    try calls.swiGLU(both, product)
                    try calls.cast(product, result)
                }
            } else {
                note { (calls) throws(ComputeError) in
                    try calls.activate(gate, .silu, product)
                    try calls.multiply(product, by: values)
                    try calls.cast(product, result)
                }
            }
        }
        return result
    }
}

/// A projection's input whose parts fit each other and the weights.
private enum CheckedInput {
    case plain(View)
    case normalized(View, CheckedNorm)
    case gated(gate: View, values: View, CheckedNorm)
    case concatenatedGate(gate: View, values: View, CheckedNorm)
    case swiGLU(gate: View, values: View)

    init(_ input: LinearInput, rows: Int, columns: Int, device: AscendDevice) throws(ComputeError) {
        func view(_ tensor: Tensor, _ columns: Int, _ role: StaticString) throws(ComputeError) -> View {
            try tensor.require(.float32, rows: rows, columns: columns, in: "linear", as: role)
            return View(tensor)
        }
        func checked(_ norm: Normalization, _ columns: Int) throws(ComputeError) -> CheckedNorm {
            try CheckedNorm(norm, columns: columns, device: device, in: "linear")
        }
        switch input {
        case .plain(let values): self = .plain(try view(values, columns, "input"))
        case .normalized(let values, let norm):
            self = .normalized(try view(values, columns, "input"), try checked(norm, columns))
        case .gated(let gate, let values, let norm):
            self = .gated(
                gate: try view(gate, columns, "gate"),
                values: try view(values, columns, "input"),
                try checked(norm, columns)
            )
        case .concatenatedGate(let gate, let values, let norm):
            guard columns % 3 == 0 else {
                throw ComputeError(.invalidArgument, "linear: \(columns) columns are not three times a gate's")
            }
            self = .concatenatedGate(
                gate: try view(gate, columns / 3, "gate"),
                values: try view(values, columns / 3, "input"),
                try checked(norm, columns / 3)
            )
        case .swiGLU(let gate, let values):
            self = .swiGLU(gate: try view(gate, columns, "gate"), values: try view(values, columns, "input"))
        }
    }
}
