// How the codec reaches the catalogue of a bundle.

internal import Catalogue
internal import Models

extension Catalogue: ItemLookup, ItemIDWriter {
    package func appendID(ofRow row: Int32, to json: inout [UInt8]) {
        withIDJSON(row) { json.append(contentsOf: $0) }
    }
}
