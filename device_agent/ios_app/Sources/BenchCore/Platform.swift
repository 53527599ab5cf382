/// What the core asks of the device it is on; a phone and the Linux program each have their own.
public protocol Platform: Sendable {
  var device: DeviceFacts { get }
  func conditions() -> Conditions
  /// What may still be written where the programs are kept.
  func freeBytes() -> Int64
}

/// What a device is, and does not change while the app runs.
public struct DeviceFacts: Equatable, Sendable {
  public var model: String  // "iPhone10,3"
  public var name: String  // "iPhone X"
  public var soc: String?
  public var os: String
  public var build: String
  public var cores: Int
  public var memoryBytes: Int64

  public init(
    model: String, name: String, soc: String?, os: String, build: String, cores: Int,
    memoryBytes: Int64
  ) {
    self.model = model
    self.name = name
    self.soc = soc
    self.os = os
    self.build = build
    self.cores = cores
    self.memoryBytes = memoryBytes
  }
}

/// How hot the device says it is: iOS tells a word and no temperature.
public enum Thermal: String, Codable, CaseIterable, Comparable, Sendable {
  case nominal, fair, serious, critical

  public static func < (one: Thermal, other: Thermal) -> Bool { one.rank < other.rank }

  private var rank: Int { Thermal.allCases.firstIndex(of: self)! }
}

/// The device's state before or after a job; nil where it cannot be read.
public struct Conditions: Equatable, Sendable {
  public var thermal: Thermal
  public var lowPower: Bool
  public var battery: Double?  // 0 to 1
  public var charging: Bool?

  public init(thermal: Thermal, lowPower: Bool, battery: Double?, charging: Bool?) {
    self.thermal = thermal
    self.lowPower = lowPower
    self.battery = battery
    self.charging = charging
  }

  var json: JSON {
    .object([
      ("thermal", .string(thermal.rawValue)),
      ("low_power", .bool(lowPower)),
      ("battery", battery.map(JSON.number) ?? .null),
      ("charging", charging.map(JSON.bool) ?? .null),
    ])
  }
}
