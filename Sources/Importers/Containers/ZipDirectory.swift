// Parses the records of a zip archive: end record, zip64 end record, central directory, local headers, data
// descriptors. Field names are APPNOTE's; the rest of the module uses only `ZipArchive`.

internal import Files
internal import JSON
import Models

/// Parses one archive; reads only its records.
struct ZipDirectory {
    private enum Signature {
        static let localHeader: UInt32 = 0x0403_4B50
        static let centralHeader: UInt32 = 0x0201_4B50
        static let dataDescriptor: UInt32 = 0x0807_4B50
        static let end: UInt32 = 0x0605_4B50
        static let zip64End: UInt32 = 0x0606_4B50
        static let zip64Locator: UInt32 = 0x0706_4B50
    }

    private enum Flag {
        static let encrypted: UInt16 = 1 << 0 | 1 << 6 | 1 << 13
        static let dataDescriptor: UInt16 = 1 << 3
        /// Deflate's hints, the data descriptor, UTF-8 names.
        static let allowed: UInt16 = 1 << 1 | 1 << 2 | 1 << 3 | 1 << 11
    }

    private static let localHeaderByteCount = 30
    private static let endByteCount = 22
    private static let zip64EndByteCount = 56
    private static let zip64LocatorByteCount = 20

    /// The range of the central directory.
    private struct Location {
        var entryCount: Int
        var range: Range<Int>
    }

    /// The facts that an entry's central and local headers both state.
    private struct Header {
        var flags: UInt16
        var method: UInt16
        var crc32: UInt32
        var compressedSize: UInt64
        var size: UInt64
        var localOffset: UInt64 = 0
        var name: [UInt8]
    }

    let file: InputFile

    /// A reader of a piece of the archive, clamped to the archive's end.
    private func reader(_ start: Int, count: Int) throws -> LittleEndianReader {
        let start = min(max(start, 0), file.byteCount)
        return LittleEndianReader(try file.read(start..<min(start + count, file.byteCount)), at: start)
    }

    /// All entries, each checked against its local header and against overlap.
    func readEntries() throws(ImportError) -> [ZipArchive.Entry] {
        do {
            return try readAll()
        } catch let error as ImportError {
            throw error
        } catch let error as FileError {
            throw ImportError(error)
        } catch {
            throw malformed("a record extends past its end")
        }
    }

    private func malformed(_ reason: String) -> ImportError {
        ImportError(.malformed, "\(file.path): damaged zip archive: \(reason)")
    }

    // Untyped, because it throws `EndOfBytes`, `FileError` and `ImportError`.
    private func readAll() throws -> [ZipArchive.Entry] {
        let location = try findDirectory()
        guard location.range.count <= ZipArchive.Limit.directoryBytes else {
            throw malformed("the directory has \(location.range.count) bytes")
        }
        var reader = try reader(location.range.lowerBound, count: location.range.count)
        var entries: [ZipArchive.Entry] = []
        var extents: [(start: Int, end: Int, name: String)] = []
        var total = 0
        for _ in 0..<location.entryCount {
            let header = try readCentralHeader(&reader)
            let name = try checkName(header.name)
            let (entry, extent) = try checkEntry(header, name: name, limit: location.range.lowerBound)
            if entry.method == .deflated { total += entry.size }
            guard total <= ZipArchive.Limit.inflatedBytes else {
                throw malformed("it inflates to more than \(ZipArchive.Limit.inflatedBytes) bytes")
            }
            extents.append((extent.lowerBound, extent.upperBound, name))
            entries.append(entry)
        }
        guard reader.remaining == 0 else { throw malformed("there are bytes after the last entry of the directory") }
        extents.sort { $0.start < $1.start }
        for (left, right) in zip(extents, extents.dropFirst()) where left.end > right.start {
            throw malformed("the entries \(quoted(left.name)) and \(quoted(right.name)) overlap")
        }
        return entries
    }

    // MARK: - End records

