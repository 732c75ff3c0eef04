// A model's weights in the form that an Ascend device packs. Each object knows its device, so that others can refuse
// it.

internal import Compute

/// A projection: (K, N) in half precision, in FRACTAL_NZ if the device blocks weights, and its bias in float32.
final class AscendLinear: LinearWeights, DeviceOwned {
    let inputs: Int
    let outputs: Int
    let device: DeviceIdentity
    private let matrixBlock: DeviceBlock
    private let biasBlock: DeviceBlock?
    let matrix: View
    /// (N)
    let bias: View?

    init(matrix: View, in matrixBlock: DeviceBlock, bias biasBlock: DeviceBlock?, device: DeviceIdentity) {
        inputs = matrix.dims[0]
        outputs = matrix.dims[1]
        self.matrix = matrix
        self.matrixBlock = matrixBlock
        self.biasBlock = biasBlock
        self.device = device
        bias = biasBlock.map { View($0.address, .float32, [matrix.dims[1]]) }
    }
}

/// A table of rows in half precision. Added rows follow in pages.
final class AscendTable: EmbeddingTable, DeviceOwned {
    let columns: Int
    let device: DeviceIdentity
    private let block: DeviceBlock
    /// (own rows, columns)
    let view: View
    var added: AscendAddedRows

    var rows: Int { added.count == 0 ? view.dims[0] : added.first + added.count }

    init(rows: Int, columns: Int, dtype: DType, block: DeviceBlock, device: DeviceIdentity) {
        self.columns = columns
        added = AscendAddedRows(behind: rows, columns: columns, dtype)
        self.device = device
        self.block = block
        view = View(block.address, dtype, [rows, columns])
    }
}

/// A vector of float32, on the device and on the host.
final class AscendVector: DeviceVector, DeviceOwned {
    let entries: [Float]
    let device: DeviceIdentity
    private let block: DeviceBlock
    /// The result of `rotate` for the entries as frequencies.
    var angles: AngleTable?

    var count: Int { entries.count }
    /// (count)
    var view: View { View(block.address, .float32, [entries.count]) }

    init(entries: [Float], block: DeviceBlock, device: DeviceIdentity) {
        self.entries = entries
        self.block = block
        self.device = device
    }
}

/// The scored rows of a catalogue in half precision, stored as columns, and a bit for each that exists. Added rows
/// follow in pages, stored as rows.
final class AscendCatalogue: CatalogueWeights, DeviceOwned {
    let ownRows: Int
    let columns: Int
    let device: DeviceIdentity
    /// One bit per own row, whole words; row 0 and the bits beyond the last row are 0.
    let eligible: [UInt64]
    /// Applied to every row, added ones included.
    let norm: HostNorm?
    private let block: DeviceBlock
    /// (columns, own rows)
    let items: View
    var added: AscendAddedRows

    var rows: Int { added.count == 0 ? ownRows : added.first + added.count }

    init(
        rows: Int,
        columns: Int,
        dtype: DType,
        eligible: [UInt64],
        norm: HostNorm?,
        block: DeviceBlock,
        device: DeviceIdentity
    ) {
        ownRows = rows
        self.columns = columns
        self.eligible = eligible
        self.norm = norm
        added = AscendAddedRows(behind: rows, columns: columns, dtype)
        self.block = block
        self.device = device
        items = View(block.address, dtype, [columns, rows])
    }
}

extension AscendDevice {
    /// Casts an object to this device's own class, or throws.
    func own<Made: DeviceOwned>(
        _ made: AnyObject,
        as type: Made.Type,
        in operation: StaticString
    ) throws(ComputeError) -> Made {
        try identity.own(made, as: type, in: operation)
    }
}
