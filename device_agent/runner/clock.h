// The clock that everything in this process is timed by.
#pragma once

#include <chrono>
#include <cstdint>

namespace phonebook {

inline int64_t now_ns() {
  using std::chrono::nanoseconds;
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration_cast<nanoseconds>(now).count();
}

}  // namespace phonebook
