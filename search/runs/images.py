"""The images of a run: loaded, counted, and those named that nobody could read."""

from contract.spaces import SearchSpace
from search.config import DataConfig
from search.data import DataSet, load
from search.runs.context import RunContext
from search.runs.display import unreadable_lines


def load_images(data: DataConfig, space: SearchSpace, context: RunContext) -> DataSet:
    """The images, fit for the space; says how many there are.

    Raises:
        PhonebookError: they cannot be found or do not suit the space.
    """
    images = load(
        data.data,
        resolution=space.resolution,
        most_classes=space.classes,
        classes=data.classes,
        seed=context.machine.seed,
        workers=data.workers,
    )
    context.console.print(
        f"{images.name}: {len(images.train)} images to learn from, {len(images.test)} to be "
        f"judged on ({images.test_from}), {len(images.class_names)} classes"
    )
    return images


def show_unreadable(context: RunContext, images: DataSet) -> None:
    """How many pictures no process could read, and the first of them by name."""
    faults = context.processes.gather({**images.train.unreadable(), **images.test.unreadable()})
    for line in unreadable_lines(faults):
        context.console.print(line)
