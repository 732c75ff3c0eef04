// The text of an errno, for error sentences.

import Glibc

/// The system's text for an `errno`.
package func systemErrorText(_ code: Int32) -> String {
    guard let text = strerror(code) else { return "error \(code)" }
    return String(cString: text)
}
