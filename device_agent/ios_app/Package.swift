// swift-tools-version: 6.0
import PackageDescription

let package = Package(
  name: "PhonebookBench",
  platforms: [.iOS(.v16), .macOS(.v13)],
  products: [
    .library(name: "PhonebookBench", targets: ["BenchCore", "NativeRunner"]),
    .executable(name: "phonebook-bench", targets: ["phonebook-bench"]),
  ],
  targets: [
    .target(name: "BenchCore"),
    // The header of ../runner alone. Who links an executable compiles the C++ behind it.
    .systemLibrary(name: "CPhonebookRunner"),
    .target(name: "NativeRunner", dependencies: ["BenchCore", "CPhonebookRunner"]),
    .executableTarget(name: "phonebook-bench", dependencies: ["BenchCore", "NativeRunner"]),
    .testTarget(name: "BenchCoreTests", dependencies: ["BenchCore"]),
  ]
)
