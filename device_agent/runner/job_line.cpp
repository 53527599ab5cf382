#include "job_line.h"

#include <charconv>
#include <map>
#include <sstream>

#include "answers.h"

namespace phonebook {
namespace {

[[noreturn]] void refuse(const std::string& why) {
  throw Failure("run_failed", "the job line is malformed: " + why);
}

std::map<std::string, std::string> pairs(const std::string& line) {
  std::map<std::string, std::string> values;
  std::istringstream pieces(line);
  for (std::string piece; std::getline(pieces, piece, '\t');) {
    const size_t equals = piece.find('=');
    if (equals == std::string::npos) refuse("no = in '" + piece + "'");
    const std::string key = piece.substr(0, equals);
    if (!values.emplace(key, piece.substr(equals + 1)).second) refuse(key + " comes twice");
  }
  return values;
}

std::string taken(std::map<std::string, std::string>& values, const std::string& key) {
  const auto node = values.extract(key);
  if (node.empty()) refuse(key + " is missing");
  return node.mapped();
}

int64_t taken_number(std::map<std::string, std::string>& values, const std::string& key) {
  const std::string text = taken(values, key);
  int64_t number = 0;
  const char* const end = text.data() + text.size();
  const auto [stopped, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc() || stopped != end || number < 0) {
    refuse(key + " is no count: '" + text + "'");
  }
  return number;
}

}  // namespace

JobLine::JobLine(const std::string& line) {
  auto values = pairs(line);
  program_ = taken(values, "program");
  output_ = taken(values, "output");
  memory_format_ = taken(values, "memory_format");
  job_ = {};
  job_.program = program_.c_str();
  job_.output = output_.c_str();
  job_.memory_format = memory_format_.c_str();
  job_.warmup_runs = taken_number(values, "warmup_runs");
  job_.min_runs = taken_number(values, "min_runs");
  job_.max_runs = taken_number(values, "max_runs");
  job_.min_duration_ns = taken_number(values, "min_duration_ns");
  job_.deadline_ns = taken_number(values, "deadline_ns");
  job_.trace = taken_number(values, "trace") != 0;
  if (!values.empty()) refuse(values.begin()->first + " is no key of a job");
}

}  // namespace phonebook
