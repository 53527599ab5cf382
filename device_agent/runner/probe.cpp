#include "probe.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdlib>
#include <new>

#ifdef __linux__
#include <sys/mman.h>
#endif

#include "clock.h"

namespace phonebook {
namespace {

typedef uint32_t Vector __attribute__((vector_size(16)));

constexpr size_t kBufferBytes = 64 * 1024;  // as a rule beyond the first cache, within the second
constexpr size_t kStreamedBytes = 6 * 1024 * 1024;  // about 50 us of work on a server's core
constexpr size_t kCacheLine = 64;
constexpr size_t kVectors = kBufferBytes / sizeof(Vector);
constexpr size_t kMemoryBytes = 32 * 1024 * 1024;
constexpr size_t kHugePage = 2 * 1024 * 1024;

/** Filled, since pages that were never written to may all be one page of zeros. */
struct Buffer {
  Buffer() { vectors.fill(Vector{1, 2, 3, 4}); }
  alignas(kCacheLine) std::array<Vector, kVectors> vectors;
};

/**
 * In huge pages where the system has them: where small ones lie in memory differs from process to
 * process, and with it which of them share a place in the caches.
 */
Vector* memory() {
  void* pages = nullptr;
  if (posix_memalign(&pages, kHugePage, kMemoryBytes) != 0) throw std::bad_alloc();
#ifdef __linux__
  madvise(pages, kMemoryBytes, MADV_HUGEPAGE);
#endif
  auto* const vectors = static_cast<Vector*>(pages);
  std::fill_n(vectors, kMemoryBytes / sizeof(Vector), Vector{1, 2, 3, 4});
  return vectors;
}

/** Sums the vectors as often as told, four sums at once so that no addition waits for another. */
void stream(const Vector* vectors, size_t count, size_t passes) {
  Vector sums[4] = {};
  for (size_t pass = 0; pass < passes; ++pass) {
    for (size_t index = 0; index < count; index += 4) {
      for (size_t part = 0; part < 4; ++part) sums[part] += vectors[index + part];
    }
    // The compiler must take them for changed, and so read them again in the next pass.
    asm volatile("" : : "r"(vectors) : "memory");
  }
  const Vector sum = sums[0] + sums[1] + sums[2] + sums[3];
  // ... and the sum for used.
  asm volatile("" : : "r"(&sum) : "memory");
}

}  // namespace

int64_t probe_ns() {
  static Buffer buffer;
  // Untimed: what ran before left its own data in the caches, more or less of it.
  stream(buffer.vectors.data(), kVectors, 1);
  const int64_t began_ns = now_ns();
  stream(buffer.vectors.data(), kVectors, kStreamedBytes / kBufferBytes);
  return now_ns() - began_ns;
}

int64_t memory_probe_ns() {
  static const Vector* const vectors = memory();
  const int64_t began_ns = now_ns();
  stream(vectors, kMemoryBytes / sizeof(Vector), 1);
  return now_ns() - began_ns;
}

}  // namespace phonebook
