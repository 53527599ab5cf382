import Foundation

/// How a job ended.
struct JobResult: Sendable {
  enum Status: String, Sendable {
    case ok, failed, tooHot = "too_hot", lowPower = "low_power", interrupted, stopped
  }

  struct Failure: Decodable, Sendable {
    let code: String
    let message: String

    enum CodingKeys: String, CodingKey {
      case code = "error"
      case message
    }
  }

  let request: JobRequest
  let status: Status
  let failure: Failure?
  let answer: String?
  let output: Data?
  let before: Conditions
  let after: Conditions

  /// Text, made once: an agent may ask twice.
  var body: [UInt8] {
    let error: JSON =
      failure.map {
        .object([("code", .string($0.code)), ("message", .string($0.message))])
      } ?? .null
    let members: [(String, JSON)] = [
      ("job", .string(request.job)),
      ("sha256", .string(request.sha256)),
      ("status", .string(status.rawValue)),
      ("error", error),
      ("answer", answer.map(JSON.line) ?? .null),
      ("output", .optional(output?.base64EncodedString())),
      ("before", before.json),
      ("after", after.json),
    ]
    return Array(JSON.object(members).text.utf8)
  }
}
