// What the app's shell uses of UIKit, and of Foundation on iOS alone, as declarations.
@_exported import Foundation

extension ProcessInfo {
  public enum ThermalState: Int { case nominal, fair, serious, critical }
  public var thermalState: ThermalState { fatalError() }
  public var isLowPowerModeEnabled: Bool { fatalError() }
}

extension URLResourceKey {
  public static let volumeAvailableCapacityForImportantUsageKey = URLResourceKey(rawValue: "")
}

extension URLResourceValues {
  public var volumeAvailableCapacityForImportantUsage: Int64? { fatalError() }
}

@MainActor public class UIDevice {
  public enum BatteryState: Int { case unknown, unplugged, charging, full }
  public static let current = UIDevice()
  public nonisolated static let batteryLevelDidChangeNotification = Notification.Name("")
  public nonisolated static let batteryStateDidChangeNotification = Notification.Name("")
  public var isBatteryMonitoringEnabled = false
  public var batteryLevel: Float { fatalError() }
  public var batteryState: BatteryState { fatalError() }
}

@MainActor public class UIApplication {
  public enum State: Int { case active, inactive, background }
  public static let shared = UIApplication()
  public nonisolated static let didBecomeActiveNotification = Notification.Name("")
  public nonisolated static let willResignActiveNotification = Notification.Name("")
  public var isIdleTimerDisabled = false
  public var applicationState: State { fatalError() }
}

@discardableResult
public func sysctlbyname(
  _ name: UnsafePointer<CChar>!, _ value: UnsafeMutableRawPointer!,
  _ size: UnsafeMutablePointer<Int>!, _ new: UnsafeMutableRawPointer!, _ newSize: Int
) -> Int32 { fatalError() }
