/* The timing core: times one ExecuTorch program after another, in this process.
 *
 * It speaks in lines of JSON, without their line ends, handed to the `say` callback on the
 * calling thread:
 *
 *   {"ready": true, "runner": "native", "threads": 1, "clock_step_ns": 20}
 *   {"alive": true}
 *   {"samples_ns": [...], "probes_ns": [...], "memory_probes_ns": [N, N], "first_run_ns": N,
 *    "load_ns": N, "peak_bytes": N, "cpus": [...], "delegates": [...],
 *    "events": [{"name": "...", "samples_ns": [...]}]}
 *   {"error": "load_failed", "message": "..."}
 *
 * `peak_bytes` is the most memory that the program added, left out where the system does not tell.
 * `cpus` are those that the runs were made on, or where they moved to in between; left out where
 * the system tells none.
 *
 * `runner` is "ndk" of one that the Android NDK built: another compiler, another C library.
 *
 * Error codes are those of contract/timings.py: load_failed, run_failed, timed_out, bad_samples;
 * and `stopped`, of a job that was told to stop.
 */
#ifndef PHONEBOOK_RUNNER_H
#define PHONEBOOK_RUNNER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct phonebook_runner phonebook_runner;

typedef void (*phonebook_say)(void *listener, const char *line);

/* One visit to a program. Runs go on until both `min_runs` and `min_duration_ns` (the sum of the
 * timed spans) are reached, or `max_runs`. At least one warm-up run is made; the first is
 * reported apart, the rest are not reported.
 *
 * A probe (probe.h) is made before each run, warm-up included, and after the last; it is in no
 * timed span. Reported are those around the timed runs: run i lies between the probes i and
 * i + 1. */
typedef struct phonebook_job {
  const char *program;       /* the .pte: one float32 image in, one float32 tensor out */
  const char *output;        /* receives the last run's output: raw, row-major by dimension */
  const char *memory_format; /* of the image: "contiguous" or "channels_last" */
  int64_t warmup_runs;
  int64_t min_runs;
  int64_t max_runs;
  int64_t min_duration_ns;
  int64_t deadline_ns; /* from the job's start, loading included; looked at between runs */
  bool trace;          /* also report each operator that a delegate ran */
  /* Whether to stop, asked before each run with the runner's listener; NULL: never. */
  bool (*is_stopped)(void *listener);
} phonebook_job;

/* Makes ExecuTorch's thread pool exactly `threads` wide, bound to `cpus` unless `cpu_count` is 0.
 * The pool belongs to the process: have one runner open at a time, and let nothing else use
 * ExecuTorch.
 * Says `ready`, or says an error and returns NULL. */
phonebook_runner *phonebook_open(uint32_t threads, const uint32_t *cpus, size_t cpu_count,
                                 phonebook_say say, void *listener);

/* Says `alive` about once a second between runs, and then one answer or one error. */
void phonebook_time_program(phonebook_runner *runner, const phonebook_job *job);

void phonebook_close(phonebook_runner *runner);

/* The version of ExecuTorch that this was built for, as "1.5.1". */
const char *phonebook_executorch_version(void);

/* Whether that ExecuTorch was built with its event tracer: without, a trace has no events. */
bool phonebook_can_trace(void);

#ifdef __cplusplus
}
#endif

#endif
