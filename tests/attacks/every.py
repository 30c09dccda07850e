"""All attacks: importing this module registers them."""

from . import bombs, handins, models, network, notebooks, processes, reading, returning, tampering
from .attack import ATTACKS

__all__ = ["ATTACKS"]
MODULES = (bombs, handins, models, network, notebooks, processes, reading, returning, tampering)
