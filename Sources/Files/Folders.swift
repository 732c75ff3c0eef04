// Creates the program's own folders.

import Glibc

/// Creates a folder and its parents if missing, all accessible only to the owner.
///
/// - Throws: `FileError` that names the folder if it cannot be created or is not a folder.
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

/// Why a folder can be neither used nor created: something in its path is not a folder. nil if there is no such
/// obstacle.
package func faultOfFolder(_ path: String) -> String? {
    var known = path.hasPrefix("/") ? "/" : "."
    for part in path.split(separator: "/") {
        known += "/" + part
        var status = stat()
        // Missing parts can be created.
        guard stat(known, &status) == 0 else { return nil }
        guard status.st_mode & S_IFMT == S_IFDIR else {
            return "\(path) cannot be a folder: a file with that name exists"
        }
    }
    return nil
}
