// Writing answers: just enough JSON for what the runner says.
#pragma once

#include <cstdint>
#include <cstdio>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace phonebook {

/** Why a job has no timing; `code` is one of contract/timings.py's FailureCode. */
struct Failure : std::runtime_error {
  Failure(const char* code, const std::string& message) : runtime_error(message), code(code) {}
  const char* code;
};

/** The text as JSON; what is not ASCII becomes `?`, so that any bytes at all give valid JSON. */
inline std::string quoted(std::string_view text) {
  std::string json = "\"";
  for (const char character : text) {
    const auto byte = static_cast<unsigned char>(character);
    if (character == '"' || character == '\\') {
      json += {'\\', character};
    } else if (byte < ' ') {
      char escaped[7];
      std::snprintf(escaped, sizeof escaped, "\\u%04x", byte);
      json += escaped;
    } else {
      json += byte < 0x80 ? character : '?';
    }
  }
  return json + '"';
}

template <typename Items, typename Write>
std::string list(const Items& items, Write write) {
  std::string json = "[";
  for (const auto& item : items) {
    if (json.size() > 1) json += ", ";
    json += write(item);
  }
  return json + ']';
}

inline std::string list(const std::vector<int64_t>& numbers) {
  return list(numbers, [](int64_t number) { return std::to_string(number); });
}

inline std::string error_answer(const char* code, const char* message) {
  return "{\"error\": " + quoted(code) + ", \"message\": " + quoted(message) + "}";
}

}  // namespace phonebook
