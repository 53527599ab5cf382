"""What iPhones are called: by Apple's own count of models, and by `--device`."""

import re

from contract.devices import DEVICE_NAME

# From the iPhone 8 on, the first that iOS 16 runs on.
_NAMES = {
    "iPhone10,1": "iphone8",
    "iPhone10,4": "iphone8",
    "iPhone10,2": "iphone8-plus",
    "iPhone10,5": "iphone8-plus",
    "iPhone10,3": "iphonex",
    "iPhone10,6": "iphonex",
    "iPhone11,2": "iphonexs",
    "iPhone11,4": "iphonexs-max",
    "iPhone11,6": "iphonexs-max",
    "iPhone11,8": "iphonexr",
    "iPhone12,1": "iphone11",
    "iPhone12,3": "iphone11-pro",
    "iPhone12,5": "iphone11-pro-max",
    "iPhone12,8": "iphonese-2",
    "iPhone13,1": "iphone12-mini",
    "iPhone13,2": "iphone12",
    "iPhone13,3": "iphone12-pro",
    "iPhone13,4": "iphone12-pro-max",
    "iPhone14,4": "iphone13-mini",
    "iPhone14,5": "iphone13",
    "iPhone14,2": "iphone13-pro",
    "iPhone14,3": "iphone13-pro-max",
    "iPhone14,6": "iphonese-3",
    "iPhone14,7": "iphone14",
    "iPhone14,8": "iphone14-plus",
    "iPhone15,2": "iphone14-pro",
    "iPhone15,3": "iphone14-pro-max",
    "iPhone15,4": "iphone15",
    "iPhone15,5": "iphone15-plus",
    "iPhone16,1": "iphone15-pro",
    "iPhone16,2": "iphone15-pro-max",
    "iPhone17,1": "iphone16-pro",
    "iPhone17,2": "iphone16-pro-max",
    "iPhone17,3": "iphone16",
    "iPhone17,4": "iphone16-plus",
    "iPhone17,5": "iphone16e",
    "iPhone18,1": "iphone17-pro",
    "iPhone18,2": "iphone17-pro-max",
    "iPhone18,3": "iphone17",
    "iPhone18,4": "iphone-air",
}


def device_name(model: str) -> str:
    """`iphonex` for an iPhone10,3; a model that nobody named here goes by its own, `iphone99-1`.

    What does not count as Apple's models do gets `iphone-` before it.
    """
    slug = re.sub(r"[^a-z0-9._]+", "-", model.lower()).strip("-._")[:50]
    return _NAMES.get(model) or (slug if is_apples(slug) else f"iphone-{slug}".rstrip("-"))


def is_apples(device: str) -> bool:
    """Whether `--device` means a phone or tablet of Apple's."""
    return device.startswith(("iphone", "ipad")) and re.fullmatch(DEVICE_NAME, device) is not None
