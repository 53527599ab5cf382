// How much memory a program takes while it is loaded and run, as the system counts it.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstring>

#ifdef __linux__
#include <malloc.h>
#endif

namespace phonebook {

/** From its construction on, whatever other programs the process ran before. */
class PeakMemory {
 public:
  PeakMemory() {
    if (give_back_freed() && forget_peak()) before_bytes_ = status_bytes("VmRSS:");
  }

  /** The most that was added at any moment; negative where the system does not tell. */
  int64_t added_bytes() const {
    const int64_t peak_bytes = status_bytes("VmHWM:");
    return before_bytes_ < 0 || peak_bytes < 0 ? -1 : peak_bytes - before_bytes_;
  }

 private:
  /**
   * Memory that programs before freed, and the process still has, would serve this one uncounted.
   * Returns false where nothing is known of it.
   */
  static bool give_back_freed() {
#if defined(__GLIBC__)
    malloc_trim(0);
    return true;
#elif defined(__ANDROID__) && __ANDROID_API__ >= 28
    return mallopt(M_PURGE, 0) == 1;
#else
    return false;
#endif
  }

  /** Makes the peak what there is now. */
  static bool forget_peak() {
    std::FILE* const file = std::fopen("/proc/self/clear_refs", "w");
    if (file == nullptr) return false;
    const bool is_written = std::fputs("5", file) >= 0;
    return std::fclose(file) == 0 && is_written;
  }

  static int64_t status_bytes(const char* field) {
    std::FILE* const file = std::fopen("/proc/self/status", "r");
    if (file == nullptr) return -1;
    char line[256];
    long long kib = -1;
    while (std::fgets(line, sizeof line, file) != nullptr) {
      if (std::strncmp(line, field, std::strlen(field)) != 0) continue;
      if (std::sscanf(line + std::strlen(field), "%lld", &kib) != 1) kib = -1;
      break;
    }
    std::fclose(file);
    return kib < 0 ? -1 : int64_t{kib} * 1024;
  }

  int64_t before_bytes_ = -1;
};

}  // namespace phonebook
