import Foundation

/// Programs in a folder, each under the SHA-256 of its bytes.
public final class ProgramStore: @unchecked Sendable {
  public static let largestBytes = 64 << 20
  /// Left free: a full disk would keep the phone from far more than measuring.
  static let reserveBytes: Int64 = 16 << 20

  private let folder: URL
  private let freeBytes: @Sendable () -> Int64
  private let lock = NSLock()  // guards what follows
  private var counted = 0

  /// Makes the folder, and removes what an upload left unfinished in it.
  public init(folder: URL, freeBytes: @escaping @Sendable () -> Int64) throws {
    self.folder = folder
    self.freeBytes = freeBytes
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    for file in files where file.pathExtension != "pte" {
      try FileManager.default.removeItem(at: file)
    }
    recount()
  }

  /// How many programs there were when the store last changed, or was last told to look.
  public var count: Int { lock.withLock { counted } }

  /// Looks into the folder, which others may have emptied.
  public func recount() { lock.withLock { counted = programs.count } }

  func has(_ sha256: String) -> Bool { FileManager.default.fileExists(atPath: path(sha256)) }

  func path(_ sha256: String) -> String { folder.appendingPathComponent("\(sha256).pte").path }

  /// Where a run's output goes; only one job runs at a time.
  var outputPath: String { folder.appendingPathComponent("last.output").path }

  /// Throws Refusal 422 where the bytes are others, 507 where they do not fit.
  /// Nothing is kept then.
  func put(_ bytes: [UInt8], sha256: String) throws {
    let found = SHA256.hex(of: bytes)
    guard found == sha256 else {
      throw Refusal(422, "these \(bytes.count) bytes have the SHA-256 \(found)")
    }
    let free = freeBytes()
    guard Int64(bytes.count) + ProgramStore.reserveBytes <= free else {
      throw Refusal(
        507,
        "no room for \(bytes.count) bytes: \(free) are free, of which "
          + "\(ProgramStore.reserveBytes) stay so; delete programs, or make room on the device")
    }
    let partial = folder.appendingPathComponent("\(UUID().uuidString).partial")
    do {
      try Data(bytes).write(to: partial)
      // Replaces a file of the same bytes, if there is one.
      guard rename(partial.path, path(sha256)) == 0 else {
        throw CocoaError(.fileWriteUnknown)
      }
    } catch {
      try? FileManager.default.removeItem(at: partial)
      throw Refusal(507, "the program could not be stored: \(error.localizedDescription)")
    }
    recount()
  }

  func removeAll() throws {
    defer { recount() }
    for file in programs {
      do {
        try FileManager.default.removeItem(at: file)
      } catch {
        throw Refusal(500, "a program could not be deleted: \(error.localizedDescription)")
      }
    }
  }

  private var programs: [URL] { files.filter { $0.pathExtension == "pte" } }

  private var files: [URL] {
    let found = try? FileManager.default.contentsOfDirectory(
      at: folder, includingPropertiesForKeys: nil)
    return found ?? []
  }
}
