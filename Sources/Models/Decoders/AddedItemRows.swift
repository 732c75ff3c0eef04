// Transfers rows of items added to a served model from the catalogue to a device.

import Catalogue
import Compute

/// A decoder's source of rows for added items. Used only on the device's thread.
struct AddedItemRows {
    /// nil: no items are ever added.
    let source: ItemTable?
    let device: any Device

    /// Appends missing rows to the table and to the catalogue.
    func bring(to table: any EmbeddingTable, _ catalogue: any CatalogueWeights) throws(ComputeError) {
        guard let source else { return }
        let forTable = source.added(after: max(table.rows - source.firstAddedRow, 0))
        if !forTable.isEmpty { try device.append(forTable, to: table) }
        let forCatalogue = source.added(after: max(catalogue.rows - source.firstAddedRow, 0))
        if !forCatalogue.isEmpty { try device.append(forCatalogue, to: catalogue) }
    }
}
