// Gives the codec access to a catalogue snapshot.

internal import Catalogue
internal import Models

extension CatalogueSnapshot: ItemLookup, ItemIDWriter {
    package func appendID(ofRow row: Int32, to json: inout [UInt8]) {
        withIDJSON(row) { json.append(contentsOf: $0) }
    }

    package func isWithdrawn(_ row: Int32) -> Bool { !isAvailable(row) }

    package func tokens(ofRow row: Int32) -> ArraySlice<Int32> { items.path(row) }
}
