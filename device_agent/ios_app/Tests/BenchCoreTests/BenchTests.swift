import Foundation
import Testing

@testable import BenchCore

/// The app's rules, by the requests that an agent makes.
@Suite final class BenchTests {
  private let folder = temporaryFolder()
  private let platform = FakePlatform()
  private let runner = FakeRunner()
  private let clock = FakeClock()
  private let bench: Bench
  private let routes: Routes
  private let sha256 = SHA256.hex(of: [1, 2, 3])

  init() throws {
    let (runner, clock) = (runner, clock)
    let store = try ProgramStore(folder: folder, freeBytes: platform.freeBytes)
    try store.put([1, 2, 3], sha256: sha256)
    bench = Bench(platform: platform, store: store, now: clock.now) { runner }
    bench.wake()
    routes = Routes(
      bench: bench, build: BuildFacts(executorch: "1.5.1", canTrace: true, isEmulated: true))
  }

  deinit {
    runner.letGo()
    try? FileManager.default.removeItem(at: folder)
  }

  // MARK: What an agent says

  private struct Answer {
    let status: Int
    let text: String

    subscript(key: String) -> String? { members[key] as? String }
    var members: [String: Any] {
      (try? JSONSerialization.jsonObject(with: Data(text.utf8))) as? [String: Any] ?? [:]
    }
  }

  private func ask(
    _ method: String, _ path: String, _ body: String = "", agent: String? = "lab"
  ) -> Answer {
    let header = agent.map { "\r\nX-Phonebook-Agent: \($0)" } ?? ""
    let head = try! HTTPHead("\(method) \(path) HTTP/1.1\(header)")
    let response = routes.answer(HTTPRequest(head: head, body: Array(body.utf8)))
    return Answer(status: response.status, text: String(decoding: response.body, as: UTF8.self))
  }

  private func job(_ name: String = "one", _ changes: [String: Any?] = [:]) -> String {
    var members: [String: Any] = [
      "job": name, "sha256": sha256, "threads": 1, "memory_format": "contiguous",
      "warmup_runs": 3, "min_runs": 20, "max_runs": 200, "min_duration_ns": 300_000_000,
      "deadline_ns": 60_000_000_000, "trace": true, "max_thermal": "fair",
    ]
    for (key, value) in changes { members[key] = value }
    return String(
      decoding: try! JSONSerialization.data(withJSONObject: members), as: UTF8.self)
  }

  /// Waits for the job's end, for ten seconds at most.
  private func result(of name: String = "one", agent: String? = "lab") -> Answer {
    for _ in 0..<10_000 {
      let answer = ask("GET", "/v1/jobs/\(name)", agent: agent)
      if answer.status != 202 { return answer }
      Thread.sleep(forTimeInterval: 0.001)
    }
    return Answer(status: 0, text: "\(name) never ended")
  }

  // MARK: One job

  @Test func aJobRunsAndItsAnswerGoesOutAsItCame() {
    let posted = ask("POST", "/v1/jobs", job())
    #expect(posted.status == 202)
    #expect(posted["job"] == "one")
    let done = result()
    #expect(done.status == 200)
    #expect(done["status"] == "ok")
    #expect(done["sha256"] == sha256)
    #expect(done["output"] == Data("floats".utf8).base64EncodedString())
    #expect(done.members["error"] is NSNull)
    #expect(done.text.contains("\"answer\": \(FakeRunner.answer), "))
    let before = done.members["before"] as? [String: Any]
    #expect(before?["thermal"] as? String == "nominal")
    #expect(before?["battery"] as? Double == 0.5)
    #expect(before?["charging"] is NSNull)
    #expect(ask("DELETE", "/v1/jobs/one").status == 200)  // ended already
  }

  @Test func theRunnerGetsWhatTheAgentAsked() throws {
    _ = ask("POST", "/v1/jobs", job("a", ["memory_format": "channels_last", "trace": false]))
    #expect(result(of: "a")["status"] == "ok")
    let asked = try #require(runner.jobs.first)
    #expect(asked.memoryFormat == .channelsLast)
    #expect((asked.threads, asked.warmupRuns, asked.minRuns, asked.maxRuns) == (1, 3, 20, 200))
    #expect((asked.minDurationNs, asked.deadlineNs) == (300_000_000, 60_000_000_000))
    #expect(!asked.trace)
  }

