// How the codec reaches a catalogue: ids to rows, and back. Protocols, so that the codec can be tested without a model;
// a bundle's catalogue conforms to them.

package import Catalogue

/// Resolves ids and tags of a request. Called while a body is scanned, on the connection's thread.
package protocol ItemLookup {
    /// The row of the item with this id; nil if there is none. `"17"` finds 17 where ids are integers, and 17 finds
    /// `"17"` where they are strings.
    func row(of key: ItemKey) -> Int32?
    /// The rows of the items with these ids, one per key; 0 for unknown ids.
    func rows(of keys: UnsafeBufferPointer<ItemKey>, into rows: UnsafeMutableBufferPointer<Int32>)
    /// The number of a tag; nil if no item has it. The bytes are UTF-8 and valid only during the call.
    func tag(utf8: UnsafeBufferPointer<UInt8>) -> Int32?
}

/// Writes the ids of catalogue rows.
package protocol ItemIDWriter {
    /// Appends the id of a row as JSON: a string with quotes and escapes, or an integer.
    func appendID(ofRow row: Int32, to json: inout [UInt8])
    /// Whether the row's item may not be recommended at present.
    func isWithdrawn(_ row: Int32) -> Bool
    /// The tokens of a row's path; empty where items have none.
    func tokens(ofRow row: Int32) -> ArraySlice<Int32>
}

extension ItemIDWriter {
    package func isWithdrawn(_ row: Int32) -> Bool { false }
    package func tokens(ofRow row: Int32) -> ArraySlice<Int32> { [] }
}

/// The model and user that a call names.
package struct CallTarget: Sendable, Equatable {
    /// nil: the default model.
    package var model: String?
    /// nil: chosen by the model's split.
    package var version: String?
    package var userID: String?

    /// The default model, without a user.
    package init() {}
}

/// Provides the items of a call's model, from one or several models.
package protocol ItemSource {
    associatedtype Items: ItemLookup
    /// The items of the model chosen last; at first, those of any model.
    var items: Items { get }
    /// Whether there are several models to choose from. The target is then read before the rest of the call.
    var hasChoice: Bool { get }
    /// Chooses the model of a call.
    mutating func choose(_ target: CallTarget) throws(CallError)
    /// Ends a call of a batch.
    mutating func endCall()
}
