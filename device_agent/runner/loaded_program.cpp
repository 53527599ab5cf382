#include "loaded_program.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <utility>

#include "answers.h"

namespace phonebook {
namespace {

using executorch::aten::ScalarType;
using executorch::aten::Tensor;
using executorch::runtime::Error;
using executorch::runtime::EValue;
using executorch::runtime::MethodMeta;
using executorch::runtime::Program;
using executorch::runtime::Result;
using executorch::runtime::TensorInfo;

constexpr const char* kMethod = "forward";
constexpr size_t kCacheLine = 64;

void check(Error error, const char* code, const char* stage) {
  if (error != Error::Ok) {
    throw Failure(code, std::string(stage) + ": " + executorch::runtime::to_string(error) + " (" +
                            std::to_string(static_cast<uint32_t>(error)) + ")");
  }
}

template <typename Value>
Value loaded(Result<Value>&& result, const char* stage) {
  check(result.error(), "load_failed", stage);
  return std::move(result.get());
}

TensorInfo only_tensor(size_t count, const Result<TensorInfo>& first, const char* which) {
  if (count != 1) {
    throw Failure("load_failed", std::string("the program must have one ") + which + ", it has " +
                                     std::to_string(count));
  }
  if (!first.ok() || first->scalar_type() != ScalarType::Float) {
    throw Failure("load_failed", std::string("the program's ") + which + " is no float32 tensor");
  }
  return first.get();
}

std::string_view memory_format_of(const TensorInfo& image) {
  const auto order = image.dim_order();
  const bool is_channels_last =
      order.size() == 4 && order[1] == 2 && order[2] == 3 && order[3] == 1;
  return is_channels_last ? "channels_last" : "contiguous";
}

/** Where the element lies that is `number`th in row-major order. */
size_t position(const Tensor& tensor, size_t number) {
  size_t position = 0;
  for (auto dimension = tensor.dim() - 1; dimension >= 0; --dimension) {
    position += number % tensor.size(dimension) * tensor.strides()[dimension];
    number /= tensor.size(dimension);
  }
  return position;
}

/** The same values as device_agent/programs/inputs.py, which says where they come from. */
void fill_pseudo_random(const Tensor& image) {
  auto* values = image.mutable_data_ptr<float>();
  uint32_t state = 12345;
  for (ssize_t number = 0; number < image.numel(); ++number) {
    state = state * 1664525u + 1013904223u;
    values[position(image, number)] = static_cast<float>(state >> 8) / 8388608.0f - 1.0f;
  }
}

}  // namespace

PlannedMemory::PlannedMemory(const MethodMeta& meta)
    : buffers_([&] {
        std::vector<executorch::runtime::Span<uint8_t>> buffers;
        for (size_t index = 0; index < meta.num_memory_planned_buffers(); ++index) {
          const auto size = static_cast<size_t>(
              loaded(meta.memory_planned_buffer_size(index), "planning memory"));
          auto* start = static_cast<uint8_t*>(buffer_allocator_.allocate(size, kCacheLine));
          if (start == nullptr) throw Failure("load_failed", "planning memory: out of memory");
          buffers.emplace_back(start, size);
        }
        return buffers;
      }()),
      planned_({buffers_.data(), buffers_.size()}),
      manager_(&method_allocator_, &planned_, &temporary_allocator_) {}

LoadedProgram::LoadedProgram(const char* path, std::string_view memory_format,
                             executorch::runtime::EventTracer* tracer)
    : loader_(loaded(executorch::extension::FileDataLoader::from(path), "opening the program")),
      // The full check of the file's structure: without it a damaged file may crash the process.
      program_(loaded(Program::load(&loader_, Program::Verification::InternalConsistency),
                      "reading the program")),
      meta_(loaded(program_.method_meta(kMethod), "finding the method")),
      memory_(meta_),
      method_(loaded(program_.load_method(kMethod, memory_.manager(), tracer),
                     "loading the method")) {
  const TensorInfo image = only_tensor(meta_.num_inputs(), meta_.input_tensor_meta(0), "input");
  only_tensor(meta_.num_outputs(), meta_.output_tensor_meta(0), "output");
  if (memory_format_of(image) != memory_format) {
    throw Failure("load_failed", "the program takes a " + std::string(memory_format_of(image)) +
                                     " image, the job says " + std::string(memory_format));
  }
  image_.resize(image.nbytes() / sizeof(float));
  input_ = executorch::extension::make_tensor_ptr(
      {image.sizes().begin(), image.sizes().end()}, image_.data(),
      {image.dim_order().begin(), image.dim_order().end()}, {}, ScalarType::Float);
  fill_pseudo_random(*input_);
}

std::vector<std::string> LoadedProgram::delegates() const {
  std::vector<std::string> names;
  for (size_t index = 0; index < meta_.num_backends(); ++index) {
    names.emplace_back(loaded(meta_.get_backend_name(index), "listing delegates"));
  }
  return names;
}

void LoadedProgram::set_input() {
  check(method_.set_input(EValue(*input_), 0), "run_failed", "setting the input");
}

void LoadedProgram::execute() { check(method_.execute(), "run_failed", "running"); }

void LoadedProgram::write_output(const char* path) const {
  const Tensor& output = method_.get_output(0).toTensor();
  std::vector<float> values(output.numel());
  for (size_t number = 0; number < values.size(); ++number) {
    values[number] = output.const_data_ptr<float>()[position(output, number)];
  }
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path, "wb"), std::fclose);
  const size_t count = values.size();
  if (!file || std::fwrite(values.data(), sizeof(float), count, file.get()) != count ||
      std::fflush(file.get()) != 0) {
    throw Failure("run_failed", std::string("writing the output to ") + path +
                                    " failed: " + std::strerror(errno));
  }
}

}  // namespace phonebook
