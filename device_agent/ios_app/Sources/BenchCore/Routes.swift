/// The protocol, version 1: requests in, what the bench does, answers out.
public struct Routes: Sendable {
  static let smallBody = 64 << 10

  private let bench: Bench
  private let build: BuildFacts

  public init(bench: Bench, build: BuildFacts) {
    self.bench = bench
    self.build = build
  }

  /// How large a body may be; a refusal where none may come.
  static func bodyLimit(_ head: HTTPHead) throws -> Int {
    guard head.method == "PUT" else { return smallBody }
    guard head.contentLength != nil else {
      throw Refusal(411, "Content-Length is required")
    }
    return ProgramStore.largestBytes
  }

  public func answer(_ request: HTTPRequest) -> HTTPResponse {
    let agent = request.head.fields["x-phonebook-agent"]
    bench.seen(agent)
    do {
      return try answer(request, agent: agent)
    } catch let refusal as Refusal {
      return HTTPResponse(refusal)
    } catch {
      return HTTPResponse(Refusal(500, "\(error)"))
    }
  }

  private func answer(_ request: HTTPRequest, agent: String?) throws -> HTTPResponse {
    let parts = request.head.path.split(separator: "/", omittingEmptySubsequences: false)
    guard parts.count >= 3, parts[0].isEmpty, parts[1] == "v1" else { throw noSuchPath(request) }
    let name = parts.count == 4 ? String(parts[3]) : nil
    switch (request.head.method, parts[2], name, parts.count) {
    case ("GET", "info", nil, 3):
      return HTTPResponse(200, info)
    case ("HEAD", "programs", let sha256?, _):
      return HTTPResponse(bench.store.has(try checked(sha256)) ? 200 : 404)
    case ("PUT", "programs", let sha256?, _):
      try bench.put(request.body, sha256: try checked(sha256), agent: agent)
      return HTTPResponse(201, .object([("bytes", .integer(Int64(request.body.count)))]))
    case ("DELETE", "programs", nil, 3):
      try bench.removePrograms(agent: agent)
      return HTTPResponse(200, .object([]))
    case ("POST", "jobs", nil, 3):
      let job = try JobRequest(body: request.body)
      try bench.post(job, agent: agent)
      return HTTPResponse(202, .object([("job", .string(job.job))]))
    case ("GET", "jobs", let job?, _):
      guard let result = try bench.result(of: job) else {
        return HTTPResponse(
          202, .object([("job", .string(job)), ("status", .string("running"))]))
      }
      return HTTPResponse(status: 200, body: result.body)
    case ("DELETE", "jobs", let job?, _):
      try bench.stop(job, agent: agent)
      return HTTPResponse(200, .object([]))
    default:
      throw noSuchPath(request)
    }
  }

  private var info: JSON {
    let device = bench.platform.device
    let now = bench.snapshot
    return .object([
      ("app", .string("phonebook-bench")),
      ("protocol", .integer(BuildFacts.protocolVersion)),
      ("version", .string(BuildFacts.version)),
      ("model", .string(device.model)),
      ("name", .string(device.name)),
      ("soc", .optional(device.soc)),
      ("os", .string(device.os)),
      ("build", .string(device.build)),
      ("cores", .integer(Int64(device.cores))),
      ("memory_bytes", .integer(device.memoryBytes)),
      ("executorch", .string(build.executorch)),
      ("runner", .string("native")),
      ("tracer", .bool(build.canTrace)),
      ("emulated", .bool(build.isEmulated)),
      ("state", .string(now.state.rawValue)),
      ("job", .optional(now.job)),
      ("free_bytes", .integer(bench.platform.freeBytes())),
      ("conditions", bench.platform.conditions().json),
    ])
  }

  private func checked(_ sha256: String) throws -> String {
    guard SHA256.isHex(sha256) else {
      throw Refusal(400, "a program's name is its SHA-256, 64 lowercase hexadecimal digits")
    }
    return sha256
  }

  private func noSuchPath(_ request: HTTPRequest) -> Refusal {
    Refusal(404, "\(request.head.method) \(request.head.path) is nothing this app knows")
  }
}
