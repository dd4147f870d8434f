"""Definitions of kinds that are not Kubernetes' own, from their authors' Go modules."""

from collections.abc import Iterator
from typing import Any, Final

import yaml

from tests.support import toolchains
from tests.support.gateway import definitions as gateway

# Module, the hash of its archive as a go.sum has it, and the definition in it that is used here.
KEDA: Final = ("github.com/kedacore/keda/v2@v2.18.0", "h1:ttR223fii/4QJ0YvtrhcWHaEoezByb/t5CeFopjl6EI=")
SCALED_OBJECTS: Final = "config/crd/bases/keda.sh_scaledobjects.yaml"


def definitions() -> Iterator[dict[str, Any]]:
    """Yield every definition. Raises AssertionError where a module is not what it was."""
    yield yaml.safe_load((toolchains.module(*KEDA) / SCALED_OBJECTS).read_text())
    yield from gateway.originals()
