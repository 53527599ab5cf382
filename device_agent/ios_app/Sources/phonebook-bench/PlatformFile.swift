import BenchCore
import Foundation

/// What an operating system does to an app.
enum AppState: String, Decodable { case active, inactive, suspended }

/// A platform that is what a file says, read whenever it is asked; so a test plays the phone.
///
/// Of what the file does not name, the device is this computer, and its state a calm one's.
struct PlatformFile: Platform {
  private struct Content: Decodable {
    var state: AppState?
    var thermal: Thermal?
    var lowPower: Bool?
    var battery: Double?
    var charging: Bool?
    var freeBytes: Int64?
    var model: String?
    var name: String?
    var soc: String?
    var os: String?
    var build: String?
    var cores: Int?
    var memoryBytes: Int64?
  }

  private let path: String?

  init(path: String?) { self.path = path }

  var appState: AppState { content.state ?? .active }

  var device: DeviceFacts {
    let content = content
    let host = ProcessInfo.processInfo
    return DeviceFacts(
      model: content.model ?? "phonebook-bench",
      name: content.name ?? "phonebook-bench",
      soc: content.soc,
      os: content.os ?? host.operatingSystemVersionString,
      build: content.build ?? "",
      cores: content.cores ?? host.activeProcessorCount,
      memoryBytes: content.memoryBytes ?? Int64(host.physicalMemory))
  }

  func conditions() -> Conditions {
    let content = content
    return Conditions(
      thermal: content.thermal ?? .nominal, lowPower: content.lowPower ?? false,
      battery: content.battery, charging: content.charging)
  }

  func freeBytes() -> Int64 {
    let attributes = try? FileManager.default.attributesOfFileSystem(forPath: "/")
    return content.freeBytes ?? (attributes?[.systemFreeSize] as? NSNumber)?.int64Value ?? 0
  }

  private var content: Content {
    guard let path else { return Content() }
    do {
      let decoder = JSONDecoder()
      decoder.keyDecodingStrategy = .convertFromSnakeCase
      return try decoder.decode(Content.self, from: Data(contentsOf: URL(fileURLWithPath: path)))
    } catch {
      fail("phonebook-bench: --platform \(path): \(error)", code: 2)
    }
  }
}
