import Foundation

/// The app's rules: one job at a time on one thread, held by one agent, asleep while not active.
public final class Bench: @unchecked Sendable {
  /// After the last request of the agent's, and after its job's end.
  static let heldFor = Duration.seconds(60)
  static let resultsKeptFor = Duration.seconds(600)
  /// Outputs are large, and phones end apps that take much memory.
  static let resultsKept = 32

  /// What the screen shows.
  public struct Snapshot: Equatable, Sendable {
    public enum State: String, Sendable { case idle, busy, asleep }

    public let state: State
    public let job: String?
    public let agent: String?
  }

  private struct Current {
    let request: JobRequest
    var isTaken = false  // by the measuring thread
    var end: JobResult.Status?  // stopped or interrupted, if it was told to end
  }

  private struct Finished {
    let result: JobResult
    let at: ContinuousClock.Instant
  }

  let platform: Platform
  let store: ProgramStore
  private let now: @Sendable () -> ContinuousClock.Instant
  private let lock = NSCondition()  // guards all below; signalled when there is a job
  private var isAwake = false
  private var current: Current?
  private var finished: [Finished] = []  // the newest last
  /// Where a job runs, the job is this agent's.
  private var holder: (agent: String, seen: ContinuousClock.Instant)?

  /// `makeRunner` is called once, on the thread that then times all programs.
  public init(
    platform: Platform, store: ProgramStore,
    now: @escaping @Sendable () -> ContinuousClock.Instant = { .now },
    makeRunner: @escaping @Sendable () -> Runner
  ) {
    self.platform = platform
    self.store = store
    self.now = now
    let thread = Thread { [weak self] in
      let runner = makeRunner()
      while let bench = self { bench.runNext(with: runner) }
    }
    thread.name = "measuring"
    thread.stackSize = 8 << 20  // as a main thread has: programs of ExecuTorch are made for that
    // The only lever on iOS towards the fast cores.
    thread.qualityOfService = .userInteractive
    thread.start()
  }

  public var snapshot: Snapshot {
    lock.withLock {
      Snapshot(state: state, job: current?.request.job, agent: holderNow()?.agent)
    }
  }

  /// The app is active: jobs are welcome. Programs may have gone while it was not.
  public func wake() {
    store.recount()
    lock.withLock { isAwake = true }
  }

  /// The app is no longer active: a job that runs is interrupted, and others are refused.
  public func sleep() {
    lock.withLock {
      isAwake = false
      if current?.end == nil { current?.end = .interrupted }
    }
  }

  /// Any request of the agent's; who holds the app goes on to hold it.
  func seen(_ agent: String?) {
    lock.withLock {
      if let holder = holderNow(), holder.agent == agent { self.holder = (holder.agent, now()) }
    }
  }

  /// Takes the job, or throws a Refusal. The same job again is taken once.
  func post(_ request: JobRequest, agent: String?) throws {
    try lock.withLock {
      guard isAwake else {
        throw Refusal(503, "asleep: open the app on the device, and leave it in front")
      }
      if let known = known(request.job) {
        guard known == request else {
          throw Refusal(409, "the name \(request.job) belongs to another job")
        }
        return
      }
      try request.checkCounts()
      try checkHolder(agent)
      if let current {
        throw Refusal(423, "busy with \(current.request.job)", job: current.request.job)
      }
      guard store.has(request.sha256) else {
        throw Refusal(409, "the program \(request.sha256) is not here: put it first")
      }
      current = Current(request: request)
      holder = agent.map { ($0, now()) }
      lock.signal()
    }
  }

  /// The result, or nil while the job runs. Throws Refusal 404 where there is no such job.
  func result(of job: String) throws -> JobResult? {
    try lock.withLock {
      if current?.request.job == job { return nil }
      forgetExpired()
      guard let found = finished.last(where: { $0.result.request.job == job }) else {
        throw unknown(job)
      }
      return found.result
    }
  }

  /// Ends the job at its next run. Throws Refusal 404, or 423 where another agent holds the app.
  func stop(_ job: String, agent: String?) throws {
    try lock.withLock {
      try checkHolder(agent)
      if current?.request.job == job {
        if current?.end == nil { current?.end = .stopped }
      } else if known(job) == nil {
        throw unknown(job)
      }
    }
  }

