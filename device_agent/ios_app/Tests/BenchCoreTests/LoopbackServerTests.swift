import Foundation
import Testing

@testable import BenchCore

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// A client that sends what it is told, and reads until the server hangs up or it has enough.
private final class Client {
  private let file: Int32

  init?(port: UInt16) {
    #if canImport(Glibc)
      file = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    #else
      file = socket(AF_INET, SOCK_STREAM, 0)
    #endif
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr = in_addr(s_addr: UInt32(0x7f00_0001).bigEndian)
    let length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let isConnected = withUnsafePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(file, $0, length) == 0 }
    }
    guard isConnected else { return nil }
  }

  deinit { close(file) }

  @discardableResult
  func send(_ text: String) -> Bool { Sockets.deliver(Array(text.utf8), to: file) }

  /// All that comes until those words did, or nothing more does.
  func read(until words: String? = nil) -> String {
    var text = ""
    while words.map({ !text.contains($0) }) ?? true, let bytes = Sockets.receive(from: file) {
      text += String(decoding: bytes, as: UTF8.self)
    }
    return text
  }
}

@Suite final class LoopbackServerTests {
  private let server = LoopbackServer(port: 0, bodyLimit: { _ in 1000 }) { request in
    HTTPResponse(200, .string(request.head.path + " \(request.body.count)"))
  }

  deinit { server.stop() }

  private func get(_ path: String, closing: Bool = false) -> String {
    "GET \(path) HTTP/1.1\r\n\(closing ? "Connection: close\r\n" : "")\r\n"
  }

  @Test func aConnectionCarriesManyRequests() throws {
    let client = try #require(Client(port: try server.start()))
    client.send(get("/one"))
    #expect(client.read(until: "\"/one 0\"").hasPrefix("HTTP/1.1 200 OK\r\n"))
    client.send(get("/two") + get("/three", closing: true) + get("/four"))
    let rest = client.read()
    #expect(rest.contains("\"/two 0\"") && rest.hasSuffix("Connection: close\r\n\r\n\"/three 0\""))
  }

  @Test func piecesArriveOneByOne() throws {
    let client = try #require(Client(port: try server.start()))
    for piece in ["PU", "T /x HTTP/1.1\r", "\nContent-Length: 4\r\n\r", "\nab", "cd"] {
      client.send(piece)
      Thread.sleep(forTimeInterval: 0.01)
    }
    #expect(client.read(until: "\"/x 4\"").hasPrefix("HTTP/1.1 200 OK\r\n"))
  }

  @Test func whoWaitsToBeToldToSendIsTold() throws {
    let client = try #require(Client(port: try server.start()))
    client.send("PUT /x HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
    #expect(client.read(until: "\r\n\r\n") == "HTTP/1.1 100 Continue\r\n\r\n")
    client.send("ab")
    #expect(client.read(until: "\"/x 2\"").hasPrefix("HTTP/1.1 200 OK\r\n"))
  }

  @Test func whoSendsTooMuchStillReadsWhy() throws {
    let client = try #require(Client(port: try server.start()))
    client.send("PUT /x HTTP/1.1\r\nContent-Length: 5000000\r\n\r\n")
    #expect(client.send(String(repeating: "x", count: 5_000_000)))
    #expect(client.read(until: "taken here").hasPrefix("HTTP/1.1 413 Content Too Large\r\n"))
  }

  @Test func whatIsNoRequestEndsTheConnection() throws {
    let client = try #require(Client(port: try server.start()))
    client.send("hello\r\n\r\n" + get("/never"))
    let text = client.read()
    #expect(text.hasPrefix("HTTP/1.1 400 Bad Request\r\n"))
    #expect(!text.contains("/never"))
  }

  @Test func manyClientsAtOnceAndNoneTooMany() throws {
    let port = try server.start()
    var clients: [Client] = []
    for _ in 0..<LoopbackServer.mostConnections {
      let client = try #require(Client(port: port))
      client.send(get("/in"))
      #expect(client.read(until: "\"/in 0\"").contains("200 OK"))
      clients.append(client)
    }
    let late = try #require(Client(port: port))
    #expect(late.read().hasPrefix("HTTP/1.1 503 Service Unavailable\r\n"))
  }

  @Test func aStoppedServerRefusesAndStartsAgainOnItsPort() throws {
    let port = try server.start()
    let old = try #require(Client(port: port))
    old.send(get("/one"))
    #expect(old.read(until: "\"/one 0\"").contains("200 OK"))
    server.stop()
    #expect(old.read() == "")  // ended
    #expect(Client(port: port) == nil)

    for _ in 1...3 {
      #expect(try server.start() == port)  // anew, though it listened
      let client = try #require(Client(port: port))
      client.send(get("/two", closing: true))
      #expect(client.read().contains("200 OK"))
    }
  }

  @Test func aPortInUseIsAnErrorThatNamesIt() throws {
    let port = try server.start()
    let other = LoopbackServer(port: port, bodyLimit: { _ in 0 }) { _ in HTTPResponse(200) }
    do {
      try other.start()
      Issue.record("two servers on one port")
    } catch let error as LoopbackServer.CannotListen {
      #expect(error.description.contains("port \(port)"))
    }
  }
}
