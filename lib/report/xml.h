#pragma once

#include <string>
#include <string_view>

namespace meshproof {

// Text of an XML 1.0 document. Control characters that XML cannot write and bytes that are not
// UTF-8 become U+FFFD; line breaks become `&#10;`, so that attributes keep them.
std::string XmlText(std::string_view text);
// ` name="value"`.
std::string XmlAttribute(std::string_view name, std::string_view value);

}  // namespace meshproof
