// The operators, one function each. Callers are responsible for shapes; refusals by CANN are returned as errors.

internal import CAscend
internal import Compute

extension OperatorCalls {
    // MARK: Matrix products

    /// (m, k) · (k, n) in half precision, summed in float32.
    func mm(_ left: View, _ right: View, _ out: View) throws(ComputeError) {
        try call("aclnnMm", operators.Mm.launch, [left, right, out]) { (size, executor) throws(ComputeError) in
            try operators.Mm.plan?(tensor(left), tensor(right), tensor(out), KEEP_DTYPE.rawValue, size, executor)
        }
    }

    /// (b, m, k) · (b, k, n)
    func batchMatMul(_ left: View, _ right: View, _ out: View) throws(ComputeError) {
        try call("aclnnBatchMatMul", operators.BatchMatMul.launch, [left, right, out]) {
            (size, executor) throws(ComputeError) in
            try operators.BatchMatMul.plan?(
                tensor(left),
                tensor(right),
                tensor(out),
                KEEP_DTYPE.rawValue,
                size,
                executor
            )
        }
    }

    /// Rewrites a (k, n) matrix as FRACTAL_NZ, in place.
    func transMatmulWeight(_ weight: View) throws(ComputeError) {
        try call("aclnnTransMatmulWeight", operators.TransMatmulWeight.launch, [weight]) {
            (size, executor) throws(ComputeError) in
            try operators.TransMatmulWeight.plan?(tensor(weight), size, executor)
        }
    }

    /// The number of elements of a (k, n) matrix in FRACTAL_NZ.
    func blockedCount(_ dims: [Int], _ dtype: DType) throws(ComputeError) -> Int {
        var count: UInt64 = 0
        defer { releaseOperands() }
        let shape = try integers(dims)
        guard let function = operators.aclnnCalculateMatmulWeightSizeV2 else {
            throw ComputeError(.unsupported, "no installed package has aclnnCalculateMatmulWeightSizeV2")
        }
        let status = function(shape, dtype.aclType, &count)
        try context.check(status, "aclnnCalculateMatmulWeightSizeV2", phase: .plan)
        return Int(count)
    }

    // MARK: Rows

    /// Layer norm over the last dimension, of `columns` elements; weight and bias are (columns).
    func layerNorm(
        _ x: View,
        columns: Int,
        weight: View?,
        bias: View?,
        epsilon: Float,
        _ out: View
    ) throws(ComputeError) {
        try call(
            "aclnnLayerNorm",
            operators.LayerNorm.launch,
            [x, weight, bias, out],
            [Double(columns), Double(epsilon)]
        ) { (size, executor) throws(ComputeError) in
            try operators.LayerNorm.plan?(
                tensor(x),
                integers([columns]),
                optional(weight),
                optional(bias),
                Double(epsilon),
                tensor(out),
                nil,
                nil,
                size,
                executor
            )
        }
    }

    /// RMS norm over the last dimension. Also writes `rstd`, (rows, 1) float32.
    func rmsNorm(_ x: View, gamma: View, epsilon: Float, _ out: View, rstd: View) throws(ComputeError) {
        try call("aclnnRmsNorm", operators.RmsNorm.launch, [x, gamma, out, rstd], [Double(epsilon)]) {
            (size, executor) throws(ComputeError) in
            try operators.RmsNorm.plan?(
                tensor(x),
                tensor(gamma),
                Double(epsilon),
                tensor(out),
                tensor(rstd),
                size,
                executor
            )
        }
    }

    /// ‖x‖₂ over the last dimension, which stays with extent 1.
    func norm(_ x: View, _ out: View) throws(ComputeError) {
        try call("aclnnNorm", operators.Norm.launch, [x, out]) { (size, executor) throws(ComputeError) in
            try operators.Norm.plan?(tensor(x), scalar(Float(2)), integers([-1]), true, tensor(out), size, executor)
        }
    }

    /// The mean over the last dimension, which stays with extent 1.
    func mean(_ x: View, _ out: View) throws(ComputeError) {
        try call("aclnnMean", operators.Mean.launch, [x, out]) { (size, executor) throws(ComputeError) in
            try operators.Mean.plan?(tensor(x), integers([-1]), true, out.dtype.aclType, tensor(out), size, executor)
        }
    }

    func softmax(_ x: View, _ out: View) throws(ComputeError) {
        try call("aclnnSoftmax", operators.Softmax.launch, [x, out]) { (size, executor) throws(ComputeError) in
            try operators.Softmax.plan?(tensor(x), -1, tensor(out), size, executor)
        }
    }

    /// Gathers entries along one dimension.
    func gather(_ source: View, _ index: View, _ out: View, axis: Int = 0) throws(ComputeError) {
        try call("aclnnGatherV2", operators.GatherV2.launch, [source, index, out], [Double(axis)]) {
            (size, executor) throws(ComputeError) in
            try operators.GatherV2.plan?(tensor(source), Int64(axis), tensor(index), tensor(out), size, executor)
        }
    }

