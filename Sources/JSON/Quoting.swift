// Text from files in error messages. A message is one line of a terminal or log: nothing in a file may break the line,
// move the cursor or fill the screen.

/// The text in double quotes, with control characters escaped, truncated after 96 characters.
package func quoted(_ text: some StringProtocol) -> String {
    var result = "\""
    var count = 0
    for scalar in text.unicodeScalars {
        if count == 96 {
            result += "…"
            break
        }
        switch scalar.properties.generalCategory {
        case .control, .format, .lineSeparator, .paragraphSeparator:
            result += "\\u{\(String(scalar.value, radix: 16))}"
        default:
            if scalar == "\"" || scalar == "\\" { result += "\\" }
            result.unicodeScalars.append(scalar)
        }
        count += 1
    }
    return result + "\""
}
