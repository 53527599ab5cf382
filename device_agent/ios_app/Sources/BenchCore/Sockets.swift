import Foundation

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// The few socket calls that the server makes, and where Darwin and Linux differ in them.
enum Sockets {
  private static let idleSeconds = 30
  private static let pieceBytes = 256 << 10
  private static let mostDrainedBytes = 256 << 20

  static var lastError: String { String(cString: strerror(errno)) }

  /// A listening socket on 127.0.0.1, and its port. Throws CannotListen.
  static func listener(port: UInt16) throws -> (socket: Int32, port: UInt16) {
    #if canImport(Glibc)
      let made = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    #else
      let made = socket(AF_INET, SOCK_STREAM, 0)
    #endif
    guard made >= 0 else {
      throw LoopbackServer.CannotListen(description: "no socket: \(lastError)")
    }
    set(made, SOL_SOCKET, SO_REUSEADDR, Int32(1))
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr = in_addr(s_addr: UInt32(0x7f00_0001).bigEndian)
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let isListening = withUnsafeMutablePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
        bind(made, address, length) == 0 && getsockname(made, address, &length) == 0
          && listen(made, 8) == 0
      }
    }
    guard isListening else {
      let reason = lastError
      close(made)
      throw LoopbackServer.CannotListen(
        description: "cannot listen on 127.0.0.1, port \(port): \(reason)")
    }
    return (made, UInt16(bigEndian: address.sin_port))
  }

  /// Waits; false once the other end of `wake` was closed, or the listener failed.
  static func waitForClient(of listener: Int32, or wake: Int32) -> Bool {
    while true {
      var polled = [
        pollfd(fd: listener, events: Int16(POLLIN), revents: 0),
        pollfd(fd: wake, events: Int16(POLLIN), revents: 0),
      ]
      let count = poll(&polled, 2, -1)
      if count < 0, errno == EINTR { continue }
      return count > 0 && polled[1].revents == 0 && polled[0].revents == Int16(POLLIN)
    }
  }

  /// A client's socket, which gives up after half a minute without a byte.
  static func nextClient(of listener: Int32) -> Int32? {
    let client = accept(listener, nil, nil)
    guard client >= 0 else { return nil }
    set(client, Int32(IPPROTO_TCP), TCP_NODELAY, Int32(1))
    set(client, SOL_SOCKET, SO_RCVTIMEO, timeval(tv_sec: idleSeconds, tv_usec: 0))
    set(client, SOL_SOCKET, SO_SNDTIMEO, timeval(tv_sec: idleSeconds, tv_usec: 0))
    #if !canImport(Glibc)
      set(client, SOL_SOCKET, SO_NOSIGPIPE, Int32(1))
    #endif
    return client
  }

  /// The next bytes, or nil where none come any more.
  static func receive(from client: Int32) -> ArraySlice<UInt8>? {
    var piece = [UInt8](repeating: 0, count: pieceBytes)
    let count = recv(client, &piece, piece.count, 0)
    return count > 0 ? piece[..<count] : nil
  }

  static func deliver(_ bytes: [UInt8], to client: Int32) -> Bool {
    #if canImport(Glibc)
      let flags = Int32(MSG_NOSIGNAL)
    #else
      let flags: Int32 = 0
    #endif
    return bytes.withUnsafeBytes { whole in
      var sent = 0
      while sent < whole.count {
        let count = send(client, whole.baseAddress! + sent, whole.count - sent, flags)
        guard count > 0 else { return false }
        sent += count
      }
      return true
    }
  }

  /// Lets a client that still sends read its answer, before the connection is closed.
  static func drain(_ client: Int32) {
    shutdown(client, Int32(SHUT_WR))
    var drained = 0
    while drained < mostDrainedBytes, let bytes = receive(from: client) { drained += bytes.count }
  }

  private static func set<Value: BitwiseCopyable>(
    _ socket: Int32, _ level: Int32, _ option: Int32, _ value: Value
  ) {
    var value = value
    setsockopt(socket, level, option, &value, socklen_t(MemoryLayout<Value>.size))
  }
}
