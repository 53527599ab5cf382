#include "runner.h"

#include <executorch/runtime/platform/runtime.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "affinity.h"
#include "answers.h"
#include "clock.h"
#include "delegate_events.h"
#include "loaded_program.h"
#include "peak_memory.h"
#include "probe.h"

// ExecuTorch 1.5 exports these from its thread pool library and ships no header for them.
namespace executorch::extension::threadpool {
class ThreadPool final {
 public:
  size_t get_thread_count() const;
  bool _unsafe_reset_threadpool(uint32_t threads);
};
ThreadPool* get_threadpool();
}  // namespace executorch::extension::threadpool

struct phonebook_runner {
  phonebook_say say;
  void* listener;
  phonebook::Cpus cpus;  // as bound, or as found at the start
};

namespace phonebook {
namespace {

#ifdef __ANDROID__
constexpr const char* kRunner = "ndk";
#else
constexpr const char* kRunner = "native";
#endif
constexpr int64_t kHeartbeatNs = 1'000'000'000;

// Given without quotes, which not every build tool passes on unharmed.
#define PHONEBOOK_TEXT(words) #words
#define PHONEBOOK_TEXT_OF(macro) PHONEBOOK_TEXT(macro)
constexpr const char* kExecutorchVersion = PHONEBOOK_TEXT_OF(PHONEBOOK_EXECUTORCH_VERSION);

/** The smallest difference between two readings of the clock that is not zero. */
int64_t clock_step_ns() {
  int64_t smallest_ns = INT64_MAX;
  for (int reading = 0; reading < 1000; ++reading) {
    const int64_t before_ns = now_ns();
    int64_t after_ns = now_ns();
    while (after_ns == before_ns) after_ns = now_ns();
    smallest_ns = std::min(smallest_ns, after_ns - before_ns);
  }
  return smallest_ns;
}

void make_pool(uint32_t threads) {
  auto* pool = executorch::extension::threadpool::get_threadpool();
  if (pool == nullptr) {
    throw Failure("run_failed",
                  "ExecuTorch made no thread pool; it needs to read /proc/cpuinfo and "
                  "/sys/devices/system/cpu");
  }
  if (!pool->_unsafe_reset_threadpool(threads) || pool->get_thread_count() != threads) {
    throw Failure("run_failed", "the thread pool has " + std::to_string(pool->get_thread_count()) +
                                    " threads, not " + std::to_string(threads));
  }
}

/** Between runs: the job's deadline, a wish to stop, and a sign of life about once a second. */
class Watch {
 public:
  Watch(const phonebook_runner& runner, const phonebook_job& job)
      : runner_(runner), job_(job), began_ns_(now_ns()), spoke_ns_(began_ns_) {}

  int64_t elapsed_ns() const { return now_ns() - began_ns_; }

  void look(size_t samples) {
    const auto after = [&] { return ", after " + std::to_string(samples) + " timed runs"; };
    if (job_.is_stopped != nullptr && job_.is_stopped(runner_.listener)) {
      throw Failure("stopped", "stopped as told" + after());
    }
    const int64_t now = now_ns();
    if (now - began_ns_ >= job_.deadline_ns) {
      throw Failure("timed_out", "stopped at its deadline" + after());
    }
    if (now - spoke_ns_ >= kHeartbeatNs) {
      runner_.say(runner_.listener, "{\"alive\": true}");
      spoke_ns_ = now;
    }
  }

