// The CPUs that this process may use: bound to some, and read back, since a system may move it.
#pragma once

#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#ifdef __linux__
#include <dirent.h>
#include <sched.h>
#endif

#include "answers.h"

namespace phonebook {

using Cpus = std::vector<int64_t>;

#ifdef __linux__

/** Those of one thread, 0 is this one; none where it has just ended. */
inline Cpus cpus_of(pid_t thread) {
  cpu_set_t set;
  CPU_ZERO(&set);
  Cpus cpus;
  if (sched_getaffinity(thread, sizeof set, &set) != 0) return cpus;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &set)) cpus.push_back(cpu);
  }
  return cpus;
}

/** Those of the first thread that has others than `home`; `home` where none has. */
inline Cpus cpus_now(const Cpus& home) {
  DIR* const tasks = opendir("/proc/self/task");
  if (tasks == nullptr) return cpus_of(0);
  Cpus found = home;
  while (const dirent* const task = readdir(tasks)) {
    const int thread = std::atoi(task->d_name);
    if (thread == 0) continue;
    const Cpus cpus = cpus_of(thread);
    if (!cpus.empty() && cpus != home) {
      found = cpus;
      break;
    }
  }
  closedir(tasks);
  return found;
}

/** Throws Failure where the system does not grant all of them. */
inline void bind_to(const uint32_t* cpus, size_t count) {
  cpu_set_t set;
  CPU_ZERO(&set);
  for (size_t index = 0; index < count; ++index) {
    if (cpus[index] >= CPU_SETSIZE) {
      throw Failure("run_failed", "there is no CPU " + std::to_string(cpus[index]));
    }
    CPU_SET(cpus[index], &set);
  }
  if (sched_setaffinity(0, sizeof set, &set) != 0) {
    throw Failure("run_failed", std::string("binding to the CPUs: ") + std::strerror(errno));
  }
  // The kernel grants what it may of them, without a word.
  const Cpus granted = cpus_of(0);
  if (granted.size() != static_cast<size_t>(CPU_COUNT(&set))) {
    throw Failure("run_failed", "of the CPUs to bind to, the system grants " + list(granted));
  }
}

#else

inline Cpus cpus_of(int) { return {}; }

inline Cpus cpus_now(const Cpus&) { return {}; }

[[noreturn]] inline void bind_to(const uint32_t*, size_t) {
  throw Failure("run_failed", "this system cannot bind a program to CPUs");
}

#endif

}  // namespace phonebook
