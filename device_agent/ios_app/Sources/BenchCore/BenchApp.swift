/// The app without its screen: the bench and its server, told when the app is active.
public final class BenchApp: Sendable {
  /// Where agents look for the app.
  public static let port: UInt16 = 8742

  public let bench: Bench
  private let server: LoopbackServer

  public init(bench: Bench, build: BuildFacts, port: UInt16 = BenchApp.port) {
    self.bench = bench
    let routes = Routes(bench: bench, build: build)
    server = LoopbackServer(port: port, bodyLimit: Routes.bodyLimit) { routes.answer($0) }
  }

  /// Binds anew: after a suspension the old listener is of no use. Gives the port.
  @discardableResult
  public func becameActive() throws -> UInt16 {
    let port = try server.start()
    bench.wake()
    return port
  }

  /// A job that runs is interrupted. Until the system suspends the app, it still answers.
  public func resignedActive() { bench.sleep() }

  /// What a suspension does to the app's sockets; iOS does it by itself.
  public func suspended() {
    bench.sleep()
    server.stop()
  }
}
