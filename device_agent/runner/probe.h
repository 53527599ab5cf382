// Fixed amounts of work, to tell how disturbed the device is.
#pragma once

#include <cstdint>

namespace phonebook {

/**
 * How long it takes now, in ns, to stream through a small buffer on the calling thread.
 *
 * On a calm device every process takes the same time. Whoever competes for the core or for its
 * caches makes it longer, as they do a program's runs, even where the clock is steady.
 */
int64_t probe_ns();

/**
 * How long it takes now, in ns, to stream once through a buffer that no core's own cache holds.
 *
 * It reaches the cache that all cores share, or memory where neighbours have taken that cache, as
 * a network's weights and images do. It takes milliseconds and leaves its own data in the caches.
 */
int64_t memory_probe_ns();

}  // namespace phonebook
