import BenchCore
import SwiftUI

/// What the screen shows.
struct Status: Equatable {
  var bench: Bench.Snapshot?
  var programs = 0
  var thermal = Thermal.nominal
  var problem: String?
}

/// The app's one screen. Dark, so that it takes little power while a phone lies in a lab.
struct StatusScreen: View {
  let status: Status

  var body: some View {
    VStack(spacing: 16) {
      Text(headline).font(.largeTitle.bold())
      if let job = status.bench?.job {
        Text(job).font(.footnote.monospaced())
      }
      if let agent = status.bench?.agent {
        Text("in use by \(agent)")
      }
      Text("\(status.programs) programs · thermal state: \(status.thermal.rawValue)")
      if let problem = status.problem {
        Text(problem).foregroundColor(.red)
      }
    }
    .multilineTextAlignment(.center)
    .padding()
    .frame(maxWidth: .infinity, maxHeight: .infinity)
    .background(Color.black)
    .preferredColorScheme(.dark)
  }

  private var headline: String {
    guard status.problem == nil, let bench = status.bench else { return "Not ready" }
    switch bench.state {
    case .idle: return "Ready"
    case .busy: return "Busy"
    case .asleep: return "Asleep"
    }
  }
}
