#include "probe.h"

#include <array>
#include <cstddef>

#include "clock.h"

namespace phonebook {
namespace {

typedef uint32_t Vector __attribute__((vector_size(16)));

constexpr size_t kBufferBytes = 64 * 1024;  // as a rule beyond the first cache, within the second
constexpr size_t kStreamedBytes = 6 * 1024 * 1024;  // about 50 us of work on a server's core
constexpr size_t kCacheLine = 64;
constexpr size_t kVectors = kBufferBytes / sizeof(Vector);

/** Filled, since pages that were never written to may all be one page of zeros. */
struct Buffer {
  Buffer() { vectors.fill(Vector{1, 2, 3, 4}); }
  alignas(kCacheLine) std::array<Vector, kVectors> vectors;
};

/** Sums the buffer as often as told, four sums at once so that no addition waits for another. */
void stream(const Buffer& buffer, size_t passes) {
  Vector sums[4] = {};
  for (size_t pass = 0; pass < passes; ++pass) {
    for (size_t index = 0; index < kVectors; index += 4) {
      for (size_t part = 0; part < 4; ++part) sums[part] += buffer.vectors[index + part];
    }
    // The compiler must take the buffer for changed, and so read it again in the next pass.
    asm volatile("" : : "r"(&buffer) : "memory");
  }
  const Vector sum = sums[0] + sums[1] + sums[2] + sums[3];
  // ... and the sum for used.
  asm volatile("" : : "r"(&sum) : "memory");
}

}  // namespace

int64_t probe_ns() {
  static Buffer buffer;
  // Untimed: what ran before left its own data in the caches, more or less of it.
  stream(buffer, 1);
  const int64_t began_ns = now_ns();
  stream(buffer, kStreamedBytes / kBufferBytes);
  return now_ns() - began_ns;
}

}  // namespace phonebook
