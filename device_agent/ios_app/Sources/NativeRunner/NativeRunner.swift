import BenchCore
import CPhonebookRunner

/// The timing core that hosts and other phones use too, through device_agent/runner/runner.h.
public final class NativeRunner: Runner {
  private var runner: OpaquePointer?
  private var threads: Int64?
  private var lastLine = ""
  private var isStopped: () -> Bool = { false }

  public init() {}

  deinit { phonebook_close(runner) }

  /// What the linked ExecuTorch is.
  public static func build(isEmulated: Bool) -> BuildFacts {
    BuildFacts(
      executorch: String(cString: phonebook_executorch_version()),
      canTrace: phonebook_can_trace(), isEmulated: isEmulated)
  }

  public func time(
    _ job: JobRequest, program: String, output: String, isStopped: @escaping () -> Bool
  ) -> String {
    if threads != job.threads { open(threads: job.threads) }
    guard let runner else { return lastLine }  // why there is none
    self.isStopped = isStopped
    defer { self.isStopped = { false } }
    program.withCString { program in
      output.withCString { output in
        job.memoryFormat.rawValue.withCString { memoryFormat in
          var visit = phonebook_job(
            program: program, output: output, memory_format: memoryFormat,
            warmup_runs: job.warmupRuns, min_runs: job.minRuns, max_runs: job.maxRuns,
            min_duration_ns: job.minDurationNs, deadline_ns: job.deadlineNs, trace: job.trace,
            is_stopped: { listener in NativeRunner.listening(listener).isStopped() })
          phonebook_time_program(runner, &visit)
        }
      }
    }
    return lastLine
  }

  /// The thread pool is the process's: the old runner goes first.
  private func open(threads: Int64) {
    phonebook_close(runner)
    let listener = Unmanaged.passUnretained(self).toOpaque()
    runner = phonebook_open(
      UInt32(threads), nil, 0,
      { listener, line in NativeRunner.listening(listener).lastLine = String(cString: line!) },
      listener)
    self.threads = runner == nil ? nil : threads
  }

  private static func listening(_ listener: UnsafeMutableRawPointer?) -> NativeRunner {
    Unmanaged.fromOpaque(listener!).takeUnretainedValue()
  }
}
