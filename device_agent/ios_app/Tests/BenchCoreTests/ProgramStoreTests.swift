import Foundation
import Testing

@testable import BenchCore

@Suite final class ProgramStoreTests {
  private let folder = temporaryFolder()
  private let platform = FakePlatform()
  private let program = Array("a program".utf8)
  private let store: ProgramStore

  init() throws {
    store = try ProgramStore(folder: folder, freeBytes: platform.freeBytes)
  }

  deinit { try? FileManager.default.removeItem(at: folder) }

  private var files: [String] {
    get throws { try FileManager.default.contentsOfDirectory(atPath: folder.path) }
  }

  @Test func programsAreFoundByTheirBytes() throws {
    let sha256 = SHA256.hex(of: program)
    #expect(!store.has(sha256))
    try store.put(program, sha256: sha256)
    try store.put(program, sha256: sha256)  // again: the same file
    #expect(store.has(sha256))
    #expect(store.count == 1)
    #expect(try Data(contentsOf: URL(fileURLWithPath: store.path(sha256))) == Data(program))
    #expect(try files == ["\(sha256).pte"])
    try store.removeAll()
    #expect(!store.has(sha256))
    #expect(store.count == 0)
  }

  @Test func programsAreCountedWithoutALookIntoTheFolder() throws {
    try store.put(program, sha256: SHA256.hex(of: program))
    try FileManager.default.removeItem(at: folder)
    #expect(store.count == 1)
    store.recount()
    #expect(store.count == 0)
  }

  @Test func bytesOfAnotherHashAreNotKept() throws {
    let refusal = refused { try store.put(program, sha256: String(repeating: "0", count: 64)) }
    #expect(refusal?.status == 422)
    #expect(refusal?.message.contains(SHA256.hex(of: program)) == true)
    #expect(try files.isEmpty)
  }

  @Test func aFullDiskKeepsNothing() throws {
    let sha256 = SHA256.hex(of: program)
    let needed = Int64(program.count) + ProgramStore.reserveBytes
    platform.leave(free: needed - 1)
    #expect(refused { try store.put(program, sha256: sha256) }?.status == 507)
    #expect(try files.isEmpty)
    platform.leave(free: needed)
    try store.put(program, sha256: sha256)
    #expect(store.has(sha256))
  }

  @Test func aFolderThatTakesNoFileKeepsNothing() throws {
    try FileManager.default.removeItem(at: folder)
    let refusal = refused { try store.put(program, sha256: SHA256.hex(of: program)) }
    #expect(refusal?.status == 507)
  }

  @Test func whatAnUploadLeftIsRemovedAtTheNextStart() throws {
    try store.put(program, sha256: SHA256.hex(of: program))
    for name in ["half.partial", "last.output"] {
      try Data([1]).write(to: folder.appendingPathComponent(name))
    }
    let again = try ProgramStore(folder: folder, freeBytes: platform.freeBytes)
    #expect(again.count == 1)
    #expect(try files == ["\(SHA256.hex(of: program)).pte"])
  }
}
