// What the app's shell uses of SwiftUI, as declarations: enough to check the shell's types by.
@_exported import Combine

@MainActor public protocol View {
  associatedtype Body: View
  @ViewBuilder var body: Body { get }
}

extension Never: View { public var body: Never { return fatalError() } }

extension Optional: View where Wrapped: View {
  public var body: Never { return fatalError() }
}

@resultBuilder public enum ViewBuilder {
  public static func buildBlock<each Content: View>(_ content: repeat each Content) -> Group {
    Group()
  }
  public static func buildIf<Content: View>(_ content: Content?) -> Content? { content }
}

public struct Group: View {
  nonisolated init() {}
  public var body: Never { return fatalError() }
}

@MainActor public protocol Scene {}

public struct WindowGroup: Scene {
  public init(@ViewBuilder content: () -> some View) {}
}

@MainActor public protocol App {
  associatedtype Body: Scene
  var body: Body { get }
  init()
}

extension App { public static func main() {} }

@MainActor @propertyWrapper public struct StateObject<Object: ObservableObject> {
  public nonisolated init(wrappedValue: @autoclosure @escaping () -> Object) {}
  public var wrappedValue: Object { fatalError() }
}

public struct Font: Sendable {
  public static let largeTitle = Font()
  public static let footnote = Font()
  public func bold() -> Font { self }
  public func monospaced() -> Font { self }
}

public struct Color: View {
  public nonisolated static var red: Color { fatalError() }
  public nonisolated static var black: Color { fatalError() }
  public var body: Never { return fatalError() }
}

public enum ColorScheme { case light, dark }
public enum TextAlignment { case leading, center, trailing }

public struct Text: View {
  public init(_ text: String) {}
  public func font(_ font: Font?) -> Text { self }
  public func foregroundColor(_ color: Color?) -> Text { self }
  public var body: Never { return fatalError() }
}

public struct VStack: View {
  public init(spacing: Double?, @ViewBuilder content: () -> some View) {}
  public var body: Never { return fatalError() }
}

extension View {
  public func multilineTextAlignment(_ alignment: TextAlignment) -> some View { self }
  public func padding() -> some View { self }
  public func frame(maxWidth: Double?, maxHeight: Double?) -> some View { self }
  public func background(_ background: some View) -> some View { self }
  public func preferredColorScheme(_ scheme: ColorScheme?) -> some View { self }
}
