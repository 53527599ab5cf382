import Foundation

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// An HTTP/1.1 server on 127.0.0.1, a thread for each connection.
///
/// iOS makes a listener useless when it suspends the app, and `accept` then fails for ever. So an
/// accept that fails is never tried again: the app starts the server anew when it becomes active.
public final class LoopbackServer: @unchecked Sendable {
  static let mostConnections = 8

  public struct CannotListen: Error, CustomStringConvertible {
    public let description: String
  }

  private struct Listener {
    let wake: Int32  // writing to it ends the listener's thread
    let ended: DispatchSemaphore
  }

  private let bodyLimit: @Sendable (HTTPHead) throws -> Int
  private let answer: @Sendable (HTTPRequest) -> HTTPResponse
  private let lock = NSLock()  // guards all below
  private var port: UInt16
  private var listener: Listener?
  private var connections: Set<Int32> = []

  /// Port 0 takes a free one, and keeps it.
  public init(
    port: UInt16, bodyLimit: @escaping @Sendable (HTTPHead) throws -> Int,
    answer: @escaping @Sendable (HTTPRequest) -> HTTPResponse
  ) {
    self.port = port
    self.bodyLimit = bodyLimit
    self.answer = answer
  }

  /// Listens anew, whatever was before; gives the port. Throws CannotListen.
  @discardableResult
  public func start() throws -> UInt16 {
    stop()
    let (socket, port) = try Sockets.listener(port: lock.withLock { self.port })
    var ends: [Int32] = [0, 0]
    guard pipe(&ends) == 0 else {
      close(socket)
      throw CannotListen(description: "no pipe: \(Sockets.lastError)")
    }
    let ended = DispatchSemaphore(value: 0)
    lock.withLock {
      self.port = port
      listener = Listener(wake: ends[1], ended: ended)
    }
    let wake = ends[0]
    Thread.detachNewThread { [weak self] in
      while Sockets.waitForClient(of: socket, or: wake),
        let client = Sockets.nextClient(of: socket)
      {
        self?.begin(client)
      }
      close(socket)
      close(wake)
      ended.signal()
    }
    return port
  }

  /// Stops listening and ends every connection; returns when the port is free again.
  public func stop() {
    let closing = lock.withLock {
      for connection in connections { shutdown(connection, Int32(SHUT_RDWR)) }
      defer { listener = nil }
      return listener
    }
    guard let closing else { return }
    close(closing.wake)
    closing.ended.wait()
  }

  // MARK: Connections

  private func begin(_ client: Int32) {
    let isWelcome = lock.withLock {
      guard connections.count < LoopbackServer.mostConnections else { return false }
      connections.insert(client)
      return true
    }
    guard isWelcome else {
      let refusal = HTTPResponse(Refusal(503, "too many connections"))
      _ = Sockets.deliver(refusal.bytes(closing: true, withBody: true), to: client)
      close(client)
      return
    }
    Thread.detachNewThread { [self] in
      serve(client)
      lock.withLock {
        connections.remove(client)
        close(client)
      }
    }
  }

  private func serve(_ client: Int32) {
    var parser = HTTPParser(bodyLimit: bodyLimit)
    do {
      while true {
        while let request = try parser.next() {
          let response = answer(request)
          let bytes = response.bytes(
            closing: request.head.closes, withBody: request.head.method != "HEAD")
          guard Sockets.deliver(bytes, to: client), !request.head.closes else { return }
        }
        if parser.takeExpectation() {
          let goOn = Array("HTTP/1.1 100 Continue\r\n\r\n".utf8)
          guard Sockets.deliver(goOn, to: client) else { return }
        }
        guard let bytes = Sockets.receive(from: client) else { return }
        parser.append(bytes)
      }
    } catch {
      let refusal = error as? Refusal ?? Refusal(500, "\(error)")
      let response = HTTPResponse(refusal).bytes(closing: true, withBody: true)
      if Sockets.deliver(response, to: client) { Sockets.drain(client) }
    }
  }
}
