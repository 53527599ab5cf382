// Reading a job: one line, `key=value` pairs with tabs between them.
#pragma once

#include <string>

#include "runner.h"

namespace phonebook {

/** A job that owns its texts. The keys are the members of phonebook_job, each exactly once. */
class JobLine {
 public:
  /** Throws Failure where the line is no job. */
  explicit JobLine(const std::string& line);
  JobLine(const JobLine&) = delete;
  JobLine& operator=(const JobLine&) = delete;

  const phonebook_job& job() const { return job_; }

 private:
  std::string program_;
  std::string output_;
  std::string memory_format_;
  phonebook_job job_;
};

}  // namespace phonebook
