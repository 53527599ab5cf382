"""Named sets of hyper-parameters: the paper's, and some for smaller machines and data.

A preset fills in the options that the command line leaves out.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

from cyclopts import App, ArgumentCollection, Token

from contract.errors import PhonebookError, near
from search.config import SearchConfig, TrainConfig


@dataclass(frozen=True, kw_only=True)
class Preset:
    """Hyper-parameters that suit each other."""

    space: str
    search: SearchConfig
    final: TrainConfig
    classes: int | None = None


# Wu et al. 2019: 100 classes of ImageNet, 90 epochs, then 360 from scratch.
PAPER = Preset(space="fbnet-224", search=SearchConfig(), final=TrainConfig(), classes=100)

# A few thousand small images on a few cores.
SMALL = Preset(
    space="fbnet-32",
    search=SearchConfig(
        epochs=40,
        warmup_share=0.5,
        batch_size=32,
        paths="1",
        theta_paths=12,
        weight_lr=0.05,
        theta_lr=0.05,
        theta_weight_decay=0.0,
    ),
    final=TrainConfig(epochs=40, batch_size=32, lr=0.05, schedule="cosine"),
)

# To see every part work within minutes; what it finds says little.
GLIMPSE = replace(
    SMALL,
    space="fbnet-32-0.35",
    search=replace(SMALL.search, epochs=8, warmup_share=0.25, theta_paths=8, theta_lr=0.1),
    final=replace(SMALL.final, epochs=8),
)

PRESETS = {"fbnet-imagenet": PAPER, "small": SMALL, "glimpse": GLIMPSE}


def of_search(preset: Preset) -> dict[str, Any]:
    """The options of `search.run`, by name."""
    final = {f"final.{name}": value for name, value in asdict(preset.final).items()}
    return {
        "space": preset.space,
        "classes": preset.classes,
        **asdict(preset.search),
        **final,
    }


def of_training(preset: Preset) -> dict[str, Any]:
    """The options of `search.train`, by name."""
    return {"classes": preset.classes, **asdict(preset.final)}


def use_presets(app: App, options_of: Callable[[Preset], dict[str, Any]]) -> None:
    """Let `--preset NAME` fill in what the command line leaves out.

    The app raises PhonebookError for a name that is none.
    """

    def fill(app: App, commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
        asked = arguments.get("--preset")
        if asked is None or not asked.tokens:
            return
        name = asked.tokens[0].value
        if name not in PRESETS:
            raise PhonebookError(f"no preset {name!r}; {near(name, tuple(PRESETS))}")
        options = options_of(PRESETS[name])
        for argument in arguments:
            value = options.get(argument.name.removeprefix("--").replace("-", "_"))
            if value is not None and not argument.tokens:
                told = str(value).lower() if isinstance(value, bool) else str(value)
                argument.append(Token(keyword=argument.name, value=told, source="preset"))

    app.config = (fill,)