  @Test func theSameJobIsRunOnce() {
    runner.hold()
    for _ in 1...3 { #expect(ask("POST", "/v1/jobs", job()).status == 202) }
    let other = ask("POST", "/v1/jobs", job("one", ["threads": 2]))
    #expect(other.status == 409)
    #expect(other["error"] == "the name one belongs to another job")
    runner.letGo()
    #expect(result()["status"] == "ok")
    #expect(ask("POST", "/v1/jobs", job()).status == 202)
    #expect(ask("POST", "/v1/jobs", job("one", ["threads": 2])).status == 409)
    #expect(result()["status"] == "ok")
    #expect(runner.jobs.count == 1)
  }

  @Test func allJobsRunOnOneThread() {
    for name in ["a", "b", "c"] {
      _ = ask("POST", "/v1/jobs", job(name))
      #expect(result(of: name)["status"] == "ok")
    }
    #expect(runner.jobs.count == 3)
    #expect(runner.threads.count == 1)
  }

  @Test func aRunnersErrorIsTheJobs() {
    runner.say(#"{"error": "load_failed", "message": "reading the program: \"x\""}"#)
    _ = ask("POST", "/v1/jobs", job())
    let done = result()
    #expect(done["status"] == "failed")
    let error = done.members["error"] as? [String: String]
    #expect(error == ["code": "load_failed", "message": "reading the program: \"x\""])
    #expect(done.members["answer"] is NSNull)
    #expect(done.members["output"] is NSNull)
  }

  // MARK: What is no job

  @Test(arguments: [
    "", "{}", "[]", "null", "{\"job\": 1}", "\u{0}",
  ])
  func whatIsNoJobAtAll(body: String) {
    let answer = ask("POST", "/v1/jobs", body)
    #expect(answer.status == 400)
    #expect(answer["error"]?.hasPrefix("not a job: ") == true)
  }

  @Test(arguments: [
    ("job", "../x"), ("job", ""), ("sha256", "abc"), ("threads", "one"), ("trace", "yes"),
    ("memory_format", "nhwc"), ("max_thermal", "cold"), ("min_runs", "1.5"),
  ])
  func whatIsNotWhatAJobHas(key: String, value: String) {
    let answer = ask("POST", "/v1/jobs", job("one", [key: value]))
    #expect(answer.status == 400)
    #expect(answer["error"]?.contains(key) == true)
    let missing = ask("POST", "/v1/jobs", job("one", [key: NSNull()]))
    #expect(missing.status == 400)
  }

  @Test(arguments: [
    ("threads", 0), ("threads", 65), ("warmup_runs", -1), ("min_runs", 0), ("max_runs", 19),
    ("max_runs", 10_000_001), ("min_duration_ns", -1), ("deadline_ns", 0),
    ("deadline_ns", 3_600_000_000_001),
  ])
  func countsThatMakeNoSense(key: String, value: Int) {
    let answer = ask("POST", "/v1/jobs", job("one", [key: value]))
    #expect(answer.status == 422)
    #expect(answer["error"]?.contains(key) == true)
    #expect(runner.jobs.isEmpty)
  }

  @Test func aProgramThatIsNotHere() {
    let other = String(repeating: "0", count: 64)
    #expect(ask("POST", "/v1/jobs", job("one", ["sha256": other])).status == 409)
    #expect(ask("GET", "/v1/jobs/one").status == 404)
  }

  // MARK: One at a time, for one agent

  @Test func aSecondJobIsToldWhichRuns() {
    runner.hold()
    _ = ask("POST", "/v1/jobs", job())
    let busy = ask("POST", "/v1/jobs", job("two"))
    #expect(busy.status == 423)
    #expect(busy["job"] == "one")
    #expect(ask("DELETE", "/v1/programs").status == 423)
    let info = ask("GET", "/v1/info")
    #expect(info["state"] == "busy")
    #expect(info["job"] == "one")
    #expect(ask("GET", "/v1/jobs/one")["status"] == "running")
    runner.letGo()
    #expect(result()["status"] == "ok")
    #expect(ask("GET", "/v1/info")["state"] == "idle")
    #expect(ask("POST", "/v1/jobs", job("two")).status == 202)
  }

  @Test func anAgentHoldsTheAppForAMinute() {
    _ = ask("POST", "/v1/jobs", job())
    _ = result()
    for (method, path) in [
      ("POST", "/v1/jobs"), ("DELETE", "/v1/jobs/one"), ("DELETE", "/v1/programs"),
      ("PUT", "/v1/programs/\(sha256)"),
    ] {
      for other in ["home", nil] {
        let refused = ask(method, path, job("two"), agent: other)
        #expect(refused.status == 423)
        #expect(refused["agent"] == "lab")
        #expect(refused["error"] == "in use by lab")
      }
    }
    #expect(ask("GET", "/v1/jobs/one", agent: "home").status == 200)
    clock.pass(.seconds(59))
    #expect(ask("GET", "/v1/info", agent: "lab").status == 200)  // holds on
    clock.pass(.seconds(59))
    #expect(ask("POST", "/v1/jobs", job("two"), agent: "home").status == 423)
    clock.pass(.seconds(1))
    #expect(ask("POST", "/v1/jobs", job("two"), agent: "home").status == 202)
    _ = result(of: "two")
    #expect(ask("POST", "/v1/jobs", job("three"), agent: "lab")["agent"] == "home")
  }

  @Test func anAgentHoldsTheAppWhileItsJobRunsAndForAMinuteMore() {
    runner.hold()
    _ = ask("POST", "/v1/jobs", job())
    clock.pass(.seconds(600))  // without a word
    #expect(bench.snapshot.agent == "lab")
    #expect(ask("POST", "/v1/jobs", job("two"), agent: "home")["agent"] == "lab")
    #expect(ask("DELETE", "/v1/jobs/one", agent: "home").status == 423)
    runner.letGo()
    #expect(result(of: "one", agent: "home")["status"] == "ok")
    clock.pass(.seconds(59))
    #expect(ask("POST", "/v1/jobs", job("two"), agent: "home").status == 423)
    clock.pass(.seconds(1))
    #expect(ask("POST", "/v1/jobs", job("two"), agent: "home").status == 202)
    #expect(result(of: "two", agent: "home")["status"] == "ok")
  }

  @Test func aProgramIsTakenFromWhoeverHoldsTheApp() {
    let hello = SHA256.hex(of: Array("hello".utf8))
    #expect(ask("PUT", "/v1/programs/\(hello)", "hello", agent: "home").status == 201)
    runner.hold()
    _ = ask("POST", "/v1/jobs", job())
    let bye = SHA256.hex(of: Array("bye".utf8))
    let refused = ask("PUT", "/v1/programs/\(bye)", "bye", agent: "home")
    #expect(refused.status == 423)
    #expect(refused["error"] == "in use by lab")
    #expect(ask("HEAD", "/v1/programs/\(bye)").status == 404)
    #expect(ask("PUT", "/v1/programs/\(bye)", "bye").status == 201)  // though its job runs
    runner.letGo()
    #expect(result()["status"] == "ok")
  }

  @Test func resultsExpire() {
    _ = ask("POST", "/v1/jobs", job())
    #expect(result().status == 200)
    clock.pass(.seconds(599))
    #expect(ask("GET", "/v1/jobs/one").status == 200)
    clock.pass(.seconds(1))
    #expect(ask("GET", "/v1/jobs/one").status == 404)
    #expect(ask("DELETE", "/v1/jobs/one").status == 404)
    #expect(ask("POST", "/v1/jobs", job()).status == 202)
    #expect(result().status == 200)
    #expect(runner.jobs.count == 2)
  }

  @Test func theNewestResultsAreKept() {
    for number in 0...Bench.resultsKept {
      _ = ask("POST", "/v1/jobs", job("job-\(number)"))
      _ = result(of: "job-\(number)")
    }
    #expect(ask("GET", "/v1/jobs/job-0").status == 404)
    #expect(ask("GET", "/v1/jobs/job-1").status == 200)
  }

  // MARK: Ended before its end

  @Test func aJobIsStopped() {
    runner.hold()
    _ = ask("POST", "/v1/jobs", job())
    #expect(ask("DELETE", "/v1/jobs/two").status == 404)
    #expect(ask("DELETE", "/v1/jobs/one").status == 200)
    let done = result()
    #expect(done["status"] == "stopped")
    #expect((done.members["error"] as? [String: String])?["code"] == "stopped")
    #expect(done.members["answer"] is NSNull)
    runner.letGo()
    _ = ask("POST", "/v1/jobs", job("two"))
    #expect(result(of: "two")["status"] == "ok")
  }

  @Test func leavingTheAppInterruptsAJobAndRefusesOthers() {
    runner.hold()
    _ = ask("POST", "/v1/jobs", job())
    bench.sleep()
    #expect(ask("DELETE", "/v1/jobs/one").status == 200)  // too late: it was interrupted first
    let done = result()
    #expect(done["status"] == "interrupted")
    #expect((done.members["error"] as? [String: String])?["code"] == "interrupted")
    #expect(ask("GET", "/v1/info")["state"] == "asleep")
    let refused = ask("POST", "/v1/jobs", job("two"))
    #expect(refused.status == 503)
    #expect(refused["error"]?.contains("open the app") == true)
    bench.wake()
    runner.letGo()
    #expect(ask("POST", "/v1/jobs", job("two")).status == 202)
    #expect(result(of: "two")["status"] == "ok")
  }

  @Test(arguments: [
    (Thermal.nominal, "nominal", "ok"), (.fair, "nominal", "too_hot"), (.fair, "fair", "ok"),
    (.serious, "fair", "too_hot"), (.critical, "serious", "too_hot"),
    (.critical, "critical", "ok"),
  ])
  func aJobMayBeTooHot(thermal: Thermal, allowed: String, status: String) {
    platform.change { $0.thermal = thermal }
    _ = ask("POST", "/v1/jobs", job("one", ["max_thermal": allowed]))
    #expect(result()["status"] == status)
    #expect(runner.jobs.count == (status == "ok" ? 1 : 0))
  }

  @Test func lowPowerModeIsNoStateToMeasureIn() {
    platform.change { $0.lowPower = true }
    _ = ask("POST", "/v1/jobs", job())
    let done = result()
    #expect(done["status"] == "low_power")
    #expect((done.members["before"] as? [String: Any])?["low_power"] as? Bool == true)
    #expect(runner.jobs.isEmpty)
  }

  // MARK: The rest

  @Test func theAppSaysWhatItIs() {
    let info = ask("GET", "/v1/info")
    #expect(info.status == 200)
    #expect(info["app"] == "phonebook-bench")
    #expect(info.members["protocol"] as? Int == 1)
    #expect(info["model"] == "iPhone10,3")
    #expect(info["soc"] == "A11 Bionic")
    #expect(info["executorch"] == "1.5.1")
    #expect(info["runner"] == "native")
    #expect(info.members["tracer"] as? Bool == true)
    #expect(info.members["emulated"] as? Bool == true)
    #expect(info.members["memory_bytes"] as? Int == 3 << 30)
    #expect(info.members["job"] is NSNull)
  }

  @Test func programsAreDeleted() {
    #expect(ask("HEAD", "/v1/programs/\(sha256)").status == 200)
    #expect(ask("DELETE", "/v1/programs").status == 200)
    #expect(ask("HEAD", "/v1/programs/\(sha256)").status == 404)
  }

  @Test func programsThatWentWhileTheAppSleptAreNotCounted() throws {
    bench.sleep()
    #expect(bench.store.count == 1)
    try FileManager.default.removeItem(atPath: bench.store.path(sha256))
    bench.wake()
    #expect(bench.store.count == 0)
  }

  @Test(arguments: [
    ("GET", "/"), ("GET", "/v1"), ("GET", "/v2/info"), ("GET", "/v1/info/x"),
    ("POST", "/v1/info"), ("GET", "/v1/programs"), ("GET", "/v1/jobs"), ("PUT", "/v1/jobs/one"),
    ("GET", "/v1/jobs/one/two"), ("GET", "/v1/jobs/none"),
  ])
  func whatIsNotThere(method: String, path: String) {
    let answer = ask(method, path)
    #expect(answer.status == 404)
    #expect(answer["error"] != nil)
  }

  @Test(arguments: ["x", "..", String(repeating: "A", count: 64)])
  func aProgramsNameIsItsHash(name: String) {
    #expect(ask("PUT", "/v1/programs/\(name)", "hello").status == 400)
    #expect(ask("HEAD", "/v1/programs/\(name)").status == 400)
  }
}