 private:
  const phonebook_runner& runner_;
  const phonebook_job& job_;
  const int64_t began_ns_;
  int64_t spoke_ns_;
};

std::string time_program(const phonebook_runner& runner, const phonebook_job& job) {
  const PeakMemory memory;
  Watch watch(runner, job);
  DelegateEvents tracer;
  LoadedProgram program(job.program, job.memory_format, job.trace ? &tracer : nullptr);
  const int64_t load_ns = watch.elapsed_ns();

  std::vector<int64_t> samples_ns;
  std::vector<int64_t> probes_ns;
  const auto run_once = [&] {
    watch.look(samples_ns.size());
    probes_ns.push_back(probe_ns());
    program.set_input();
    tracer.begin_run();
    const int64_t began_ns = now_ns();
    program.execute();
    const int64_t ended_ns = now_ns();
    tracer.end_run();
    return ended_ns - began_ns;
  };
  const int64_t memory_before_ns = memory_probe_ns();
  const int64_t first_run_ns = run_once();
  for (int64_t run = 1; run < job.warmup_runs; ++run) run_once();
  tracer.forget_samples();
  probes_ns.clear();
  const Cpus cpus_before = cpus_now(runner.cpus);

  int64_t timed_ns = 0;
  const auto is_enough = [&] {
    const auto runs = static_cast<int64_t>(samples_ns.size());
    return runs >= job.max_runs || (runs >= job.min_runs && timed_ns >= job.min_duration_ns);
  };
  while (!is_enough()) {
    const int64_t sample_ns = run_once();
    if (sample_ns <= 0) {
      throw Failure("bad_samples",
                    "a run took " + std::to_string(sample_ns) + " ns by the clock");
    }
    samples_ns.push_back(sample_ns);
    timed_ns += sample_ns;
  }
  probes_ns.push_back(probe_ns());
  const int64_t peak_bytes = memory.added_bytes();
  const std::vector<int64_t> memory_probes_ns{memory_before_ns, memory_probe_ns()};
  const Cpus cpus = cpus_before != runner.cpus ? cpus_before : cpus_now(runner.cpus);
  program.write_output(job.output);

  const auto event_answer = [](const Event& event) {
    return "{\"name\": " + quoted(event.name) +
           ", \"samples_ns\": " + list(event.samples_ns) + "}";
  };
  return "{\"samples_ns\": " + list(samples_ns) +
         ", \"probes_ns\": " + list(probes_ns) +
         ", \"memory_probes_ns\": " + list(memory_probes_ns) +
         ", \"first_run_ns\": " + std::to_string(first_run_ns) +
         ", \"load_ns\": " + std::to_string(load_ns) +
         (peak_bytes < 0 ? "" : ", \"peak_bytes\": " + std::to_string(peak_bytes)) +
         (cpus.empty() ? "" : ", \"cpus\": " + list(cpus)) +
         ", \"delegates\": " + list(program.delegates(), quoted) +
         ", \"events\": " + list(tracer.events(), event_answer) + "}";
}

}  // namespace
}  // namespace phonebook

phonebook_runner* phonebook_open(uint32_t threads, const uint32_t* cpus, size_t cpu_count,
                                 phonebook_say say, void* listener) {
  using namespace phonebook;
  try {
    // Before the pool exists: its threads inherit the CPUs.
    if (cpu_count > 0) bind_to(cpus, cpu_count);
    executorch::runtime::runtime_init();
    make_pool(threads);
    memory_probe_ns();  // makes its buffer now, so that it counts for no program
    const std::string ready = "{\"ready\": true, \"runner\": " + quoted(kRunner) +
                              ", \"threads\": " + std::to_string(threads) +
                              ", \"clock_step_ns\": " + std::to_string(clock_step_ns()) + "}";
    auto runner = std::make_unique<phonebook_runner>(phonebook_runner{say, listener, cpus_of(0)});
    say(listener, ready.c_str());
    return runner.release();
  } catch (const Failure& failure) {
    say(listener, error_answer(failure.code, failure.what()).c_str());
  } catch (const std::exception& error) {
    say(listener, error_answer("run_failed", error.what()).c_str());
  }
  return nullptr;
}

void phonebook_time_program(phonebook_runner* runner, const phonebook_job* job) {
  using namespace phonebook;
  std::string answer;
  try {
    answer = time_program(*runner, *job);
  } catch (const Failure& failure) {
    answer = error_answer(failure.code, failure.what());
  } catch (const std::exception& error) {
    answer = error_answer("run_failed", error.what());
  }
  runner->say(runner->listener, answer.c_str());
}

void phonebook_close(phonebook_runner* runner) { delete runner; }

const char* phonebook_executorch_version(void) { return phonebook::kExecutorchVersion; }

bool phonebook_can_trace(void) {
#ifdef ET_EVENT_TRACER_ENABLED
  return true;
#else
  return false;
#endif
}
