// A program in memory, ready to run: its method, its memory, its input.
#pragma once

#include <executorch/extension/data_loader/file_data_loader.h>
#include <executorch/extension/memory_allocator/malloc_memory_allocator.h>
#include <executorch/extension/tensor/tensor.h>
#include <executorch/runtime/core/event_tracer.h>
#include <executorch/runtime/executor/method.h>
#include <executorch/runtime/executor/program.h>

#include <string>
#include <string_view>
#include <vector>

namespace phonebook {

/** The memory that a method's activations were planned into when it was exported. */
class PlannedMemory {
 public:
  explicit PlannedMemory(const executorch::runtime::MethodMeta& meta);

  executorch::runtime::MemoryManager* manager() { return &manager_; }

 private:
  executorch::extension::MallocMemoryAllocator buffer_allocator_;
  executorch::extension::MallocMemoryAllocator method_allocator_;
  executorch::extension::MallocMemoryAllocator temporary_allocator_;
  std::vector<executorch::runtime::Span<uint8_t>> buffers_;
  executorch::runtime::HierarchicalAllocator planned_;
  executorch::runtime::MemoryManager manager_;
};

/** Throws Failure, naming the stage and ExecuTorch's error, wherever it cannot go on. */
class LoadedProgram {
 public:
  /** `tracer` may be null; it must outlive the program. */
  LoadedProgram(const char* path, std::string_view memory_format,
                executorch::runtime::EventTracer* tracer);

  std::vector<std::string> delegates() const;

  /** Input buffers are planned memory that a run may overwrite: set the input before each run. */
  void set_input();

  void execute();

  /** Writes the output raw, row-major by dimension whatever its layout in memory. */
  void write_output(const char* path) const;

 private:
  executorch::extension::FileDataLoader loader_;
  executorch::runtime::Program program_;
  executorch::runtime::MethodMeta meta_;
  PlannedMemory memory_;
  executorch::runtime::Method method_;
  std::vector<float> image_;
  executorch::extension::TensorPtr input_;
};

}  // namespace phonebook
