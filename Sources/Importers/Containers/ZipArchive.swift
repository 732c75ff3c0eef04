// Reads zip archives (APPNOTE 6.3.10: stored and deflated entries, zip64, data descriptors), as written by PyTorch and
// Python's zipfile. Nothing is extracted to disk.
//
// Malicious archives exploit readers that disagree. The whole directory is therefore checked before anything is read:
// the central directory must be where the end record says, every local header must agree with it, and entries may not
// overlap each other or the directory.

internal import Files
internal import JSON
import Models

/// The directory of a zip archive.
struct ZipArchive {
    enum Method: UInt16 {
        case stored = 0
        case deflated = 8
    }

    struct Entry {
        let name: String
        let method: Method
        let crc32: UInt32
        /// Bytes after inflating.
        let size: Int
        /// The entry's bytes in the archive.
        let range: Range<Int>
    }

    /// Bounds that no honest checkpoint reaches.
    enum Limit {
        static let entries = 1 << 20
        static let directoryBytes = 256 << 20
        /// Total size of the deflated entries after inflating.
        static let inflatedBytes = 64 << 30
        /// The deflate format cannot compress better than 1032 to 1.
        static let ratio: UInt64 = 1032
    }

    let file: InputFile
    /// In the order of the central directory.
    let entries: [Entry]
    private let indices: [String: Int]

    /// Reads and checks the directory.
    ///
    /// - Throws: `ImportError` that names the archive and the entry.
    init(_ file: InputFile) throws(ImportError) {
        self.file = file
        entries = try ZipDirectory(file: file).readEntries()
        var indices: [String: Int] = [:]
        for (index, entry) in entries.enumerated() {
            guard indices.updateValue(index, forKey: entry.name) == nil else {
                throw ImportError(.malformed, "\(file.path): the entry \(quoted(entry.name)) appears twice")
            }
        }
        self.indices = indices
    }

    subscript(name: String) -> Entry? { indices[name].map { entries[$0] } }

    /// An entry's content, inflated if necessary and checked against its CRC-32.
    ///
    /// - Throws: `ImportError.malformed` that names archive and entry; `.unreadable` if the archive has changed.
    func read(_ entry: Entry) throws(ImportError) -> OwnedBytes {
        let raw = try file.piece(entry.range)
        let content =
            switch entry.method {
            case .stored: raw
            case .deflated: raw.withBytes { inflated($0, size: entry.size) }
            }
        guard let content else {
            throw ImportError(
                .malformed,
                "\(file.path): the entry \(quoted(entry.name)) does not inflate to the \(entry.size) bytes that it states"
            )
        }
        guard content.withBytes({ crc32(of: $0) }) == entry.crc32 else {
            throw ImportError(.malformed, "\(file.path): the entry \(quoted(entry.name)) does not match its CRC-32")
        }
        return content
    }
}

extension InputFile {
    /// A part of the file, copied into memory.
    func piece(_ range: Range<Int>) throws(ImportError) -> OwnedBytes {
        do throws(FileError) {
            return try read(range)
        } catch {
            throw ImportError(error)
        }
    }
}
