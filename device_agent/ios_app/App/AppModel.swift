import BenchCore
import Combine
import NativeRunner
import UIKit

/// Tells the core when the app is in front, and the screen how the core is.
@MainActor
final class AppModel: ObservableObject {
  @Published private(set) var status = Status()

  private let platform = PhonePlatform()
  private var store: ProgramStore?
  private var app: BenchApp?

  init() {
    do {
      // iOS may empty this folder while the app does not run; agents then send programs again.
      let caches = try FileManager.default.url(
        for: .cachesDirectory, in: .userDomainMask, appropriateFor: nil, create: true)
      let platform = platform
      let store = try ProgramStore(folder: caches.appendingPathComponent("programs")) {
        platform.freeBytes()
      }
      let bench = Bench(platform: platform, store: store) { NativeRunner() }
      app = BenchApp(bench: bench, build: NativeRunner.build(isEmulated: false))
      self.store = store
    } catch {
      status.problem = "\(error)"
    }
    follow(UIApplication.didBecomeActiveNotification) { $0.becameActive() }
    follow(UIApplication.willResignActiveNotification) { $0.resignedActive() }
    if UIApplication.shared.applicationState == .active { becameActive() }
    // Seldom, from memory alone, and drawn only if it changed: more would take time from programs.
    _ = Timer.scheduledTimer(withTimeInterval: 2, repeats: true) { [weak self] _ in
      MainActor.assumeIsolated { self?.refresh() }
    }
  }

  private func becameActive() {
    platform.prepare()
    do {
      try app?.becameActive()
      if app != nil { status.problem = nil }
    } catch {
      status.problem = "\(error)"
    }
    refresh()
  }

  private func resignedActive() {
    app?.resignedActive()
    refresh()
  }

  private func refresh() {
    var fresh = status
    fresh.bench = app?.bench.snapshot
    fresh.programs = store?.count ?? 0
    fresh.thermal = platform.conditions().thermal
    if fresh != status { status = fresh }
  }

  private func follow(
    _ event: Notification.Name, _ act: @escaping @MainActor @Sendable (AppModel) -> Void
  ) {
    _ = NotificationCenter.default.addObserver(forName: event, object: nil, queue: .main) {
      [weak self] _ in
      MainActor.assumeIsolated { if let self { act(self) } }
    }
  }
}
