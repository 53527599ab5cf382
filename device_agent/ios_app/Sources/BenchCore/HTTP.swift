import Foundation

/// A request's first line and header fields. Field names are lowercase.
public struct HTTPHead: Equatable, Sendable {
  public let method: String
  public let path: String
  public let fields: [String: String]
  public let contentLength: Int?

  var closes: Bool { fields["connection"]?.lowercased() == "close" }
  var expectsContinue: Bool { fields["expect"]?.lowercased() == "100-continue" }

  /// Throws Refusal 400, or 411 for a body of unknown length.
  init(_ text: String) throws {
    var lines = text.components(separatedBy: "\r\n")[...]
    let words = lines.removeFirst().split(separator: " ", omittingEmptySubsequences: false)
    guard words.count == 3, words[2] == "HTTP/1.1" || words[2] == "HTTP/1.0",
      !words[0].isEmpty, words[1].hasPrefix("/")
    else { throw Refusal(400, "this is no HTTP/1.1 request") }
    var fields: [String: String] = [:]
    for line in lines {
      guard let colon = line.firstIndex(of: ":"), colon > line.startIndex,
        !line[..<colon].contains(where: \.isWhitespace)
      else { throw Refusal(400, "a header line is malformed") }
      let name = line[..<colon].lowercased()
      let value = line[line.index(after: colon)...].trimmingCharacters(in: .whitespaces)
      guard fields.updateValue(value, forKey: name) == nil || name != "content-length" else {
        throw Refusal(400, "Content-Length comes twice")
      }
    }
    guard fields["transfer-encoding"] == nil else {
      throw Refusal(411, "Content-Length is required; chunks are not understood")
    }
    if let length = fields["content-length"] {
      guard length.unicodeScalars.allSatisfy({ ("0"..."9").contains($0) }), let count = Int(length)
      else { throw Refusal(400, "Content-Length is no count of bytes") }
      contentLength = count
    } else {
      contentLength = nil
    }
    (method, path) = (String(words[0]), String(words[1]))
    self.fields = words[2] == "HTTP/1.0" ? fields.merging(["connection": "close"]) { $1 } : fields
  }
}

public struct HTTPRequest: Equatable, Sendable {
  public let head: HTTPHead
  public let body: [UInt8]
}

/// Makes requests of the bytes of one connection, in whatever pieces they come.
struct HTTPParser {
  static let largestHead = 16 << 10

  /// The head of a request whose body is not all here yet.
  private(set) var head: HTTPHead?
  private let bodyLimit: @Sendable (HTTPHead) throws -> Int
  private var buffer: [UInt8] = []
  private var isExpectationTaken = false
  private var searched = 0  // so many bytes hold no end of a head

  /// `bodyLimit` tells how many bytes a body may have, or refuses the request.
  init(bodyLimit: @escaping @Sendable (HTTPHead) throws -> Int) { self.bodyLimit = bodyLimit }

  var isEmpty: Bool { buffer.isEmpty && head == nil }

  mutating func append(_ bytes: some Collection<UInt8>) { buffer.append(contentsOf: bytes) }

  /// The next request, or nil where bytes of it are missing.
  ///
  /// Throws Refusal for what is no request; the connection cannot go on then.
  mutating func next() throws -> HTTPRequest? {
    if head == nil { head = try nextHead() }
    guard let head else { return nil }
    let count = head.contentLength ?? 0
    guard buffer.count >= count else { return nil }
    defer {
      buffer.removeFirst(count)
      self.head = nil
      isExpectationTaken = false
    }
    return HTTPRequest(head: head, body: Array(buffer[..<count]))
  }

  /// Whether the client waits to be told to send the body; true once a request.
  mutating func takeExpectation() -> Bool {
    guard let head, head.expectsContinue, !isExpectationTaken else { return false }
    isExpectationTaken = true
    return true
  }

  private mutating func nextHead() throws -> HTTPHead? {
    guard let end = endOfHead() else {
      guard buffer.count <= HTTPParser.largestHead else {
        throw Refusal(431, "the header is larger than \(HTTPParser.largestHead) bytes")
      }
      return nil
    }
    guard end <= HTTPParser.largestHead else {
      throw Refusal(431, "the header is larger than \(HTTPParser.largestHead) bytes")
    }
    guard let text = String(bytes: buffer[..<end], encoding: .utf8) else {
      throw Refusal(400, "the header is no UTF-8")
    }
    buffer.removeFirst(end + 4)
    searched = 0
    let head = try HTTPHead(text)
    let limit = try bodyLimit(head)
    if let length = head.contentLength, length > limit {
      throw Refusal(413, "\(length) bytes are too large: at most \(limit) are taken here")
    }
    return head
  }

  /// Where the empty line begins that ends the head.
  private mutating func endOfHead() -> Int? {
    var index = max(0, searched - 3)
    while index + 3 < buffer.count {
      if buffer[index] == 13, buffer[index + 1] == 10, buffer[index + 2] == 13,
        buffer[index + 3] == 10
      {
        return index
      }
      index += 1
    }
    searched = buffer.count
    return nil
  }
}

public struct HTTPResponse: Equatable, Sendable {
  public let status: Int
  public let body: [UInt8]

  init(status: Int, body: [UInt8] = []) {
    self.status = status
    self.body = body
  }

  init(_ status: Int, _ json: JSON? = nil) {
    self.init(status: status, body: json.map { Array($0.text.utf8) } ?? [])
  }

  init(_ refusal: Refusal) { self.init(refusal.status, refusal.json) }

  /// The bytes to send; the answer to HEAD has no body.
  func bytes(closing: Bool, withBody: Bool) -> [UInt8] {
    let head = """
      HTTP/1.1 \(status) \(HTTPResponse.phrases[status] ?? "Status \(status)")\r
      Content-Type: application/json\r
      Content-Length: \(body.count)\r
      \(closing ? "Connection: close\r\n" : "")\r

      """
    return Array(head.utf8) + (withBody ? body : [])
  }

  private static let phrases = [
    200: "OK", 201: "Created", 202: "Accepted", 400: "Bad Request", 404: "Not Found",
    409: "Conflict", 411: "Length Required", 413: "Content Too Large",
    422: "Unprocessable Content", 423: "Locked", 431: "Request Header Fields Too Large",
    500: "Internal Server Error", 503: "Service Unavailable", 507: "Insufficient Storage",
  ]
}
