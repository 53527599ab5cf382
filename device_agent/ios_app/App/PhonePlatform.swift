import BenchCore
import UIKit

/// This iPhone: what it is, how hot, how full.
final class PhonePlatform: Platform, @unchecked Sendable {
  private static let known = ["iPhone10,3": "iPhone X", "iPhone10,6": "iPhone X"]
  private static let socs = ["iPhone10,3": "A11 Bionic", "iPhone10,6": "A11 Bionic"]

  private let lock = NSLock()  // guards what only the main thread may read anew
  private var battery: Double?
  private var charging: Bool?

  let device: DeviceFacts

  init() {
    let process = ProcessInfo.processInfo
    let version = process.operatingSystemVersion
    let model = PhonePlatform.system("hw.machine")
    device = DeviceFacts(
      model: model, name: PhonePlatform.known[model] ?? model, soc: PhonePlatform.socs[model],
      os: "iOS \(version.majorVersion).\(version.minorVersion).\(version.patchVersion)",
      build: PhonePlatform.system("kern.osversion"), cores: process.processorCount,
      memoryBytes: Int64(process.physicalMemory))
  }

  func conditions() -> Conditions {
    let process = ProcessInfo.processInfo
    let thermal: Thermal
    switch process.thermalState {
    case .nominal: thermal = .nominal
    case .fair: thermal = .fair
    case .serious: thermal = .serious
    case .critical: thermal = .critical
    @unknown default: thermal = .critical  // a state of later systems: better not to measure
    }
    return lock.withLock {
      Conditions(
        thermal: thermal, lowPower: process.isLowPowerModeEnabled, battery: battery,
        charging: charging)
    }
  }

  func freeBytes() -> Int64 {
    let home = URL(fileURLWithPath: NSHomeDirectory())
    let values = try? home.resourceValues(forKeys: [.volumeAvailableCapacityForImportantUsageKey])
    return values?.volumeAvailableCapacityForImportantUsage ?? 0
  }

  /// Keeps the screen on while the app is in front, and follows the battery.
  @MainActor
  func prepare() {
    UIApplication.shared.isIdleTimerDisabled = true
    guard !UIDevice.current.isBatteryMonitoringEnabled else { return }
    UIDevice.current.isBatteryMonitoringEnabled = true
    readBattery()
    for change in [
      UIDevice.batteryLevelDidChangeNotification, UIDevice.batteryStateDidChangeNotification,
    ] {
      _ = NotificationCenter.default.addObserver(forName: change, object: nil, queue: .main) {
        [weak self] _ in
        MainActor.assumeIsolated { self?.readBattery() }
      }
    }
  }

  @MainActor
  private func readBattery() {
    let device = UIDevice.current
    let level: Double? = device.batteryLevel < 0 ? nil : Double(device.batteryLevel)
    let state = device.batteryState
    lock.withLock {
      battery = level
      charging = state == .unknown ? nil : state != .unplugged
    }
  }

  /// A word that the kernel tells by that name.
  private static func system(_ name: String) -> String {
    var size = 0
    sysctlbyname(name, nil, &size, nil, 0)
    var bytes = [CChar](repeating: 0, count: size + 1)
    sysctlbyname(name, &bytes, &size, nil, 0)
    return String(cString: bytes)
  }
}
