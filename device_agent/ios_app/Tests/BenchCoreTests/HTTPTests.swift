import Testing

@testable import BenchCore

@Suite struct HTTPTests {
  static let put = "PUT /v1/programs/x HTTP/1.1\r\nHost: phone\r\nContent-Length: 5\r\n\r\nhello"
  static let get = "GET /v1/info HTTP/1.1\r\nX-Phonebook-Agent:  lab-1 \r\n\r\n"

  private func parser() -> HTTPParser { HTTPParser(bodyLimit: Routes.bodyLimit) }

  private func refusal(of text: String) -> Refusal? {
    var parser = parser()
    parser.append(Array(text.utf8))
    do {
      _ = try parser.next()
      return nil
    } catch {
      return error as? Refusal
    }
  }

  @Test(arguments: [1, 2, 3, 7, 64, 1000])
  func piecesOfAnySizeMakeTheSameRequests(size: Int) throws {
    var parser = parser()
    var requests: [HTTPRequest] = []
    let bytes = Array((Self.put + Self.get + Self.put).utf8)
    for start in stride(from: 0, to: bytes.count, by: size) {
      parser.append(bytes[start..<min(start + size, bytes.count)])
      while let request = try parser.next() { requests.append(request) }
    }
    #expect(requests.map(\.head.method) == ["PUT", "GET", "PUT"])
    #expect(requests.map(\.head.path) == ["/v1/programs/x", "/v1/info", "/v1/programs/x"])
    #expect(requests.map { String(decoding: $0.body, as: UTF8.self) } == ["hello", "", "hello"])
    #expect(requests[1].head.fields["x-phonebook-agent"] == "lab-1")
  }

  @Test(arguments: [
    "hello\r\n\r\n", "\r\n\r\n", "GET /v1/info\r\n\r\n", "GET /v1/info HTTP/2\r\n\r\n",
    "GET  /v1/info HTTP/1.1\r\n\r\n", "GET v1/info HTTP/1.1\r\n\r\n",
    "GET / HTTP/1.1\r\nno colon\r\n\r\n", "GET / HTTP/1.1\r\n: no name\r\n\r\n",
    "GET / HTTP/1.1\r\nHost : phone\r\n\r\n", "GET / HTTP/1.1\r\n folded: line\r\n\r\n",
    "PUT / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", "PUT / HTTP/1.1\r\nContent-Length: +1\r\n\r\n",
    "PUT / HTTP/1.1\r\nContent-Length: 1 1\r\n\r\n", "PUT / HTTP/1.1\r\nContent-Length:\r\n\r\n",
    "PUT / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
    "PUT / HTTP/1.1\r\nContent-Length: 1\r\ncontent-length: 1\r\n\r\n",
  ])
  func whatIsNoRequest(text: String) { #expect(refusal(of: text)?.status == 400) }

  @Test func textThatIsNoUTF8() {
    var parser = parser()
    parser.append([UInt8(ascii: "G"), 0xff, 0xfe, 13, 10, 13, 10])
    #expect(throws: Refusal(400, "the header is no UTF-8")) { try parser.next() }
  }

  @Test(arguments: [
    ("PUT /v1/programs/x HTTP/1.1\r\n\r\n", 411),
    ("PUT /v1/programs/x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", 411),
    ("PUT /v1/programs/x HTTP/1.1\r\nContent-Length: 67108865\r\n\r\n", 413),
    ("POST /v1/jobs HTTP/1.1\r\nContent-Length: 65537\r\n\r\n", 413),
  ])
  func whatIsTooLargeOrOfNoLength(text: String, status: Int) {
    #expect(refusal(of: text)?.status == status)
  }

  @Test(arguments: ["GET / HTTP/1.1\r\nX: ", ""])
  func aHeadThatIsTooLarge(start: String) {
    let endless = start + String(repeating: "y", count: HTTPParser.largestHead + 1)
    #expect(refusal(of: endless)?.status == 431)
    #expect(refusal(of: endless + "\r\n\r\n")?.status == 431)
  }

  @Test func theLargestProgramIsTaken() throws {
    var parser = parser()
    parser.append(Array("PUT /v1/programs/x HTTP/1.1\r\nContent-Length: 67108864\r\n\r\n".utf8))
    #expect(try parser.next() == nil)
  }

  @Test func whoWaitsToBeToldToSendIsToldOnce() throws {
    var parser = parser()
    let head = "PUT / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n"
    for _ in 1...2 {
      parser.append(Array(head.utf8))
      #expect(try parser.next() == nil)
      let told = [parser.takeExpectation(), parser.takeExpectation()]
      #expect(told == [true, false])
      parser.append([0])
      #expect(try parser.next()?.body == [0])
    }
  }

  @Test func oldClientsWantTheConnectionClosed() throws {
    #expect(try HTTPHead("GET / HTTP/1.0").closes)
    #expect(try HTTPHead("GET / HTTP/1.1\r\nConnection: Close").closes)
    #expect(try !HTTPHead("GET / HTTP/1.1").closes)
  }

  @Test func anAnswerAsBytes() {
    let answer = HTTPResponse(Refusal(423, "in use by \"a\"\n", agent: "a"))
    let text = String(decoding: answer.bytes(closing: true, withBody: true), as: UTF8.self)
    #expect(
      text == "HTTP/1.1 423 Locked\r\nContent-Type: application/json\r\nContent-Length: 48\r\n"
        + "Connection: close\r\n\r\n{\"error\": \"in use by \\\"a\\\"\\u000a\", \"agent\": \"a\"}")
    let head = HTTPResponse(404).bytes(closing: false, withBody: false)
    #expect(String(decoding: head, as: UTF8.self).hasSuffix("\r\nContent-Length: 0\r\n\r\n"))
  }
}
