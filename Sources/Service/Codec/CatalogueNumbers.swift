// Gives the user store a catalogue's numbers for the items and actions of stored events.

package import Catalogue
internal import Users

extension Catalogue: EventNumbers {
    package func row(ofItem text: UnsafeBufferPointer<UInt8>) -> Int32? { row(ofString: text) }

    package func fingerprint(ofAction text: UnsafeBufferPointer<UInt8>) -> UInt64 {
        ActionFingerprint.of(stored: text)
    }
}
