"""What a model is: one file in ``train/models``, one subclass of :class:`GenreModel`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn
from torch.nn import functional

from train.loading.batch import Batch


@dataclass(frozen=True)
class NoOptions:
    """For a model that has nothing to choose."""


def genre_loss(logits: Tensor, labels: Tensor, positive_weights: Tensor) -> Tensor:
    """Weighted binary cross-entropy, a scalar; its formula is in :mod:`train.runs.genre_learner`.

    ``logits`` and ``labels`` are (batch, genres), ``positive_weights`` is (genres,).
    """
    return functional.binary_cross_entropy_with_logits(logits.float(), labels, pos_weight=positive_weights)


class GenreModel(nn.Module, ABC):
    """A network from the features of some experts to one logit for each genre.

    What every model promises, and one test holds for all of them: the logits of a video depend on its
    own present steps alone. Padded steps and absent experts have no influence, whatever stands in
    their place; neither have the other videos of the batch, nor how far it is padded.

    Attributes:
        summary: one line for listings.
        Options: a frozen dataclass that checks itself and raises ValueError; every option that changes
            the network is in it.
        suits: for a model that does not work with any experts: some that it works with, expert -> length
            of its vectors. They are trained on where nobody names any. None: any will do.
        timelines: tables that the model reads for their times alone (``scenes``: the shots). They are no
            inputs. Where the store has such a table, batches have its times and no values; where it does
            not, batches lack it, and the model goes by a rule that it states.
        uses_order: whether the order of an expert's steps makes a difference.
    """

    summary: ClassVar[str]
    Options: ClassVar[type[Any]] = NoOptions
    suits: ClassVar[Mapping[str, int] | None] = None
    timelines: ClassVar[tuple[str, ...]] = ()
    uses_order: ClassVar[bool] = True

    def __init__(self, inputs: Mapping[str, int], genres: int, options: Any) -> None:
        """``inputs``: expert -> length of its vectors, in the order in which the model takes them.

        A model that cannot work with these experts raises UsageError and says which it needs.
        """
        super().__init__()
        self.inputs = dict(inputs)
        self.genres = genres
        self.options = options

    @abstractmethod
    def forward(self, batch: Batch) -> Tensor:
        """Logits, (batch, genres)."""

    def embed(self, batch: Batch) -> Tensor:
        """One vector for each video, (batch, width): what the last layers see. For retrieval and maps."""
        raise NotImplementedError(f"{type(self).__name__} gives no vectors")

    def loss(self, batch: Batch, positive_weights: Tensor) -> Tensor:
        """What a training step minimises, a scalar; by default :func:`genre_loss` of the logits.

        ``positive_weights`` is (genres,). The validation measures the logits, whatever the loss is.
        """
        assert batch.labels is not None
        return genre_loss(self(batch), batch.labels, positive_weights)

    def independent_networks(self) -> Mapping[str, GenreModel]:
        """Networks that are trained before the model, each alone on its own ``inputs``, by name.

        Each has its own best epoch and its own end, and is frozen then. What else the model learns is trained
        after them; if that is nothing, the model is only settled. By default there are none.
        """
        return {}

    def settle(self, validation: Iterable[Batch], positive_weights: Tensor) -> None:
        """Fit buffers on the validation split; by default nothing. Called once, when training is over.

        ``positive_weights`` (genres,) are those of the losses. The model has its best weights and is in
        evaluation mode on the device of the batches, which have labels and may be gone through again.
        Gradients are recorded unless the model says otherwise.
        """


class SolvedModel(GenreModel):
    """A model that is fitted in one go, without gradient steps.

    What it found is in buffers of whatever size, and the logits are a torch function of them and the
    batch. Loading a state restores the sizes of the buffers.
    """

    def __init__(self, inputs: Mapping[str, int], genres: int, options: Any) -> None:
        super().__init__(inputs, genres, options)
        self.register_load_state_dict_pre_hook(_take_sizes)  # type: ignore[no-untyped-call]

    @abstractmethod
    def solve(self, training: Iterable[Batch], validation: Iterable[Batch], *, seed: int) -> None:
        """Fit the buffers. Batches are on the CPU, in the order of ids, and may be gone through again.

        The same batches and ``seed`` give the same buffers. Raises DataError for what cannot be fitted.
        """


def _take_sizes(module: nn.Module, state: Mapping[str, Tensor], prefix: str, *rest: Any) -> None:
    """Give every buffer the shape that it has in ``state``."""
    for name, buffer in list(module.named_buffers()):
        stored = state.get(prefix + name)
        if stored is not None and stored.shape != buffer.shape:
            owner, _, leaf = name.rpartition(".")
            setattr(module.get_submodule(owner), leaf, buffer.new_empty(stored.shape))
