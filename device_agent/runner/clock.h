// The clock that everything in this process is timed by.
#pragma once

#include <chrono>
#include <cstdint>

#ifdef __APPLE__
#include <time.h>
#endif

namespace phonebook {

inline int64_t now_ns() {
#ifdef __APPLE__
  // The steady clock of Apple's library goes on while the device sleeps, and reads slower.
  return static_cast<int64_t>(clock_gettime_nsec_np(CLOCK_UPTIME_RAW));
#else
  using std::chrono::nanoseconds;
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration_cast<nanoseconds>(now).count();
#endif
}

}  // namespace phonebook
