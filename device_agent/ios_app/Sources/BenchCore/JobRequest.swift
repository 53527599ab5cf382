import Foundation

/// A job as an agent posts it. Its counts mean what runner.h says of them.
public struct JobRequest: Decodable, Equatable, Sendable {
  public enum MemoryFormat: String, Decodable, Sendable {
    case contiguous
    case channelsLast = "channels_last"
  }

  public let job: String
  public let sha256: String
  public let threads: Int64
  public let memoryFormat: MemoryFormat
  public let warmupRuns: Int64
  public let minRuns: Int64
  public let maxRuns: Int64
  public let minDurationNs: Int64
  public let deadlineNs: Int64
  public let trace: Bool
  public let maxThermal: Thermal

  enum CodingKeys: String, CodingKey {
    case job, sha256, threads, trace
    case memoryFormat = "memory_format"
    case warmupRuns = "warmup_runs"
    case minRuns = "min_runs"
    case maxRuns = "max_runs"
    case minDurationNs = "min_duration_ns"
    case deadlineNs = "deadline_ns"
    case maxThermal = "max_thermal"
  }

  /// Throws Refusal 400 where the body is no job.
  init(body: [UInt8]) throws {
    do {
      self = try JSONDecoder().decode(JobRequest.self, from: Data(body))
    } catch DecodingError.keyNotFound(let key, _) {
      throw Refusal(400, "not a job: \(key.stringValue) is missing")
    } catch DecodingError.typeMismatch(_, let context), DecodingError.valueNotFound(_, let context),
      DecodingError.dataCorrupted(let context)
    {
      let path = context.codingPath.map(\.stringValue).joined(separator: ".")
      throw Refusal(
        400,
        path.isEmpty
          ? "not a job: this is no JSON object" : "not a job: \(path) is not what a job has there")
    }
    guard JobRequest.isName(job) else {
      throw Refusal(400, "not a job: job is a name of at most 100 letters, digits and hyphens")
    }
    guard SHA256.isHex(sha256) else {
      throw Refusal(400, "not a job: sha256 is 64 lowercase hexadecimal digits")
    }
  }

  /// Throws Refusal 422 where no device could do this.
  func checkCounts() throws {
    let rules: [(Bool, String)] = [
      ((1...64).contains(threads), "threads lies between 1 and 64"),
      ((0...100_000).contains(warmupRuns), "warmup_runs lies between 0 and 100000"),
      (minRuns >= 1, "min_runs is at least 1"),
      (maxRuns >= minRuns, "max_runs is at least min_runs"),
      (maxRuns <= 10_000_000, "max_runs is at most 10000000"),
      (minDurationNs >= 0, "min_duration_ns is not negative"),
      (deadlineNs >= 1, "deadline_ns is at least 1"),
      (deadlineNs <= 3_600_000_000_000, "deadline_ns is at most an hour"),
    ]
    for (holds, rule) in rules where !holds {
      throw Refusal(422, "the job makes no sense: \(rule)")
    }
  }

  static func isName(_ text: some StringProtocol) -> Bool {
    (1...100).contains(text.utf8.count)
      && text.unicodeScalars.allSatisfy {
        ("0"..."9").contains($0) || ("A"..."Z").contains($0) || ("a"..."z").contains($0)
          || $0 == "-"
      }
  }
}

/// A request that the app does not carry out, as an HTTP status and a sentence.
public struct Refusal: Error, Equatable {
  public let status: Int
  public let message: String
  public var agent: String?  // who holds the app
  public var job: String?  // which runs instead

  init(_ status: Int, _ message: String, agent: String? = nil, job: String? = nil) {
    self.status = status
    self.message = message
    self.agent = agent
    self.job = job
  }

  var json: JSON {
    var members: [(String, JSON)] = [("error", .string(message))]
    if let agent { members.append(("agent", .string(agent))) }
    if let job { members.append(("job", .string(job))) }
    return .object(members)
  }
}
