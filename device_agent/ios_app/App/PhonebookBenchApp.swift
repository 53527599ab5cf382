import SwiftUI

@main
struct PhonebookBenchApp: App {
  @StateObject private var model = AppModel()

  var body: some Scene {
    WindowGroup { StatusScreen(status: model.status) }
  }
}
