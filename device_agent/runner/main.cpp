// The runner as a program: jobs on stdin, one a line, answers on stdout, one or more lines a job.
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "answers.h"
#include "job_line.h"
#include "runner.h"

namespace {

constexpr int kUsage = 2;

struct Arguments {
  uint32_t threads = 0;
  std::vector<uint32_t> cpus;
};

uint32_t number(const std::string& text) {
  size_t read = 0;
  const unsigned long value = std::stoul(text, &read);
  if (read != text.size() || value > UINT32_MAX) throw std::invalid_argument(text);
  return static_cast<uint32_t>(value);
}

Arguments parse(int count, char** words) {
  Arguments arguments;
  for (int index = 1; index + 1 < count; index += 2) {
    const std::string_view option = words[index];
    const std::string value = words[index + 1];
    if (option == "--threads") {
      arguments.threads = number(value);
    } else if (option == "--cpus") {
      std::istringstream pieces(value);
      for (std::string piece; std::getline(pieces, piece, ',');) {
        arguments.cpus.push_back(number(piece));
      }
    } else {
      throw std::invalid_argument(words[index]);
    }
  }
  if (count % 2 == 0 || arguments.threads == 0) throw std::invalid_argument("arguments");
  return arguments;
}

void say(void* answers, const char* line) {
  auto* stream = static_cast<std::FILE*>(answers);
  std::fprintf(stream, "%s\n", line);
  std::fflush(stream);
}

}  // namespace

int main(int count, char** words) {
  Arguments arguments;
  try {
    arguments = parse(count, words);
  } catch (const std::exception&) {
    std::fputs("usage: phonebook-runner --threads N [--cpus N,N,...]\n", stderr);
    return kUsage;
  }
  // Whatever a library prints must not come between the answers.
  std::FILE* const answers = fdopen(dup(STDOUT_FILENO), "w");
  dup2(STDERR_FILENO, STDOUT_FILENO);

  phonebook_runner* const runner = phonebook_open(
      arguments.threads, arguments.cpus.data(), arguments.cpus.size(), say, answers);
  if (runner == nullptr) return EXIT_FAILURE;
  for (std::string line; std::getline(std::cin, line);) {
    try {
      const phonebook::JobLine job(line);
      phonebook_time_program(runner, &job.job());
    } catch (const phonebook::Failure& failure) {
      say(answers, phonebook::error_answer(failure.code, failure.what()).c_str());
    }
  }
  phonebook_close(runner);
  return EXIT_SUCCESS;
}