    /// Copies rows of `source` to the rows of `target` that `index` names.
    func indexCopy(_ target: View, _ index: View, _ source: View) throws(ComputeError) {
        try call("aclnnInplaceIndexCopy", operators.InplaceIndexCopy.launch, [target, index, source]) {
            (size, executor) throws(ComputeError) in
            try operators.InplaceIndexCopy.plan?(tensor(target), 0, tensor(index), tensor(source), size, executor)
        }
    }

    func topk(_ scores: View, count: Int, values: View, indices: View) throws(ComputeError) {
        try call("aclnnTopk", operators.Topk.launch, [scores, values, indices], [Double(count)]) {
            (size, executor) throws(ComputeError) in
            try operators.Topk.plan?(
                tensor(scores),
                Int64(count),
                -1,
                true,
                true,
                tensor(values),
                tensor(indices),
                size,
                executor
            )
        }
    }

    // MARK: Element by element

    /// The factor 1 for elements of this type. A float is refused for integers (opbase data_type_utils.h, CanCast).
    private func one(_ dtype: DType) throws(ComputeError) -> OpaquePointer {
        switch dtype {
        case .float32, .float16, .bfloat16: try scalar(Float(1))
        case .int8, .uint8, .bool, .int32, .int64: try scalar(Int32(1))
        }
    }

    func add(_ other: View, to target: View) throws(ComputeError) {
        try call("aclnnInplaceAdd", operators.InplaceAdd.launch, [target, other]) {
            (size, executor) throws(ComputeError) in
            try operators.InplaceAdd.plan?(tensor(target), tensor(other), one(target.dtype), size, executor)
        }
    }

    func subtract(_ left: View, _ right: View, _ out: View) throws(ComputeError) {
        try call("aclnnSub", operators.Sub.launch, [left, right, out]) { (size, executor) throws(ComputeError) in
            try operators.Sub.plan?(tensor(left), tensor(right), one(left.dtype), tensor(out), size, executor)
        }
    }

    func multiply(_ left: View, _ right: View, _ out: View) throws(ComputeError) {
        try call("aclnnMul", operators.Mul.launch, [left, right, out]) { (size, executor) throws(ComputeError) in
            try operators.Mul.plan?(tensor(left), tensor(right), tensor(out), size, executor)
        }
    }

    func multiply(_ target: View, by other: View) throws(ComputeError) {
        try call("aclnnInplaceMul", operators.InplaceMul.launch, [target, other]) {
            (size, executor) throws(ComputeError) in
            try operators.InplaceMul.plan?(tensor(target), tensor(other), size, executor)
        }
    }

    func multiply(_ target: View, by factor: Float) throws(ComputeError) {
        try call("aclnnInplaceMuls", operators.InplaceMuls.launch, [target], [Double(factor)]) {
            (size, executor) throws(ComputeError) in
            try operators.InplaceMuls.plan?(tensor(target), scalar(factor), size, executor)
        }
    }

    func divide(_ left: View, _ right: View, _ out: View) throws(ComputeError) {
        try call("aclnnDiv", operators.Div.launch, [left, right, out]) { (size, executor) throws(ComputeError) in
            try operators.Div.plan?(tensor(left), tensor(right), tensor(out), size, executor)
        }
    }

    func divide(_ x: View, by divisor: Float, _ out: View) throws(ComputeError) {
        try call("aclnnDivs", operators.Divs.launch, [x, out], [Double(divisor)]) {
            (size, executor) throws(ComputeError) in
            try operators.Divs.plan?(tensor(x), scalar(divisor), tensor(out), size, executor)
        }
    }

    func clamp(_ x: View, atLeast least: Float, _ out: View) throws(ComputeError) {
        try call("aclnnClampMin", operators.ClampMin.launch, [x, out], [Double(least)]) {
            (size, executor) throws(ComputeError) in
            try operators.ClampMin.plan?(tensor(x), scalar(least), tensor(out), size, executor)
        }
    }

    func clamp(_ x: View, _ range: ClosedRange<Int32>, _ out: View) throws(ComputeError) {
        try call("aclnnClamp", operators.Clamp.launch, [x, out], [Double(range.lowerBound), Double(range.upperBound)]) {
            (size, executor) throws(ComputeError) in
            try operators.Clamp.plan?(
                tensor(x),
                scalar(range.lowerBound),
                scalar(range.upperBound),
                tensor(out),
                size,
                executor
            )
        }
    }

    func absolute(_ x: View, _ out: View) throws(ComputeError) {
        try call("aclnnAbs", operators.Abs.launch, [x, out]) { (size, executor) throws(ComputeError) in
            try operators.Abs.plan?(tensor(x), tensor(out), size, executor)
        }
    }

