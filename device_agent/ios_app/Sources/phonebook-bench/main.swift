// The app core without a phone. Timings of this program are emulated ones: they mean nothing.
import BenchCore
import Foundation
import NativeRunner

let usage = "usage: phonebook-bench --programs DIR [--port N] [--platform FILE.json]\n"
let lookEvery: TimeInterval = 0.02

func fail(_ message: String, code: Int32) -> Never {
  FileHandle.standardError.write(Data("\(message)\n".utf8))
  exit(code)
}

var options: [String: String] = [:]
var words = CommandLine.arguments.dropFirst()
while let option = words.popFirst() {
  guard ["--programs", "--port", "--platform"].contains(option), let value = words.popFirst() else {
    fail(usage, code: 2)
  }
  options[option] = value
}
guard let folder = options["--programs"],
  let port = UInt16(options["--port"] ?? String(BenchApp.port))
else { fail(usage, code: 2) }

do {
  let platform = PlatformFile(path: options["--platform"])
  let store = try ProgramStore(folder: URL(fileURLWithPath: folder)) { platform.freeBytes() }
  let bench = Bench(platform: platform, store: store) { NativeRunner() }
  let app = BenchApp(bench: bench, build: NativeRunner.build(isEmulated: true), port: port)
  var was = AppState.suspended
  while true {
    let state = platform.appState
    if state != was {
      switch state {
      case .active:
        print("listening on 127.0.0.1, port \(try app.becameActive())")
      case .inactive:
        app.resignedActive()
      case .suspended:
        app.suspended()
      }
      print("app: \(state.rawValue)")
      fflush(nil)
      was = state
    }
    Thread.sleep(forTimeInterval: lookEvery)
  }
} catch {
  fail("phonebook-bench: \(error)", code: 1)
}