    private func findDirectory() throws -> Location {
        // The end record is last in the file, followed only by a comment whose length it states.
        var position = file.byteCount - Self.endByteCount
        let lowest = max(0, position - Int(UInt16.max))
        let tail = try reader(lowest, count: file.byteCount - lowest)
        while position >= lowest, var reader = tail.moved(to: position) {
            if try reader.integer(UInt32.self) == Signature.end {
                try reader.skip(16)
                if try Int(reader.integer(UInt16.self)) == reader.remaining {
                    return try readEnd(at: position)
                }
            }
            position -= 1
        }
        throw malformed("it has no end record: it is cut short or not a zip archive")
    }

    private func readEnd(at position: Int) throws -> Location {
        var reader = try reader(position + 4, count: Self.endByteCount - 4)
        let disk = try reader.integer(UInt16.self)
        let directoryDisk = try reader.integer(UInt16.self)
        let diskEntries = try reader.integer(UInt16.self)
        let entryCount = try reader.integer(UInt16.self)
        let size = try reader.integer(UInt32.self)
        let offset = try reader.integer(UInt32.self)
        let zip64 = try readZip64End(before: position)

        // A field of the old record is either the value or all ones, which means that the zip64 record has it.
        func value(_ old: UInt64, _ allOnes: UInt64, _ new: UInt64?) throws -> UInt64 {
            guard let new else {
                if old == allOnes { throw malformed("a zip64 end record is missing") }
                return old
            }
            guard old == allOnes || old == new else { throw malformed("its two end records disagree") }
            return new
        }
        guard disk == 0 || disk == UInt16.max, directoryDisk == disk, diskEntries == entryCount else {
            throw malformed("multi-part archives are not supported")
        }
        let ones16 = UInt64(UInt16.max)
        let ones32 = UInt64(UInt32.max)
        let count = try value(UInt64(entryCount), ones16, zip64?.entryCount)
        let directorySize = try value(UInt64(size), ones32, zip64?.size)
        let directoryOffset = try value(UInt64(offset), ones32, zip64?.offset)
        guard count <= UInt64(ZipArchive.Limit.entries) else { throw malformed("it has too many entries, \(count)") }
        let end = zip64?.position ?? position
        let (sum, overflow) = directoryOffset.addingReportingOverflow(directorySize)
        guard !overflow, sum == UInt64(end) else {
            throw malformed("the directory does not end where the end record begins")
        }
        return Location(entryCount: Int(count), range: Int(directoryOffset)..<end)
    }

    private struct Zip64End {
        var position: Int
        var entryCount: UInt64
        var size: UInt64
        var offset: UInt64
    }

    private func readZip64End(before end: Int) throws -> Zip64End? {
        let locator = end - Self.zip64LocatorByteCount
        guard locator >= 0 else { return nil }
        var reader = try self.reader(locator, count: Self.zip64LocatorByteCount)
        guard try reader.integer(UInt32.self) == Signature.zip64Locator else { return nil }
        let disk = try reader.integer(UInt32.self)
        let offset = try reader.integer(UInt64.self)
        let diskCount = try reader.integer(UInt32.self)
        guard disk == 0, diskCount <= 1 else { throw malformed("multi-part archives are not supported") }
        guard offset <= UInt64(locator), Int(offset) <= locator - Self.zip64EndByteCount else {
            throw malformed("the zip64 end record lies outside the file")
        }
        let position = Int(offset)
        reader = try self.reader(position, count: Self.zip64EndByteCount)
        guard try reader.integer(UInt32.self) == Signature.zip64End else {
            throw malformed("the zip64 end record is missing")
        }
        let recordSize = try reader.integer(UInt64.self)
        guard recordSize == UInt64(locator - position - 12) else {
            throw malformed("the zip64 end record has the wrong size")
        }
        try reader.skip(4)
        let thisDisk = try reader.integer(UInt32.self)
        let directoryDisk = try reader.integer(UInt32.self)
        let diskEntries = try reader.integer(UInt64.self)
        let entryCount = try reader.integer(UInt64.self)
        guard thisDisk == 0, directoryDisk == 0, diskEntries == entryCount else {
            throw malformed("multi-part archives are not supported")
        }
        let size = try reader.integer(UInt64.self)
        return Zip64End(position: position, entryCount: entryCount, size: size, offset: try reader.integer())
    }