    func logarithm(_ x: View, _ out: View) throws(ComputeError) {
        try call("aclnnLog", operators.Log.launch, [x, out]) { (size, executor) throws(ComputeError) in
            try operators.Log.plan?(tensor(x), tensor(out), size, executor)
        }
    }

    func activate(_ x: View, _ activation: Activation, _ out: View) throws(ComputeError) {
        switch activation {
        case .none: break
        case .silu:
            try call("aclnnSilu", operators.Silu.launch, [x, out]) { (size, executor) throws(ComputeError) in
                try operators.Silu.plan?(tensor(x), tensor(out), size, executor)
            }
        case .relu:
            try call("aclnnRelu", operators.Relu.launch, [x, out]) { (size, executor) throws(ComputeError) in
                try operators.Relu.plan?(tensor(x), tensor(out), size, executor)
            }
        case .geluTanh:
            try call("aclnnGeluV2", operators.GeluV2.launch, [x, out]) { (size, executor) throws(ComputeError) in
                try operators.GeluV2.plan?(tensor(x), 1, tensor(out), size, executor)
            }
        }
    }

    /// silu of the first half of each row, times the second half.
    func swiGLU(_ x: View, _ out: View) throws(ComputeError) {
        try call("aclnnSwiGlu", operators.SwiGlu.launch, [x, out]) { (size, executor) throws(ComputeError) in
            try operators.SwiGlu.plan?(tensor(x), -1, tensor(out), size, executor)
        }
    }

    // MARK: Masks

    func greater(_ left: View, _ right: View, _ out: View) throws(ComputeError) {
        try call("aclnnGtTensor", operators.GtTensor.launch, [left, right, out]) {
            (size, executor) throws(ComputeError) in
            try operators.GtTensor.plan?(tensor(left), tensor(right), tensor(out), size, executor)
        }
    }

    func notEqual(_ left: View, _ right: View, _ out: View) throws(ComputeError) {
        try call("aclnnNeTensor", operators.NeTensor.launch, [left, right, out]) {
            (size, executor) throws(ComputeError) in
            try operators.NeTensor.plan?(tensor(left), tensor(right), tensor(out), size, executor)
        }
    }

    func isZero(_ x: View, _ out: View) throws(ComputeError) {
        try call("aclnnEqScalar", operators.EqScalar.launch, [x, out]) { (size, executor) throws(ComputeError) in
            try operators.EqScalar.plan?(tensor(x), scalar(Int32(0)), tensor(out), size, executor)
        }
    }

    func logicalOr(_ left: View, _ right: View, _ out: View) throws(ComputeError) {
        try call("aclnnLogicalOr", operators.LogicalOr.launch, [left, right, out]) {
            (size, executor) throws(ComputeError) in
            try operators.LogicalOr.plan?(tensor(left), tensor(right), tensor(out), size, executor)
        }
    }

    func bitwiseAnd(_ left: View, _ right: View, _ out: View) throws(ComputeError) {
        try call("aclnnBitwiseAndTensor", operators.BitwiseAndTensor.launch, [left, right, out]) {
            (size, executor) throws(ComputeError) in
            try operators.BitwiseAndTensor.plan?(tensor(left), tensor(right), tensor(out), size, executor)
        }
    }

    func fill(_ target: View, where mask: View, _ value: Float) throws(ComputeError) {
        try call(
            "aclnnInplaceMaskedFillScalar",
            operators.InplaceMaskedFillScalar.launch,
            [target, mask],
            [Double(value)]
        ) {
            (size, executor) throws(ComputeError) in
            try operators.InplaceMaskedFillScalar.plan?(tensor(target), tensor(mask), scalar(value), size, executor)
        }
    }

    // MARK: Moves

    /// Converts to the type of `out`; float32 to int32 rounds toward zero.
    func cast(_ x: View, _ out: View) throws(ComputeError) {
        try call("aclnnCast", operators.Cast.launch, [x, out]) { (size, executor) throws(ComputeError) in
            try operators.Cast.plan?(tensor(x), out.dtype.aclType, tensor(out), size, executor)
        }
    }

    /// Copies between any strides and types.
    func copy(_ source: View, to target: View) throws(ComputeError) {
        try call("aclnnInplaceCopy", operators.InplaceCopy.launch, [target, source]) {
            (size, executor) throws(ComputeError) in
            try operators.InplaceCopy.plan?(tensor(target), tensor(source), size, executor)
        }
    }

    func concatenate(_ parts: [View], axis: Int, _ out: View) throws(ComputeError) {
        try call("aclnnCat", operators.Cat.launch, parts + [out], [Double(axis)]) {
            (size, executor) throws(ComputeError) in
            try operators.Cat.plan?(list(parts), Int64(axis), tensor(out), size, executor)
        }
    }

    func optional(_ view: View?) throws(ComputeError) -> OpaquePointer? {
        guard let view else { return nil }
        return try tensor(view)
    }
}
