import Foundation

@testable import BenchCore

/// A phone that is as a test says.
final class FakePlatform: Platform, @unchecked Sendable {
  private let lock = NSLock()
  private var current = Conditions(thermal: .nominal, lowPower: false, battery: 0.5, charging: nil)
  private var free: Int64 = 1 << 40

  let device = DeviceFacts(
    model: "iPhone10,3", name: "iPhone X", soc: "A11 Bionic", os: "iOS 16.7.10", build: "20H350",
    cores: 6, memoryBytes: 3 << 30)

  func conditions() -> Conditions { lock.withLock { current } }
  func freeBytes() -> Int64 { lock.withLock { free } }

  func change(_ change: (inout Conditions) -> Void) { lock.withLock { change(&current) } }
  func leave(free bytes: Int64) { lock.withLock { free = bytes } }
}

/// Says the line it was told, at once or when it is let go, and notes who asked for what.
final class FakeRunner: Runner, @unchecked Sendable {
  static let answer = #"{"samples_ns": [1, 2],  "events": []}"#

  private let lock = NSLock()
  private var isHeld = false
  private var line = FakeRunner.answer
  private var timed: [JobRequest] = []
  private var seen: Set<ObjectIdentifier> = []

  var jobs: [JobRequest] { lock.withLock { timed } }
  var threads: Set<ObjectIdentifier> { lock.withLock { seen } }

  func hold() { lock.withLock { isHeld = true } }
  func letGo() { lock.withLock { isHeld = false } }
  func say(_ line: String) { lock.withLock { self.line = line } }

  func time(
    _ job: JobRequest, program: String, output: String, isStopped: @escaping () -> Bool
  ) -> String {
    lock.withLock {
      timed.append(job)
      seen.insert(ObjectIdentifier(Thread.current))
    }
    while lock.withLock({ isHeld }), !isStopped() { Thread.sleep(forTimeInterval: 0.001) }
    try? Data("floats".utf8).write(to: URL(fileURLWithPath: output))
    return lock.withLock { line }
  }
}

/// A clock that goes on when it is told to.
final class FakeClock: @unchecked Sendable {
  private let lock = NSLock()
  private var instant = ContinuousClock.now

  func now() -> ContinuousClock.Instant { lock.withLock { instant } }
  func pass(_ duration: Duration) { lock.withLock { instant += duration } }
}

func temporaryFolder() -> URL {
  FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
}

/// What the call refuses with, if it does.
func refused(_ call: () throws -> Void) -> Refusal? {
  do {
    try call()
    return nil
  } catch {
    return error as? Refusal
  }
}