    // MARK: - Entries

    private func readCentralHeader(_ reader: inout LittleEndianReader) throws -> Header {
        guard try reader.integer(UInt32.self) == Signature.centralHeader else {
            throw malformed("an entry of the directory has no entry signature")
        }
        try reader.skip(4)
        let flags = try reader.integer(UInt16.self)
        let method = try reader.integer(UInt16.self)
        try reader.skip(4)
        let crc32 = try reader.integer(UInt32.self)
        let compressedSize = try reader.integer(UInt32.self)
        let size = try reader.integer(UInt32.self)
        let nameLength = try reader.integer(UInt16.self)
        let extraLength = try reader.integer(UInt16.self)
        let commentLength = try reader.integer(UInt16.self)
        let disk = try reader.integer(UInt16.self)
        try reader.skip(6)
        let offset = try reader.integer(UInt32.self)
        let name = Array(try reader.take(Int(nameLength)))
        let extra = try reader.take(Int(extraLength))
        try reader.skip(Int(commentLength))
        guard disk == 0 || disk == UInt16.max else { throw malformed("multi-part archives are not supported") }
        var sizes = [UInt64(size), UInt64(compressedSize), UInt64(offset)]
        try widen(&sizes, from: extra)
        return Header(
            flags: flags,
            method: method,
            crc32: crc32,
            compressedSize: sizes[1],
            size: sizes[0],
            localOffset: sizes[2],
            name: name
        )
    }

    /// Replaces values that are all ones with those of the zip64 extra field, which lists only these, in order.
    private func widen(_ values: inout [UInt64], from extra: UnsafeRawBufferPointer) throws {
        var reader = LittleEndianReader(extra)
        var isWidened = false
        while reader.remaining >= 4 {
            let identifier = try reader.integer(UInt16.self)
            var field = LittleEndianReader(try reader.take(Int(reader.integer(UInt16.self))))
            guard identifier == 1 else { continue }
            guard !isWidened else { throw malformed("an entry has two zip64 fields") }
            isWidened = true
            for index in values.indices where values[index] == UInt64(UInt32.max) {
                values[index] = try field.integer(UInt64.self)
            }
        }
        guard isWidened || !values.contains(UInt64(UInt32.max)) else {
            throw malformed("an entry lacks its zip64 field")
        }
    }

    private func checkName(_ bytes: [UInt8]) throws -> String {
        let name = String(decoding: bytes, as: UTF8.self)
        let isPlain =
            String(validating: bytes, as: UTF8.self) != nil
            && bytes.allSatisfy { $0 >= 0x20 && $0 != 0x7F && $0 != UInt8(ascii: "\\") }
        // A folder's entry ends in a slash, so the last part may be empty.
        let parts = name.split(separator: "/", omittingEmptySubsequences: false)
        let folders = parts.count > 1 && parts.last?.isEmpty == true ? parts.dropLast() : parts[...]
        guard isPlain, folders.allSatisfy({ !$0.isEmpty && $0 != "." && $0 != ".." }) else {
            throw malformed("the entry name \(quoted(name)) is not a plain path")
        }
        return name
    }

