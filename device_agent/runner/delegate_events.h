// What a delegate reports about its own operators, collected run by run.
#pragma once

#include <executorch/runtime/core/event_tracer.h>
#include <executorch/runtime/platform/clock.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "answers.h"

namespace phonebook {

struct Event {
  std::string name;
  std::vector<int64_t> samples_ns;  // one per run
};

/**
 * Receives the events that a delegate logs at the end of each run, without a dump in between.
 *
 * A program's delegates log the same events in the same order in every run. Everything else that
 * ExecuTorch offers to a tracer is let go.
 */
class DelegateEvents final : public executorch::runtime::EventTracer {
  using AllocatorID = executorch::runtime::AllocatorID;
  using ChainID = executorch::runtime::ChainID;
  using DebugHandle = executorch::runtime::DebugHandle;
  using DelegateDebugIntId = executorch::runtime::DelegateDebugIntId;
  using EValue = executorch::runtime::EValue;
  using EventTracerEntry = executorch::runtime::EventTracerEntry;
  using Logged = executorch::runtime::Result<bool>;
  using Tensor = executorch::aten::Tensor;

 public:
  const std::vector<Event>& events() const { return events_; }

  void begin_run() { logged_ = 0; }

  /** Refuses a run that did not log what the runs before it did. */
  void end_run() {
    if (is_other_ || logged_ != events_.size()) {
      throw Failure("bad_samples", "after " + std::to_string(logged_) + " of " +
                                       std::to_string(events_.size()) +
                                       " delegate events a run went on unlike the runs before it");
    }
    is_first_run_ = false;
  }

  /** Keeps the names, so that later runs are still compared with the earlier ones. */
  void forget_samples() {
    for (Event& event : events_) event.samples_ns.clear();
  }

  void log_profiling_delegate(const char* name, DelegateDebugIntId, et_timestamp_t start,
                              et_timestamp_t end, const void*, size_t) override {
    const std::string_view event(name ? name : "");
    if (is_first_run_) events_.push_back({std::string(event), {}});
    is_other_ = is_other_ || logged_ == events_.size() || events_[logged_].name != event;
    if (is_other_) return;
    const uint64_t ns = executorch::runtime::ticks_to_ns(end - start);
    events_[logged_++].samples_ns.push_back(static_cast<int64_t>(ns));
  }

  void create_event_block(const char*) override {}
  EventTracerEntry start_profiling(const char*, ChainID, DebugHandle) override { return {}; }
  void end_profiling(EventTracerEntry) override {}
  EventTracerEntry start_profiling_delegate(const char*, DelegateDebugIntId) override {
    return {};
  }
  void end_profiling_delegate(EventTracerEntry, const void*, size_t) override {}
  AllocatorID track_allocator(const char*) override { return 0; }
  void track_allocation(AllocatorID, size_t) override {}
  Logged log_evalue(const EValue&, executorch::runtime::LoggedEValueType) override {
    return false;
  }
  Logged log_intermediate_output_delegate(const char*, DelegateDebugIntId,
                                          const Tensor&) override {
    return false;
  }
  Logged log_intermediate_output_delegate(
      const char*, DelegateDebugIntId,
      const executorch::runtime::ArrayRef<Tensor>) override {
    return false;
  }
  Logged log_intermediate_output_delegate(const char*, DelegateDebugIntId, const int&) override {
    return false;
  }
  Logged log_intermediate_output_delegate(const char*, DelegateDebugIntId, const bool&) override {
    return false;
  }
  Logged log_intermediate_output_delegate(const char*, DelegateDebugIntId,
                                          const double&) override {
    return false;
  }
  void set_delegation_intermediate_output_filter(
      executorch::runtime::EventTracerFilterBase*) override {}

 private:
  std::vector<Event> events_;
  size_t logged_ = 0;
  bool is_first_run_ = true;
  bool is_other_ = false;
};

}  // namespace phonebook
