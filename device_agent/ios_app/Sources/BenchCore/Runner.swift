/// Times programs, one after another, on one thread: `NativeRunner`, and in tests a fake.
public protocol Runner: AnyObject {
  /// The runner's last line for that job: an answer or an error, as runner.h has them.
  ///
  /// `isStopped` is asked before each run; where it says yes, the line has the error `stopped`.
  func time(
    _ job: JobRequest, program: String, output: String, isStopped: @escaping () -> Bool
  ) -> String
}

/// What the app is made of.
public struct BuildFacts: Equatable, Sendable {
  public static let version = "0.1.0"
  public static let protocolVersion: Int64 = 1

  public var executorch: String
  public var canTrace: Bool
  public var isEmulated: Bool  // no phone: timings mean nothing

  public init(executorch: String, canTrace: Bool, isEmulated: Bool) {
    self.executorch = executorch
    self.canTrace = canTrace
    self.isEmulated = isEmulated
  }
}