  /// Keeps the program. Throws Refusal 423 where another agent holds the app; 422, 507 as the
  /// store does.
  func put(_ program: [UInt8], sha256: String, agent: String?) throws {
    // The lock is not held while it is hashed and written: a job that runs asks for it at each run.
    try lock.withLock { try checkHolder(agent) }
    try store.put(program, sha256: sha256)
  }

  /// Deletes every program. Throws Refusal 423 while a job runs or another agent holds the app.
  func removePrograms(agent: String?) throws {
    try lock.withLock {
      try checkHolder(agent)
      if let current {
        throw Refusal(423, "busy with \(current.request.job)", job: current.request.job)
      }
      try store.removeAll()
    }
  }

  // MARK: The measuring thread

  private func runNext(with runner: Runner) {
    // Looks up now and then, so that the thread ends with what it works for.
    let next: JobRequest? = lock.withLock {
      if current == nil { _ = lock.wait(until: Date(timeIntervalSinceNow: 1)) }
      guard current?.isTaken == false else { return nil }
      current?.isTaken = true
      return current?.request
    }
    guard let next else { return }
    let result = run(next, with: runner)
    lock.withLock {
      current = nil
      holder?.seen = now()
      finished.append(Finished(result: result, at: now()))
      finished.removeFirst(max(0, finished.count - Bench.resultsKept))
    }
  }

  private func run(_ request: JobRequest, with runner: Runner) -> JobResult {
    let before = platform.conditions()
    func ended(
      _ status: JobResult.Status, _ message: String, code: String? = nil
    ) -> JobResult {
      JobResult(
        request: request, status: status,
        failure: .init(code: code ?? status.rawValue, message: message), answer: nil, output: nil,
        before: before, after: platform.conditions())
    }
    if before.thermal > request.maxThermal {
      return ended(
        .tooHot,
        "the device is \(before.thermal.rawValue), the job allows \(request.maxThermal.rawValue)")
    }
    if before.lowPower {
      return ended(
        .lowPower, "Low Power Mode is on, which slows the CPU down: turn it off in Settings")
    }
    let path = store.outputPath
    try? FileManager.default.removeItem(atPath: path)
    let line = runner.time(request, program: store.path(request.sha256), output: path) {
      [self] in lock.withLock { current?.end != nil }
    }
    // Told to end, even if it had no run left to stop at: what came then may be disturbed.
    switch lock.withLock({ current?.end }) {
    case .interrupted: return ended(.interrupted, "the app was left while the job ran")
    case .stopped: return ended(.stopped, "stopped as told")
    default: break
    }
    if let failure = try? JSONDecoder().decode(JobResult.Failure.self, from: Data(line.utf8)) {
      return ended(.failed, failure.message, code: failure.code)
    }
    guard let output = FileManager.default.contents(atPath: path) else {
      return ended(.failed, "the run's output cannot be read", code: "run_failed")
    }
    return JobResult(
      request: request, status: .ok, failure: nil, answer: line, output: output, before: before,
      after: platform.conditions())
  }

  // MARK: With the lock held

  private var state: Snapshot.State { isAwake ? (current == nil ? .idle : .busy) : .asleep }

  private func holderNow() -> (agent: String, seen: ContinuousClock.Instant)? {
    guard let holder else { return nil }
    return current != nil || now() - holder.seen < Bench.heldFor ? holder : nil
  }

  private func checkHolder(_ agent: String?) throws {
    if let holder = holderNow(), holder.agent != agent {
      throw Refusal(423, "in use by \(holder.agent)", agent: holder.agent)
    }
  }

  private func known(_ job: String) -> JobRequest? {
    if let current, current.request.job == job { return current.request }
    forgetExpired()
    return finished.last { $0.result.request.job == job }?.result.request
  }

  private func forgetExpired() {
    finished.removeAll { now() - $0.at >= Bench.resultsKeptFor }
  }

  private func unknown(_ job: String) -> Refusal {
    Refusal(404, "no job \(job) here: results are kept for ten minutes, and until the app ends")
  }
}
