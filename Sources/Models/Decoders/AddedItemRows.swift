// Rows of items that come while a model is served, on their way from the catalogue to a device.

import Catalogue
import Compute

/// Where a decoder gets the rows of added items from. Belongs to the device's thread.
struct AddedItemRows {
    /// nil: there are never any.
    let source: ItemTable?
    let device: any Device

    /// Puts those that are not there yet behind the rows of the table and of the catalogue.
    func bring(to table: any EmbeddingTable, _ catalogue: any CatalogueWeights) throws(ComputeError) {
        guard let source else { return }
        let forTable = source.added(after: max(table.rows - source.firstAddedRow, 0))
        if !forTable.isEmpty { try device.append(forTable, to: table) }
        let forCatalogue = source.added(after: max(catalogue.rows - source.firstAddedRow, 0))
        if !forCatalogue.isEmpty { try device.append(forCatalogue, to: catalogue) }
    }
}
