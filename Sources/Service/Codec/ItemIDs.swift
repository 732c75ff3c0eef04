// How the codec reaches a catalogue: ids in, rows out, and back. Protocols, so that the codec is tested without a model; the
// catalogue of a loaded bundle conforms.

package import Catalogue

/// Resolves what a request names to catalogue rows. Called while a body is scanned, on the connection's thread.
package protocol ItemLookup {
    /// The row of the item with this id, nil when there is none; `"17"` is 17 where ids are integers, and 17 is `"17"` where they
    /// are strings.
    func row(of key: ItemKey) -> Int32?
    /// The rows of the items with these ids, as many as keys, 0 where there is none.
    func rows(of keys: UnsafeBufferPointer<ItemKey>, into rows: UnsafeMutableBufferPointer<Int32>)
    /// The number of a tag, nil if no item has it. The bytes are UTF-8 and valid only during the call.
    func tag(utf8: UnsafeBufferPointer<UInt8>) -> Int32?
}

/// Writes the ids of catalogue rows.
package protocol ItemIDWriter {
    /// Appends the id of a row as JSON: a string with quotes and escapes, or an integer.
    func appendID(ofRow row: Int32, to json: inout [UInt8])
    /// Whether the row is an item that may not be recommended at present.
    func isWithdrawn(_ row: Int32) -> Bool
    /// The tokens of a row's path; empty where items have none.
    func tokens(ofRow row: Int32) -> ArraySlice<Int32>
}

extension ItemIDWriter {
    package func isWithdrawn(_ row: Int32) -> Bool { false }
    package func tokens(ofRow row: Int32) -> ArraySlice<Int32> { [] }
}

/// The model that a call names.
package struct CallTarget: Sendable, Equatable {
    /// nil: the default model.
    package var model: String?
    /// nil: as the requests are divided.
    package var version: String?
    package var userID: String?

    /// The default model, without a user.
    package init() {}
}

/// The source of the items of a call's model, one of one or several.
package protocol ItemSource {
    associatedtype Items: ItemLookup
    /// Of the model that was chosen last; at first of any.
    var items: Items { get }
    /// Whether the model depends on the call's target. The target is then read before the rest of the call.
    var hasChoice: Bool { get }
    /// Chooses the model of a call.
    mutating func choose(_ target: CallTarget) throws(CallError)
    /// A call of a batch has been read; others follow.
    mutating func endCall()
}