    /// Checks an entry against its local header.
    ///
    /// - Parameter limit: the start of the directory; entries end before it.
    /// - Returns: the entry, and the range of all its bytes: local header, content, data descriptor.
    private func checkEntry(
        _ header: Header,
        name: String,
        limit: Int
    ) throws -> (entry: ZipArchive.Entry, extent: Range<Int>) {
        let entryName = quoted(name)
        guard header.flags & Flag.encrypted == 0 else { throw malformed("the entry \(entryName) is encrypted") }
        guard header.flags & ~Flag.allowed == 0 else {
            throw malformed("the entry \(entryName) has flags that are not supported")
        }
        guard let method = ZipArchive.Method(rawValue: header.method) else {
            throw malformed("the entry \(entryName) is compressed by method \(header.method), not stored or deflated")
        }
        guard header.compressedSize <= UInt64(limit), header.localOffset <= UInt64(limit) else {
            throw malformed("the entry \(entryName) extends past the end of the archive")
        }
        let compressedSize = Int(header.compressedSize)
        switch method {
        case .stored:
            guard header.size == header.compressedSize else {
                throw malformed("the entry \(entryName) is stored, but states two different sizes")
            }
        case .deflated:
            guard header.size / ZipArchive.Limit.ratio <= header.compressedSize else {
                throw malformed(
                    "the entry \(entryName) claims to inflate from \(compressedSize) to \(header.size) bytes"
                )
            }
        }

        let start = Int(header.localOffset)
        let (local, contentStart) = try readLocalHeader(at: start, limit: limit, entryName: entryName)
        let hasDescriptor = header.flags & Flag.dataDescriptor != 0
        let agrees =
            local.flags == header.flags && local.method == header.method && local.name == header.name
            && (local.crc32 == header.crc32 || hasDescriptor && local.crc32 == 0)
            && (local.size == header.size || hasDescriptor && local.size == 0)
            && (local.compressedSize == header.compressedSize || hasDescriptor && local.compressedSize == 0)
        guard agrees else { throw malformed("the two headers of the entry \(entryName) disagree") }
        guard compressedSize <= limit - contentStart else {
            throw malformed("the entry \(entryName) extends past the end of the archive")
        }
        let contentEnd = contentStart + compressedSize
        let end = hasDescriptor ? try descriptorEnd(at: contentEnd, limit, header, entryName: entryName) : contentEnd
        let entry = ZipArchive.Entry(
            name: name,
            method: method,
            crc32: header.crc32,
            size: Int(header.size),
            range: contentStart..<contentEnd
        )
        return (entry, start..<end)
    }

    /// - Returns: the header, and the start of the content.
    private func readLocalHeader(at start: Int, limit: Int, entryName: String) throws -> (Header, Int) {
        var reader = try reader(start, count: min(Self.localHeaderByteCount, limit - start))
        guard try reader.integer(UInt32.self) == Signature.localHeader else {
            throw malformed("there is no entry where the directory places \(entryName)")
        }
        try reader.skip(2)
        let flags = try reader.integer(UInt16.self)
        let method = try reader.integer(UInt16.self)
        try reader.skip(4)
        let crc32 = try reader.integer(UInt32.self)
        let compressedSize = try reader.integer(UInt32.self)
        let size = try reader.integer(UInt32.self)
        let nameLength = Int(try reader.integer(UInt16.self))
        let extraLength = Int(try reader.integer(UInt16.self))
        let nameStart = reader.position
        reader = try self.reader(nameStart, count: min(nameLength + extraLength, limit - nameStart))
        let name = Array(try reader.take(nameLength))
        var sizes = [UInt64(size), UInt64(compressedSize)]
        try widen(&sizes, from: reader.take(extraLength))
        let header = Header(
            flags: flags,
            method: method,
            crc32: crc32,
            compressedSize: sizes[1],
            size: sizes[0],
            name: name
        )
        return (header, reader.position)
    }

    /// The end of the data descriptor, which follows an entry of a size unknown when its header was written. Its sizes
    /// have four or eight bytes and its signature may be missing; the form that agrees with the directory is right.
    private func descriptorEnd(at start: Int, _ limit: Int, _ header: Header, entryName: String) throws -> Int {
        let record = try reader(start, count: min(24, limit - start))
        for hasSignature in [true, false] {
            for isWide in [true, false] {
                var attempt = record
                let matches = try? {
                    if hasSignature, try attempt.integer(UInt32.self) != Signature.dataDescriptor { return false }
                    guard try attempt.integer(UInt32.self) == header.crc32 else { return false }
                    let compressedSize = try isWide ? attempt.integer() : UInt64(attempt.integer(UInt32.self))
                    let size = try isWide ? attempt.integer() : UInt64(attempt.integer(UInt32.self))
                    return compressedSize == header.compressedSize && size == header.size
                }()
                if matches == true { return attempt.position }
            }
        }
        throw malformed("the data descriptor of the entry \(entryName) disagrees with its header")
    }
}
