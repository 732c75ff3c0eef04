// Folders that the program makes for itself.

import Glibc

/// Makes a folder if it is not there, and those that it is in. Only the owner may use what is made.
///
/// - Throws: `FileError` that names the folder that cannot be made, or what is not one.
package func makeFolder(_ path: String) throws(FileError) {
    var made = path.hasPrefix("/") ? "" : "."
    for part in path.split(separator: "/") {
        made += "/" + part
        guard mkdir(made, 0o700) != 0, errno != EEXIST else { continue }
        throw FileError(cannot: "make the folder", path, errno)
    }
    var status = stat()
    guard stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFDIR else {
        throw FileError(cannot: "make the folder", path, ENOTDIR)
    }
}

/// Why a folder can neither be used nor made: something in its path is no folder. Nil if nothing is.
package func faultOfFolder(_ path: String) -> String? {
    var known = path.hasPrefix("/") ? "/" : "."
    for part in path.split(separator: "/") {
        known += "/" + part
        var status = stat()
        // What is not there can be made.
        guard stat(known, &status) == 0 else { return nil }
        guard status.st_mode & S_IFMT == S_IFDIR else { return "\(path) cannot be a folder: a file is in its way" }
    }
    return nil
}
