"""What stands in the Xcode project: nothing here can build it, so it is read."""

import plistlib
import re
from pathlib import Path

import pytest
from pbxproj import XcodeProject

from device_agent.runner.build import SOURCES

APP = Path(__file__).resolve().parents[2] / "device_agent" / "ios_app" / "App"
FILE = APP / "PhonebookBench.xcodeproj" / "project.pbxproj"


@pytest.fixture(scope="module")
def project() -> XcodeProject:
    return XcodeProject.load(str(FILE))


def settings() -> dict[str, str]:
    """What the configuration file sets."""
    lines = (APP / "PhonebookBench.xcconfig").read_text().splitlines()
    pairs = (re.fullmatch(r"([A-Z_]+) = (.*)", line) for line in lines)
    return {pair[1]: pair[2] for pair in pairs if pair}


def compiled(project: XcodeProject) -> set[Path]:
    """The files that the app's target compiles."""
    (target,) = project.objects.get_targets("PhonebookBench")
    phases = [project.objects[key] for key in target.buildPhases]
    (sources,) = [phase for phase in phases if phase.isa == "PBXSourcesBuildPhase"]
    references = [project.objects[project.objects[key].fileRef] for key in sources.files]
    return {(APP / reference.path).resolve() for reference in references}


def test_one_app_compiles_its_shell_and_the_very_runner_of_other_devices(
    project: XcodeProject,
) -> None:
    (target,) = project.objects.get_targets()
    assert (target.name, target.productType) == (
        "PhonebookBench",
        "com.apple.product-type.application",
    )
    shell = set(APP.glob("*.swift"))
    core = re.search(
        r"add_library\(phonebook-core (.*)\)", (SOURCES / "CMakeLists.txt").read_text()
    )
    assert core is not None
    runner = {SOURCES / name for name in core[1].split()}
    assert len(shell) == 4
    assert compiled(project) == shell | runner
    assert all(file.exists() for file in compiled(project))


def test_every_file_that_the_project_names_is_there(project: XcodeProject) -> None:
    for file in project.objects.get_objects_in_section("PBXFileReference"):
        if file.sourceTree == "<group>":
            assert (APP / file.path).exists(), file.path


def test_the_app_links_the_package_beside_it(project: XcodeProject) -> None:
    (package,) = project.objects.get_objects_in_section("XCLocalSwiftPackageReference")
    manifest = APP / package.relativePath / "Package.swift"
    (product,) = project.objects.get_objects_in_section("XCSwiftPackageProductDependency")
    (target,) = project.objects.get_targets()
    assert f'.library(name: "{product.productName}"' in manifest.read_text()
    assert list(target.packageProductDependencies) == [product.get_id()]
    linked = [
        build.productRef
        for build in project.objects.get_objects_in_section("PBXBuildFile")
        if "productRef" in build
    ]
    assert linked == [product.get_id()]
    assert ".iOS(.v16)" in manifest.read_text()


def test_it_is_built_for_ios_16_by_its_configuration_file(project: XcodeProject) -> None:
    configurations = list(project.objects.get_objects_in_section("XCBuildConfiguration"))
    assert [one.name for one in configurations] == ["Release", "Release"]
    for configuration in configurations:
        file = project.objects[configuration.baseConfigurationReference]
        assert file.path == "PhonebookBench.xcconfig"
        # The configuration file's word holds, or the same one.
        told = configuration.buildSettings["IPHONEOS_DEPLOYMENT_TARGET"] or "16.0"
        assert told == "16.0"
    assert settings()["IPHONEOS_DEPLOYMENT_TARGET"] == "16.0"
    assert settings()["PRODUCT_BUNDLE_IDENTIFIER"] == "dev.phonebook.bench"
    assert settings()["CLANG_CXX_LANGUAGE_STANDARD"] == "c++17"


def test_what_registers_itself_is_linked_whole() -> None:
    whole = re.findall(
        r'-force_load "\$\(EXECUTORCH_LIBRARIES\)/lib(\w+)\.a"',
        settings()["EXECUTORCH_REGISTERED"],
    )
    assert whole == ["executorch", "xnnpack_backend", "optimized_native_cpu_ops_lib"]
    others = re.findall(r"-l([\w-]+)", settings()["EXECUTORCH_LINKED"])
    assert {"executorch_core", "extension_threadpool", "XNNPACK"} <= set(others)
    assert not set(whole) & set(others)
    assert settings()["OTHER_LDFLAGS"].startswith(
        "$(inherited) $(EXECUTORCH_REGISTERED) $(EXECUTORCH_LINKED)"
    )


def test_the_property_list_is_an_iphone_apps() -> None:
    told = plistlib.loads((APP / "Info.plist").read_bytes())
    assert told["CFBundleIdentifier"] == "$(PRODUCT_BUNDLE_IDENTIFIER)"
    assert told["UIRequiredDeviceCapabilities"] == ["arm64"]
    assert "UILaunchScreen" in told
    # It listens on loopback alone, which needs nobody's permission.
    assert not {"NSLocalNetworkUsageDescription", "NSBonjourServices"} & told.keys()
