"""Which pretraining: a method and its variants, and how trainers of it are called."""

import re
from dataclasses import dataclass

from nnunetv2_pcrl.methods.registry import method_named

ROLES = ("Pretrain", "Finetune", "Classification", "Nodule")
_TRAINER = re.compile(rf"(\w+?)({'|'.join(ROLES)})Trainer")


@dataclass(frozen=True)
class Pretraining:
    """What was learned how, as far as others' weights differ by it.

    Length, seed and learning rate are no part of it.

    Attributes:
        method: its name, e.g. PCRLv2.
        variants: words of the method's variants, sorted.
    """

    method: str
    variants: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "variants", tuple(sorted(set(self.variants))))

    def __str__(self) -> str:
        """E.g. PCRLv2 or PCRLv2_authors."""
        return "_".join((self.method, *self.variants))

    @property
    def trainer_name(self) -> str:
        """The trainer that makes it."""
        return self.trainer_of("Pretrain")

    def trainer_of(self, role: str) -> str:
        """The trainer of a role, one of `ROLES`, that makes or takes these weights."""
        return "_".join((f"{self.method}{role}Trainer", *self.variants))

    @classmethod
    def of_name(cls, name: str) -> "Pretraining":
        """From its text, e.g. PCRLv2_authors."""
        method, *variants = name.split("_")
        return cls(method, tuple(variants))

    @classmethod
    def of_trainer(cls, name: str) -> "Pretraining | None":
        """What a trainer of this package makes or takes, by its name; None for other trainers."""
        base, *words = name.split("_")
        match = _TRAINER.fullmatch(base)
        method = method_named(match[1]) if match else None
        if method is None:
            return None
        return cls(method.about.name, tuple(word for word in words if word in method.variants))
