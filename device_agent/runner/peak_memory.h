// How much memory a program takes while it is loaded and run, as the system counts it.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstring>

#ifdef __linux__
#include <malloc.h>
#endif

namespace phonebook {

/** From its construction on; what others freed before is given back first. */
class PeakMemory {
 public:
  PeakMemory() {
#if defined(__GLIBC__)
    malloc_trim(0);
#elif defined(__ANDROID__)
    mallopt(M_PURGE, 0);
#endif
    if (forget_peak()) before_bytes_ = status_bytes("VmRSS:");
  }

  /** The most that was added at any moment; negative where the system does not tell. */
  int64_t added_bytes() const {
    const int64_t peak_bytes = status_bytes("VmHWM:");
    return before_bytes_ < 0 || peak_bytes < 0 ? -1 : peak_bytes - before_bytes_;
  }

 private:
  /** Makes the peak what there is now. */
  static bool forget_peak() {
    FILE* const file = std::fopen("/proc/self/clear_refs", "w");
    if (file == nullptr) return false;
    const bool is_written = std::fputs("5", file) >= 0;
    return std::fclose(file) == 0 && is_written;
  }

  static int64_t status_bytes(const char* field) {
    FILE* const file = std::fopen("/proc/self/status", "r");
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
