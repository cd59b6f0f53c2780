"""What the experiments will train, and how long that takes on this machine."""

from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path

from wildmiddle.checks.experiments import figure4, figure5
from wildmiddle.checks.experiments.trained import TrainedStudy, Trainings
from wildmiddle.checks.options import EXPERIMENTS, UNTRAINED, module_name
from wildmiddle.models.checkpoints import newest_whole
from wildmiddle.models.networks import Network
from wildmiddle.models.training import seconds_per_step


def trainings(name: str, study: TrainedStudy) -> Trainings:
    """What an experiment trains: by its own module, else by its group."""
    if name in UNTRAINED:
        return {}
    module = import_module(f"{__package__}.{module_name(name)}")
    if own := getattr(module, "trainings", None):
        found: Trainings = own(study)
        return found
    if (group := EXPERIMENTS[name]) in _BY_GROUP:
        return _BY_GROUP[group](study)
    scale = study.scale
    return {"memorizing": (scale.memorizing, {}), "generalizing": (scale.generalizing, {})}


_BY_GROUP = {"gaps": figure4.trainings, "timestep_gaps": figure5.trainings}


def training_cost(wanted: Mapping[str, TrainedStudy], folders: Sequence[Path]) -> str:
    """Models, steps and hours of what is still to be trained, in a sentence.

    ``wanted`` are experiments with their study; each of ``folders`` is that of one seed. The hours
    are by a few timed steps of each kind of training.
    """
    planned = {
        (study.scale.group, folder): (study, count, study.training(**changes))
        for name, study in wanted.items()
        for folder, (count, changes) in trainings(name, study).items()
    }
    models, steps, seconds = 0, 0, 0.0
    timed: dict[tuple[Network, int, bool], float] = {}
    for (group, name), (study, count, training) in planned.items():
        done = [newest_whole(folder / "models" / group / name) for folder in folders]
        left = sum(max(0, training.steps - step) for step in done)
        models += sum(step < training.steps for step in done)
        steps += left
        kind = training.network, training.batch_size, training.dummy
        if left and kind not in timed:
            images, device = study.data.train[:count], study.settings.device
            timed[kind] = seconds_per_step(images, training, device=device)
        seconds += left * timed.get(kind, 0.0)
    if not steps:
        return "To train: nothing that is not there already"
    return (
        f"To train: {models} of {len(planned) * len(folders)} models, {steps:,} steps, at most "
        f"{seconds / 3600:.2g} hours on this machine ({1000 * seconds / steps:.0f} ms a step)"
    )
